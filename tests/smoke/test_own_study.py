"""Studies of networks and data that nobody here has seen before, from files written for the test."""

import json
import resource

import pytest

from experiments.cli import main
from experiments.studies.sharing_cost.config import SharingCostConfig
from helpers.own_files import write_blobs, write_networks, write_table
from helpers.residual_network import write_residual_network, write_shapes

LAYERS = ["0", "2.conv1", "2.norm1", "2.conv2", "2.skip", "5"]


def names_in_table(text):
    """Return the first cells of the table of layers."""
    table = text.partition("## Layers of")[2].partition("\n## ")[0]
    return [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]


@pytest.mark.slow
def test_every_layer_is_in_the_table(tmp_path):
    words = ["sharing-cost", "--model", f"{write_networks(tmp_path)}:build", "--data", write_blobs(tmp_path)]
    words += ["--schemes", "time_multiplexed", "free", "blocks(rows=9,cols=9)", "--devices", "ecram"]
    words += [
        "--mechanisms",
        "in-situ",
        "--tile-counts",
        "2",
        "--seeds",
        "0",
        "--epochs",
        "1",
        "--chips",
        "1",
    ]
    out = tmp_path / "study"
    assert main([*words, "--jobs", "1", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    text = (out / "sharing_cost.md").read_text()
    assert names_in_table(text) == LAYERS
    assert "| 2.norm1 | BatchNorm2d | 12 | digital |" in text
    content = json.loads((out / "sharing_cost.json").read_text())
    assert [row["scheme"] for row in content["rows"]][:2] == ["time_multiplexed", "free"]
    assert "blocks(rows=9,cols=9)" in content["left_out"]
    assert "layer '0'" in content["left_out"]["blocks(rows=9,cols=9)"]
    priced = out / "again"
    words = ["sharing-cost", "--from", str(out), "--profile", "isaac-reram", "--out", str(priced)]
    assert main(words) == 0
    assert names_in_table((priced / "sharing_cost.md").read_text()) == LAYERS


def test_without_convolutions_there_is_one_scheme(tmp_path):
    words = ["sharing-cost", "--model", f"{write_networks(tmp_path)}:table", "--data", write_table(tmp_path)]
    words += [
        "--devices",
        "ecram",
        "--mechanisms",
        "write-verify",
        "--seeds",
        "0",
        "--epochs",
        "1",
        "--chips",
        "1",
    ]
    out = tmp_path / "study"
    assert main([*words, "--jobs", "1", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    content = json.loads((out / "sharing_cost.json").read_text())
    assert [row["scheme"] for row in content["rows"]] == ["as built"]
    assert "all are the same hardware" in content["left_out"]["free"]
    assert "R²" in (out / "sharing_cost.md").read_text()


def test_devices_are_compared_on_it(tmp_path, capsys):
    words = [
        "compare-devices",
        "--model",
        f"{write_networks(tmp_path)}:table",
        "--data",
        write_table(tmp_path),
    ]
    words += ["--devices", "reram-cmo", "--seeds", "0", "--epochs", "2", "--chips", "1", "--times", "1s"]
    out = tmp_path / "study"
    assert main([*words, "--jobs", "1", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert "my_network.table has no layer with several locations" in capsys.readouterr().out
    text = (out / "compare_devices.md").read_text()
    assert "## my_network.table: as built" in text
    assert "R² on the test images" in text


def test_a_quick_look_at_a_network_that_is_named_is_shorter():
    named, usual = (SharingCostConfig(quick=True, model=m).resolved() for m in ("resnet20_cifar10", None))
    assert (named.tile_counts, named.epochs, named.mechanisms) == ((), 3, ("in-situ", "hwa"))
    assert (usual.tile_counts, usual.epochs) == ((1, 4, 16), 5)
    assert "write-verify" in usual.mechanisms
    options = {"tile_counts": (2,), "epochs": 4, "mechanisms": ("write-verify",)}
    asked = SharingCostConfig(quick=True, model="resnet20_cifar10", **options).resolved()
    assert {name: getattr(asked, name) for name in options} == options


def _cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.mark.slow
def test_the_quick_study_of_a_residual_network(tmp_path):
    """500 images of 3 x 24 x 24 and 20,925 parameters on one core: in under ten minutes, every layer in the table."""
    words = ["--model", f"{write_residual_network(tmp_path)}:build", "--data", write_shapes(tmp_path, 500)]
    out = tmp_path / "study"
    began = _cpu_seconds()
    words += ["--quick", "--jobs", "1", "--runs", str(tmp_path / "runs"), "--out", str(out)]
    assert main(["sharing-cost", *words]) == 0
    assert _cpu_seconds() - began < 600
    text = (out / "sharing_cost.md").read_text()
    blocks = [(f"{name}.{part}", "norm" in part) for name in ("stage1.0", "stage1.1") for part in _PARTS]
    blocks += [
        (f"{name}.{part}", "norm" in part) for name in ("stage2", "stage3") for part in (*_PARTS, "skip")
    ]
    expected = [("stem", False), ("norm", True), *blocks, ("head", False)]
    assert names_in_table(text) == [name for name, _ in expected]
    for name, is_digital in expected:
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} | "))
        assert ("| digital |" in row) == is_digital
    content = json.loads((out / "sharing_cost.json").read_text())
    assert not content["failed"]
    assert len(content["rows"]) == 11
    assert "--tile-counts 1 4 16 adds them" in text
    assert "--mechanisms in-situ write-verify hwa adds it" in text


_PARTS = ("conv1", "norm1", "conv2", "norm2")
