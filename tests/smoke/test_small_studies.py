"""The studies that put the README's smaller tables together, from end to end: each a command, each with a page."""

import json
import statistics
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.studies.results import FORMAT

TINY = ["--train-images", "64", "--test-images", "30"]


def read(folder, stem):
    return json.loads((folder / f"{stem}.json").read_text())


def is_written_as_every_study(folder, stem, name):
    """Say whether all files of a study are there, and whether its page can be written anew from its numbers."""
    content = read(folder, stem)
    assert (content["format"], content["study"]) == (FORMAT, name)
    assert {"title", "summary", "command", "configuration", "environment", "sections"} <= set(content)
    text = (folder / f"{stem}.md").read_text()
    assert text.startswith(f"# {content['title']}\n\n")
    assert len((folder / f"{stem}.csv").read_text().splitlines()) > 1
    page = (folder / f"{stem}.html").read_text()
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text() == page


@pytest.fixture(scope="module")
def learned_in_situ(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_situ")
    words = ["in-situ", *TINY, "--devices", "ecram", "--seeds", "0", "1", "--epochs", "1", "--jobs", "1"]
    words += ["--runs", str(folder / "runs"), "--out", str(folder / "study")]
    assert main(words) == 0
    return folder, words


def test_in_situ(learned_in_situ, monkeypatch):
    folder, words = learned_in_situ
    out = folder / "study"
    rows = read(out, "in_situ")["rows"]
    places = ("free", "replicated", "time-multiplexed")
    assert [(row["device"], row["placement"], row["seed"]) for row in rows] == [
        (device, placement, seed)
        for device in ("ecram", "digital")
        for placement in places
        for seed in (0, 1)
    ]
    for row in rows:
        result = json.loads((Path(row["run"]) / "result.json").read_text())
        known = result["as_trained"] or [result["digital_accuracy"]]
        assert row["accuracy"] == pytest.approx(statistics.fmean(known))
        assert (row["pulses"] is None) == (row["device"] == "digital")
    assert (
        "| device | free | replicated | time-multiplexed |\n|---|---|---|---|\n| ecram |"
        in (out / "in_situ.md").read_text()
    )
    content = read(out, "in_situ")
    learned = [row for row in content["rows"] if row["device"] == "ecram"]
    assert all(row["course"]["pulses"][-1] == row["pulses"] for row in learned)
    assert all(("copies" in row["course"]) == (row["placement"] == "replicated") for row in learned)
    (apart,) = content["copies_apart"]
    assert apart["measured"] == pytest.approx(apart["expected"], rel=0.2)
    assert {"in_situ.png", "in_situ_course.png", "in_situ_copies.png"} <= {
        file.name for file in out.iterdir()
    }
    assert is_written_as_every_study(out, "in_situ", "in-situ")
    monkeypatch.setattr("experiments.studies.study.run_train", lambda wish: pytest.fail("trained again"))
    before = (out / "in_situ.md").read_bytes()
    assert main(words) == 0
    assert (out / "in_situ.md").read_bytes() == before


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One FCN and one CNN, which retention and training with wires read."""
    runs = tmp_path_factory.mktemp("runs")
    for model in ("fcn_digits", "cnn_digits"):
        words = ["train", *TINY, "--model", model, "--epochs", "1", "--chips", "2", "--threads", "1"]
        assert main([*words, "--times", "1s,1d", "--out", str(runs)]) == 0
    return sorted(runs.iterdir())


def test_retention(trained, tmp_path, capfd):
    assert main(["retention", str(trained[0]), "--out", str(tmp_path)]) == 2
    assert "`runs` must be evaluated, but hold no evaluation" in capfd.readouterr().err
    evaluated = {}
    for run in trained:
        for compensation in ("global", "per_tile"):
            words = ["--device", "pcm-hermes", "--compensation", compensation, "--threads", "1"]
            assert main(["evaluate", str(run), *words, "--times", "1s,1y"]) == 0
        for file in run.glob("evaluation-*.json"):
            result = json.loads(file.read_text())
            for compensation, chips in result["accuracy"].items():
                evaluated[run.name[:3], compensation] = [list(column) for column in zip(*chips, strict=True)]
    assert main(["retention", *map(str, trained), "--out", str(tmp_path)]) == 0
    content = read(tmp_path, "retention")
    found = {(row["network"], row["compensation"]): row for row in content["rows"]}
    assert set(found) == set(evaluated)
    for key, row in found.items():
        assert row["times"] == [1.0, 365 * 86400.0]
        assert row["chips"] == evaluated[key]
        assert row["did_learn"] == [False]  # one epoch on 64 images
    text = (tmp_path / "retention.md").read_text()
    assert "| network | device | compensation | 1 second | 1 year |\n|---|---|---|--:|--:|\n" in text
    assert "| CNN, did not learn | pcm-hermes | global |" in text
    assert "| pcm-hermes | - | - |\n" in text  # no gain of networks that did not learn
    assert is_written_as_every_study(tmp_path, "retention", "retention")


def test_training_with_wires(trained, tmp_path, capfd):
    assert main(["wires-training", str(trained[0]), "--out", str(tmp_path)]) == 2
    assert "wires.json is missing" in capfd.readouterr().err
    for run, best in zip(trained, (0.8, 0.9), strict=True):
        points = [
            {"layout": "tiles", "tile_size": 64, "ohm": ohm, "exact": [best - ohm / 100, best], "aihwkit": [best],
             "errors": {}}
            for ohm in (0.0, 10.0)
        ]  # fmt: skip
        study = {"chips": 2, "test_images": 30, "device": "pcm", "run": run.name, "points": points}
        (run / "wires.json").write_text(json.dumps(study))
    out = tmp_path / "study"
    assert main(["wires-training", *map(str, trained), "--out", str(out)]) == 0
    text = (out / "wires_training.md").read_text()
    assert "2 chip(s) each, 30 test images, 64 training images, 1 epochs; mean" in text
    assert "| FCN, did not learn | no resistance | exactly | 90.0 % | 85.0 % |" in text
    assert "| CNN, did not learn | no resistance | aihwkit's `ir_drop` | 80.0 % | 80.0 % |" in text
    assert is_written_as_every_study(out, "wires_training", "wires-training")
    study["chips"] = 3
    (trained[1] / "wires.json").write_text(json.dumps(study))
    assert main(["wires-training", *map(str, trained), "--out", str(out)]) == 2
    assert "`runs` must be studied alike, but differ" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["in-situ", "retention", "wires-training"])
def test_help_explains(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"xbar {command} " in capsys.readouterr().out


def test_pages_come_from_data(tmp_path, capsys):
    """Whatever stands in the Markdown beside it."""
    section = {
        "title": "Question?", "text": ["1 to `2`."], "items": ["one"], "notes": [], "pictures": [], "code": None,
        "table": {"header": ["a", "b"], "rows": [["7", "8 ± 1"]], "align": "lr"}, "folded": False, "warnings": [],
    }  # fmt: skip
    content = {
        "format": FORMAT, "study": "paper", "title": "T", "summary": "2 runs.", "rows": [], "sections": [section],
    }  # fmt: skip
    (tmp_path / "paper.json").write_text(json.dumps(content))
    (tmp_path / "paper.md").write_text("| other | table |\n")
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    for piece in (
        "<h2>Question?</h2>",
        "<p>1 to <code>2</code>.</p>",
        "<li>one</li>",
        "<td>8 ± 1</td>",
        "2 runs.",
    ):
        assert piece in page
    assert "other" not in page
    for damage in (
        {"sections": [{"title": "x"}]},
        {"sections": [section | {"pictures": [{"path": "../x.png", "description": ""}]}]},
        {"study": "in-situ"},
        {"format": "crossbar-emulator study 3"},
        {"rows": "none"},
    ):
        (tmp_path / "paper.json").write_text(json.dumps(content | damage))
        assert main(["report", str(tmp_path)]) == 2
        assert "xbar: `run` must be the folder of" in capsys.readouterr().err


def test_demo(tmp_path, capsys):
    words = ["demo", "--epochs", "1", "--chips", "2", "--jobs", "1", "--runs", str(tmp_path)]
    words += ["--out", str(tmp_path / "demo"), "--no-browser"]
    assert main(words) == 0
    rows = read(tmp_path / "demo", "demo")["rows"]
    one, copies, free = rows
    assert [row["scheme"] for row in rows] == [
        "shared, one tile",
        "shared, a copy for each location",
        "not shared",
    ]
    for row in rows:
        result = json.loads((Path(row["run"]) / "result.json").read_text())
        last = [chip[-1] for chip in result["accuracy"]["global"]]
        assert row["accuracy"][-1] == pytest.approx(statistics.fmean(last))
        # Emulated on the arrays that are priced, and repeated so.
        assert json.loads((Path(row["run"]) / "config.json").read_text())["tile_size"] == 256
        assert "--tile-size 256" in row["command"]
    # Copies and free kernels lie on as many arrays, which work at the same time.
    assert (copies["area"], copies["latency"], copies["energy"]) == (
        free["area"],
        free["latency"],
        free["energy"],
    )
    assert one["latency"] > free["latency"]
    assert one["area"] < free["area"]
    assert is_written_as_every_study(tmp_path / "demo", "demo", "demo")
    assert (tmp_path / "demo" / "demo.html").as_uri() in capsys.readouterr().out
