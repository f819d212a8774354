"""Choices for layers by name pattern, as a command line has them: placements and packings."""

import pytest
import torch

from crossbar import EventLedger, convert_to_analog, load_profile, price, record_events, replace_placement
from crossbar.cost.packing import parse_packing
from crossbar.layer_patterns import parse_choices
from devices import get
from experiments.runs.ledger_file import EvaluationEvents, RunEvents
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.rows import scheme_label
from experiments.support.json_files import read_json, write_json
from models import build


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("free", "free"),
        ("replicated(tiles=4,sync_every=1)", "replicated(tiles=4,sync_every=1)"),
        ("local1=free", {"local1": "free"}),
        ("local1 = free , l*=blocks(rows=2,cols=2)", {"local1": "free", "l*": "blocks(rows=2,cols=2)"}),
    ],
)
def test_texts(text, choices):
    assert parse_choices(text, argument="placement") == choices


@pytest.mark.parametrize("text", ["local1=free,block", "a=free,a=block"])
def test_patterns_without_a_name_or_given_twice_are_refused(text):
    with pytest.raises(ValueError, match="`placement` must name every pattern of layers once"):
        parse_choices(text, argument="placement")


def placements(model):
    return [layer.placement.name for layer in model.modules() if hasattr(layer, "placement")]


def test_networks_are_built_layer_by_layer():
    assert placements(build("fcn_digits", "local1=time_multiplexed")) == ["time_multiplexed", "free"]
    assert placements(build("cnn_digits", "local2=free,local*=replicated(tiles=4)")) == ["replicated", "free"]
    with pytest.raises(ValueError, match="'conv' fits none"):
        build("cnn_digits", "conv=free")


def test_runs_have_a_placement_for_each_layer():
    wish = TrainConfig(model="cnn_digits", placement="local1=free,local2=replicated(tiles=4)")
    run = resolve(wish, (1, 8, 8))
    assert run.placement == wish.placement
    with pytest.raises(ValueError, match="`placement`"):
        resolve(TrainConfig(model="cnn_digits", placement="local9=free"), (1, 8, 8))
    assert scheme_label(wish.placement) == wish.placement


def test_trained_kernels_are_placed_anew_layer_by_layer():
    analog = convert_to_analog(build("cnn_digits"), get("pcm").rpu_config())
    placed = replace_placement(analog, "local1=replicated(tiles=4)", (1, 8, 8))
    assert placements(placed) == ["replicated", "time_multiplexed"]


def test_packing_of_each_layer():
    assert parse_packing("dense") == "dense"
    analog = convert_to_analog(build("fcn_digits"), get("pcm").rpu_config()).eval()
    with record_events(analog) as ledger:
        analog(torch.zeros(1, 1, 8, 8))
    profile = load_profile("hermes-pcm")
    whole = price(ledger, profile, packing=parse_packing("local1=block,*=none"))
    block, none = (price(ledger, profile, packing=parse_packing(name)) for name in ("block", "none"))
    assert whole.layers["local1"].arrays == block.layers["local1"].arrays < none.layers["local1"].arrays
    assert whole.layers["local2"].arrays == none.layers["local2"].arrays
    assert SharingCostConfig(packing="local*=block", packed="local*=union,*=dense").packing == "local*=block"
    with pytest.raises(ValueError, match="`packed` must be one of none, block, union, dense, but is 'tight'"):
        SharingCostConfig(packed="local*=tight")


def test_ledgers_of_earlier_versions_are_priced_with_a_word(tmp_path):
    analog = convert_to_analog(build("fcn_digits"), get("pcm").rpu_config()).eval()
    with record_events(analog) as ledger:
        analog(torch.zeros(1, 1, 8, 8))
    file = tmp_path / "ledger.json"
    RunEvents(None, EvaluationEvents(ledger, ledger)).write(file)
    now = RunEvents.read(file).evaluation.inference
    content = read_json(file)
    assert content["format"].endswith(" 2")
    content["format"] = "crossbar-emulator ledger 1"
    for part in (content["programming"], content["inference"]):
        for layer in part["layers"].values():
            del layer["most_pulses_at_least"]
    write_json(file, content)
    then = RunEvents.read(file).evaluation.inference
    assert isinstance(then, EventLedger)
    old, new = (price(one, load_profile("hermes-pcm")) for one in (then, now))
    assert old.energy_by_component() == new.energy_by_component()
    assert any("counted by an earlier version" in note for note in old.notes)
    assert not any("earlier version" in note for note in new.notes)
    content["format"] = "crossbar-emulator ledger 3"
    write_json(file, content)
    with pytest.raises(ValueError, match="something else"):
        RunEvents.read(file)
