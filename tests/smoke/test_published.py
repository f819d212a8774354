"""`xbar published`: a smoke study from end to end, resumed, and looked at."""

import json
from pathlib import Path

from experiments.cli import main


def test_a_smoke_study_is_written_and_not_repeated(tmp_path, capsys):
    only = [f"batched, 20 states, {rule}" for rule in ("sgd", "agad")]
    words = ["published", "learning-rules", "chip-bill", "--only", *only, "--jobs", "1"]
    words += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    content = json.loads((tmp_path / "out" / "published.json").read_text())
    verdicts = [row["verdict"] for row in content["rows"]]
    # Of the chip's bill nothing is trained: an image is judged at every scale.
    counts = [verdicts.count(word) for word in ("smoke", "agrees", "not run")]
    assert (counts, len(verdicts)) == ([12, 5, 60 + 4], 81)
    # Nor is a claim about several cells, though all of AGAD's at 20 states are there.
    claims = next(section for section in content["sections"] if section["title"].endswith(": claims"))
    assert {row[1] for row in claims["table"]["rows"]} == {"not run"}
    page = (tmp_path / "out" / "published.html").read_text()
    assert "not judged" in page
    assert "printed in the figure" in page
    files = list((tmp_path / "runs" / "published-learning-rules").iterdir())
    assert len(files) == 2
    written = [file.stat().st_mtime_ns for file in files]
    capsys.readouterr()
    assert main([*words, "--look"]) == 0
    assert [file.stat().st_mtime_ns for file in files] == written
    assert main(["published", "no-such-table"]) == 2
    assert "learning-rules" in capsys.readouterr().err


def test_a_chips_bill_of_an_image_agrees_and_its_training_is_not_run(tmp_path):
    words = [
        "published",
        "chip-bill",
        "--scale",
        "paper",
        "--out",
        str(tmp_path / "out"),
        "--runs",
        str(tmp_path),
    ]
    assert main(words) == 0
    rows = json.loads((tmp_path / "out" / "published.json").read_text())["rows"]
    assert [row["verdict"] for row in rows] == ["agrees"] * 5 + ["not run"] * 4


def test_of_earlier_studies_the_first_that_is_named_counts(tmp_path):
    """The kept study trained the seed paper's networks for longer than what `xbar paper` had found."""
    docs = Path(__file__).parents[2] / "docs"
    words = ["published", "seed-paper", "--scale", "paper", "--look", "--runs", str(tmp_path)]

    def rows(*earlier):
        out = tmp_path / str(len(earlier)) / earlier[0]
        assert main([*words, "--out", str(out), "--from", *(str(docs / name) for name in earlier)]) == 0
        return json.loads((out / "published.json").read_text())["rows"]

    alone = rows("published")
    assert rows("published", "paper_mnist.md") == alone
    assert rows("paper_mnist.md", "published") != alone
