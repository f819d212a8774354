"""`xbar what-if`: trains and reads each changed device, goes on where it was stopped, and tells what gains."""

import json

import pytest

from experiments.cli import main
from experiments.studies import rate_ladder
from experiments.studies.what_if import study

DEVICE = """\
name = "mine"
technology = "t"
source = "s"

[conductance]
g_min = 1.0
g_max = 20.0

[pulses]
law = "ConstantStep"
dw_min = 0.01
dw_min_std = 0.0
dw_min_dtod = 0.0
up_down_dtod = 0.0
w_max_dtod = 0.0
w_min_dtod = 0.0

[drift]
exponent = 0.2
exponent_spread = 0.1
reference_time = 1.0
"""
TINY = ["--train-images", "128", "--test-images", "64", "--epochs", "1", "--seeds", "0", "1", "--jobs", "1"]


@pytest.fixture
def device(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(DEVICE)
    return file


def test_a_device_that_is_written(device, tmp_path, capsys):
    out = tmp_path / "out"
    words = [*TINY, "--runs", str(tmp_path / "runs"), "--out", str(out), "--chips", "2", "--time", "1h"]
    assert main(["what-if", str(device), "--modes", "hwa", *words]) == 0
    rows = json.loads((out / "what_if.json").read_text())["rows"]
    assert [row["change"] for row in rows] == [
        "as it is", "exponent of drift / 2", "spread of the exponents / 2", "all of these at once",
    ]  # fmt: skip
    for row in rows:
        assert row["gain"] == pytest.approx(row["accuracy"] - rows[0]["accuracy"])
        assert row["low"] <= row["gain"] <= row["high"]
    assert (out / "what_if.png").stat().st_size > 10_000
    assert "read after 1 hour" in capsys.readouterr().out


@pytest.mark.slow
def test_both_uses_of_a_device(device, tmp_path, monkeypatch, capsys):
    done = {"train": 0, "read": 0}

    def counting(what, work):
        def count(task):
            done[what] += 1
            work(task)

        return count

    monkeypatch.setattr(study, "run_train", counting("train", study.run_train))
    monkeypatch.setattr(rate_ladder, "run_train", counting("train", rate_ladder.run_train))
    monkeypatch.setattr(study, "read", counting("read", study.read))
    out = tmp_path / "out"
    command = [
        "what-if",
        str(device),
        *TINY,
        "--runs",
        str(tmp_path / "runs"),
        "--out",
        str(out),
        "--chips",
        "2",
    ]
    assert main([*command, "--rates", "3"]) == 0
    # In situ: as it is, smaller steps, wider range, all; three rates with one seed, one with the other. Written: the
    # network of each seed once, read as it is, with half the drift, with half its spread, with all.
    assert done == {"train": 4 * (3 + 1) + 2, "read": 4 * 2 + 4 * 2}
    content = json.loads((out / "what_if.json").read_text())
    rows = {(row["mode"], row["change"]): row for row in content["rows"]}
    assert len(rows) == 8
    for row in rows.values():
        assert row["low"] <= row["gain"] <= row["high"]
        assert len(row["tried"]) == (3 if row["mode"] == "in-situ" else 0)
        assert (row["verdict"] is None) == (row["change"] == "as it is")
    base = rows["hwa", "as it is"]
    for row in rows.values():
        if row["mode"] == "hwa":
            assert row["gain"] == pytest.approx(row["accuracy"] - base["accuracy"])
    assert "what to change first" in content["what_to_change_first"]
    assert (out / "what_if.png").stat().st_size > 10_000
    assert (out / "devices" / "exponent-of-drift-2.toml").exists()
    said = capsys.readouterr().out
    assert "| what if | accuracy | gain in points, 95 % interval | verdict | rate |" in said
    assert main([*command, "--rates", "3"]) == 0
    assert sum(done.values()) == 34  # nothing was repeated
    assert main(["report", str(out)]) == 0


def test_wrong_wishes_get_a_sentence(device, tmp_path, capsys):
    for words, message in (
        (["pcm"], "`device` must be a device file such as my.toml, but is 'pcm'"),
        ([str(device), "--seeds", "1"], "`seeds` must be two or more, but are 1"),
        ([str(device), "--factors", "1"], "`factors` must be positive, finite and not 1, but hold 1"),
        ([str(device), "--rates", "2"], "`rates` must be odd, 1 or more, but is 2"),
        ([str(device), "--modes", "in-situ", "--time", "1d"], "`time` must be left out, but is 1d"),
        ([str(device), "--threshold", "-1"], "`threshold` must lie in [0, 100) percentage points, but is -1"),
    ):
        assert main(["what-if", *words, "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
    device.write_text(DEVICE.partition("[drift]")[0])
    assert main(["what-if", str(device), "--modes", "hwa", "--out", str(tmp_path / "out")]) == 2
    assert "`modes` must be in-situ for" in capsys.readouterr().err
