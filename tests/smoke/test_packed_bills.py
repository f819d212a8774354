"""`--packing` of `xbar evaluate` and `xbar report`: energy, time and area of a bill come from that packing."""

import json

import pytest

from crossbar import load_profile, price
from crossbar.cost.tables import with_prefix
from experiments.cli import main
from experiments.runs.ledger_file import RunEvents
from experiments.runs.run_folder import RunFolder

BY_LAYER = {"local1": "block", "local*": "union"}
WORDS = ["--packing", "local1=block,local*=union"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the network without sharing, whose kernels are smaller than an array."""
    out = tmp_path_factory.mktemp("runs")
    words = ["train", "--epochs", "1", "--train-images", "20", "--test-images", "10", "--chips", "1"]
    assert main([*words, "--times", "1s", "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    return RunFolder(folder)


def cells(ledger, packing):
    """Energy and time of an image, and the area, as a bill writes them."""
    bill = price(ledger, load_profile("hermes-pcm"), packing=packing)
    number = ledger.images
    energy = with_prefix(1e-6 * bill.with_digital / number, "J")
    return energy, with_prefix(bill.sequential / number, "s"), f"{bill.area * 1e-6:.3g} mm²"


def test_a_report_is_priced_with_a_packing_by_layer(run, capsys):
    inference = RunEvents.read(run.ledger_file).evaluation.inference
    pages = {}
    for words, packing in (([], "none"), (WORDS, BY_LAYER)):
        assert main(["report", str(run.path), *words]) == 0
        pages[str(packing)] = (run.path / "report.html").read_text()
        for cell in cells(inference, packing):
            assert cell in pages[str(packing)]
    assert cells(inference, "none")[2] not in pages[str(BY_LAYER)]
    assert "Packing: local1=block,local*=union, of energy, time and area." in pages[str(BY_LAYER)]


def test_an_evaluation_prints_the_bill_of_its_placement_and_packing(run, capsys):
    words = ["evaluate", str(run.path), "--placement", "local1=free,local2=free", "--test-images", "10"]
    assert main([*words, *WORDS]) == 0
    printed = capsys.readouterr().out
    inference = RunEvents.read(run.ledger_file).evaluation.inference  # the same: all was free before
    assert "priced by hermes-pcm, packing local1=block,local*=union" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("inference "))
    for cell in cells(inference, BY_LAYER):
        assert cell in line


@pytest.mark.parametrize("command", ["report", "evaluate"])
@pytest.mark.parametrize(
    ("packing", "message"),
    [
        ("blok", "xbar: `packing` must be one of none, block, union, dense, but is 'blok'"),
        ("lokal*=block", "xbar: `packing` must name layers by patterns ('local1', 'local2'"),
    ],
)
def test_packings_that_do_not_exist_or_fit_no_layer_are_refused(run, command, packing, message, capsys):
    assert main([command, str(run.path), "--packing", packing]) == 2
    assert message in capsys.readouterr().err


def test_where_nothing_is_priced_a_packing_is_refused(run, tmp_path, capsys):
    config = json.loads(run.config_file.read_text())
    other = tmp_path / "run"
    other.mkdir()
    for file in run.path.iterdir():
        if file.suffix in (".json", ".jsonl") and file.name != "manifest.json":
            (other / file.name).write_text(file.read_text())
    digital = {"mode": "digital", "device": "none", "weight_noise": None, "times": None}
    (other / "config.json").write_text(json.dumps({**config, **digital}))
    assert main(["report", str(other), *WORDS]) == 2
    assert "`packing` must be left out with --device none" in capsys.readouterr().err
    assert main(["report", str(run.path), str(other), *WORDS]) == 0
