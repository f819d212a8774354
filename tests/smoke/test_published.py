"""`xbar published`: a smoke study from end to end, resumed, and looked at."""

import json

from experiments.cli import main


def test_a_smoke_study_is_written_and_not_repeated(tmp_path, capsys):
    words = ["published", "learning-rules", "chip-bill", "--only", "batched, 20 states, sgd", "--jobs", "1"]
    words += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    content = json.loads((tmp_path / "out" / "published.json").read_text())
    verdicts = [row["verdict"] for row in content["rows"]]
    # Of the chip's bill nothing is trained: an image is judged at every scale.
    counts = [verdicts.count(word) for word in ("smoke", "agrees", "not run")]
    assert (counts, len(verdicts)) == ([6, 5, 66 + 4], 81)
    page = (tmp_path / "out" / "published.html").read_text()
    assert "not judged" in page
    assert "printed in the figure" in page
    (file,) = (tmp_path / "runs" / "published-learning-rules").iterdir()
    written = file.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*words, "--look"]) == 0
    assert file.stat().st_mtime_ns == written
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
