"""Recording changes nothing and leaves nothing behind; ledgers add up, and keep what they hold on the disk."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig
from torch import Tensor, nn

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    EventLedger,
    LocallyConnected2d,
    load_model,
    program_chip,
    record_events,
    save_model,
    seed_noise,
    write_verify_config,
)
from crossbar.cost.events import EVENTS, PHASES, LayerEvents, LayerShape
from crossbar.layers.analog_layer import AnalogLayer
from crossbar.network.event_recording import shape_of
from devices import get

X = torch.rand(3, 1, 5, 5, generator=torch.Generator().manual_seed(0))
CONFIGS: dict[str, Callable[[], Any]] = {
    "inference": InferenceRPUConfig,
    "reram": lambda: get("reram-sb").training_config(),
    "tiki-taka": lambda: get("tiki-taka-reram-sb").training_config(),
    "mixed precision": lambda: get("mixed-precision-reram-sb").training_config(),
    "one-sided": lambda: get("pcm").training_config(),
    "write-verify": lambda: write_verify_config(get("ecram").training_config()),
}


def network(kind: str, placement: str = "replicated(tiles=4)") -> nn.Sequential:
    torch.manual_seed(0)
    config = CONFIGS[kind]()
    config.mapping.weight_scaling_omega = 0.5
    local = AnalogLocallyConnected2d(1, 3, 3, 5, placement=placement, rpu_config=config)
    small = copy.deepcopy(config)
    small.mapping.max_input_size = 10
    model = nn.Sequential(
        local, nn.Tanh(), nn.Flatten(), AnalogLinear(27, 4, rpu_config=small), nn.Linear(4, 2)
    )
    seed_noise(model, 1)
    return model


def train(model: nn.Module, steps: int = 3) -> Tensor:
    optimizer = AnalogSGD(model.parameters(), lr=0.5)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(X).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return model.eval()(X)


def traces(model: nn.Module) -> list[Any]:
    """Everything that a recording could leave on a model."""
    found: list[Any] = []
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found.append((sum(map(len, hooks)), sorted(module.__dict__), sorted(module._buffers)))
        found.append([name for name, value in module._buffers.items() if value is None])
        found.append([getattr(module, name, None) for name in ("events", "repeats")])
    return found


@pytest.mark.parametrize("placement", ["free", "replicated(tiles=4)", "random(tiles=2,redraw=True)"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_recording_changes_no_number_and_leaves_nothing_behind(kind: str, placement: str) -> None:
    plain, recorded = network(kind, placement), network(kind, placement)
    torch.manual_seed(2)
    expected = train(plain)
    untouched = traces(recorded)
    torch.manual_seed(2)
    with record_events(recorded) as ledger:
        outputs = train(recorded)
    assert torch.equal(outputs, expected)
    state, other = plain.state_dict(), recorded.state_dict()
    assert state.keys() == other.keys()
    for name, value in state.items():
        assert torch.equal(value.nan_to_num(7.0), other[name].nan_to_num(7.0)), name
    fresh = traces(plain)
    assert [one for one in traces(recorded) if one not in fresh] == []
    assert len(untouched) == len(fresh)
    assert ledger.steps == 3
    assert ledger.total("digital_macs") > 0
    assert torch.equal(recorded(X), plain(X))


def test_nothing_is_counted_after_the_block() -> None:
    model = network("reram")
    with record_events(model) as ledger:
        loss = model.train()(X).square().mean()
    before = copy.deepcopy(ledger)
    loss.backward()
    train(model)
    assert ledger == before
    assert ledger.total("mvms", "backward") == 0
    with record_events(model) as other:
        pass
    assert all(not any(layer.counts.values()) for layer in other.layers.values())


def test_an_exception_ends_the_recording_with_what_was_counted() -> None:
    model = network("reram")
    untouched = traces(model)

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("in between")

    failing = nn.Sequential(model, Failing())
    with pytest.raises(ValueError, match="in between"), record_events(failing) as ledger:
        failing(X)
    assert traces(model) == untouched
    assert ledger.layers["0.0"].total("mvms") == 3 * 9
    with record_events(model) as again:
        model.eval()(X)
    assert again.layers["0"].total("mvms") == 3 * 9


@pytest.mark.parametrize("is_digital", [True, False])
def test_a_model_is_recorded_once_at_a_time(is_digital: bool) -> None:
    model = (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 2)) if is_digital else network("reram")
    )
    model.eval()
    with record_events(model) as ledger:
        model(X)
        before = traces(model)
        with pytest.raises(RuntimeError, match="recorded already"), record_events(model):
            pass
        assert traces(model) == before
        with pytest.raises(RuntimeError, match="recorded already"), record_events(nn.Sequential(model)):
            pass
        model(X)
    with record_events(model) as once:
        model(X)
    assert {name: once.layers[name] + once.layers[name] for name in once.layers} == ledger.layers


@pytest.mark.parametrize("kind", CONFIGS)
def test_models_that_were_recorded_are_copied_and_saved_as_others(kind: str, tmp_path: Path) -> None:
    model = network(kind)
    with record_events(model):
        train(model)
    twin = copy.deepcopy(model)
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", network(kind)).eval()
    assert traces(twin) == traces(model)
    assert traces(loaded) == traces(network(kind))
    for other in (twin, loaded):
        for layer in (0, 3):
            assert torch.equal(model[layer].get_weights()[0], other[layer].get_weights()[0])
    with record_events(twin) as ledger:
        twin(X)
    assert ledger.images == 3
    assert model[0].tile_array.events is None


def test_pulses_that_were_counted_before_stay_and_add_up_to_wear() -> None:
    model = network("reram", "free")
    devices = next(iter(model[0].tile_array.cells.device_arrays().values()))
    devices.count_pulses()
    sums, most = 0, []
    for _ in range(3):
        with record_events(model) as ledger:
            train(model, steps=1)
        sums += ledger.layers["0"].total("update_pulses")
        most.append(ledger.layers["0"].most_pulses)
    assert sums == int(devices.pulses().sum()) > 0
    # Each ledger has the wear of its own step, of whichever device that was.
    assert max(most) <= int(devices.pulses().max()) <= sum(most)


def test_several_recordings_add_up_to_one() -> None:
    plain, parts = network("reram"), network("reram")
    with record_events(plain) as whole:
        for _ in range(3):
            train(plain, steps=1)
    sums: EventLedger | None = None
    for _ in range(3):
        with record_events(parts) as part:
            train(parts, steps=1)
        sums = part if sums is None else sums + part
    assert sums is not None
    assert (sums.steps, sums.images, sums.training_images) == (3, 9, 9)
    for name, layer in whole.layers.items():
        assert sums.layers[name].counts == layer.counts


def test_programming_is_counted_once_for_every_cell() -> None:
    model = network("inference", "free").eval()
    with record_events(model) as ledger:
        program_chip(model, compensation="none", seed=0)
    assert ledger.layers["0"].counts["programming"] == {"written_cells": 9 * 27}
    assert ledger.layers["3"].counts["programming"] == {
        "written_cells": 27 * 4
    }  # 9 inputs on each of 3 tiles
    assert not ledger.layers["4"].counts["programming"]


# Ledgers -----------------------------------------------------------------------------------------------------------


def ledger_of(kind: str = "reram") -> EventLedger:
    model = network(kind)
    with record_events(model) as ledger:
        train(model)
    return ledger


@pytest.mark.parametrize("kind", ["reram", "write-verify", "inference"])
def test_ledgers_survive_json(kind: str) -> None:
    ledger = ledger_of(kind)
    text = json.dumps(ledger.to_json())
    back = EventLedger.from_json(json.loads(text))
    assert back == ledger
    assert json.dumps(back.to_json()) == text
    assert back + back == ledger + ledger


def damage(path: str, value: Any) -> dict[str, Any]:
    """Replace, or with `...` remove, what lies at a path of a good ledger's JSON."""
    whole: dict[str, Any] = json.loads(json.dumps(ledger_of().to_json()))
    *way, last = path.split("/")
    part = whole
    for key in way:
        part = part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("steps", ..., "must have the fields"),
        ("steps", -1, "whole numbers"),
        ("steps", 1.0, "whole numbers"),
        ("images", True, "whole numbers"),
        ("more", 1, "must have the fields"),
        ("layers", [], "must have the fields"),
        ("layers/0", 3, "must have `shape`"),
        ("layers/0/most_pulses", ..., "must have `shape`"),
        ("layers/0/most_pulses", None, "whole numbers"),
        ("layers/0/counts", [], "must be a table"),
        ("layers/0/counts/sleeping", {}, "known phases"),
        ("layers/0/counts/forward", [], "known phases"),
        ("layers/0/counts/forward/mvm", 1, "known phases"),
        ("layers/0/counts/forward/mvms", -1, "whole numbers"),
        ("layers/0/counts/forward/mvms", "1", "whole numbers"),
        ("layers/0/shape", [], "fields of a layer's shape"),
        ("layers/0/shape/grid", ..., "fields of a layer's shape"),
        ("layers/0/shape/depth", 1, "fields of a layer's shape"),
        ("layers/0/shape/grid", [1], "`grid`"),
        ("layers/0/shape/grid", [1, 1.5], "`grid`"),
        ("layers/0/shape/tiles", 4.0, "`tiles`"),
        ("layers/0/shape/is_analog", 1, "`is_analog`"),
        ("layers/0/shape/placement", 3, "`placement`"),
    ],
)
def test_damaged_ledgers_are_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventLedger.from_json(damage(path, value))


@pytest.mark.parametrize("values", [None, 3, [], "ledger"])
def test_what_is_no_ledger_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="a ledger must have"):
        EventLedger.from_json(values)


def shape(**changes: Any) -> LayerShape:
    return LayerShape(**{"in_size": 4, "out_size": 3, "tile_shape": (3, 4), "in_channels": 4, **changes})


def test_sums_of_ledgers() -> None:
    first, second = LayerEvents(shape=shape(), most_pulses=5), LayerEvents(shape=shape(), most_pulses=3)
    first.add("forward", mvms=2)
    second.add("forward", mvms=3, scalings=1)
    one, two = (EventLedger(layers={"a": layer}, images=2, steps=1) for layer in (first, second))
    both = one + two
    assert both.total("mvms") == both.total("mvms", "forward") == 5
    assert both.total("mvms", "backward") == 0
    assert (both.images, both.steps, both.total("scalings")) == (4, 2, 1)
    # Which device received most, neither says: it may have been the same one, or two.
    assert (both.most_pulses, both.layers["a"].most_pulses_at_least) == (8, 5)
    again = EventLedger.from_json(both.to_json())
    assert (again.most_pulses, again.layers["a"].most_pulses_at_least) == (8, 5)
    with pytest.raises(ValueError, match="same network"):
        one + EventLedger(layers={"b": second})
    with pytest.raises(ValueError, match="same network"):
        one + EventLedger(layers={"a": LayerEvents(shape=shape(tiles=2))})


def test_rows_are_products_unless_those_are_counted_too() -> None:
    events = LayerEvents(shape=shape())
    events.add("gradient", verify_rows=2, readback_rows=5)
    assert events.counts["gradient"] == {
        "verify_rows": 2,
        "readback_rows": 5,
        "mvms": 7,
        "dac_conversions": 7,
        "adc_conversions": 21,
        "cell_reads": 21,
    }
    events.add("update", readback_rows=5, mvms=1)
    assert events.counts["update"] == {"readback_rows": 5, "mvms": 1}


def test_unknown_phases_and_events_are_refused() -> None:
    events = LayerEvents(shape=shape())
    with pytest.raises(ValueError, match="`phase`"):
        events.add("sleep", mvms=1)
    with pytest.raises(ValueError, match="'mvm'"):
        events.add("forward", mvm=1)
    assert not any(events.counts.values())
    assert set(events.counts) == set(PHASES)
    assert all(EVENTS.values())


def test_shapes_of_layers() -> None:
    model = network("one-sided")
    local, dense = shape_of(model[0]), shape_of(model[3])
    assert (local.locations, local.kernels, local.tiles, local.width) == (9, 1, 4, 3)
    assert (local.in_size, local.out_size, local.map_size, local.kernel_size) == (9, 3, (3, 3), (3, 3))
    assert (local.devices_per_weight, local.is_analog, local.physical_tiles, local.cells) == (2, True, 4, 27)
    assert local.placement == "replicated(tiles=4,sync_every=0)"
    assert (dense.grid, dense.tile_shape, dense.physical_tiles, dense.placement) == (
        (1, 3),
        (4, 9),
        3,
        "dense",
    )
    digital = shape_of(LocallyConnected2d(1, 3, 3, 5, placement="blocks(rows=1,cols=3)"))
    assert (digital.kernels, digital.width, digital.is_analog, digital.devices_per_weight) == (3, 3, False, 0)
    linear = shape_of(nn.Linear(4, 2))
    assert (linear.in_size, linear.out_size, linear.is_analog) == (4, 2, False)
    assert not isinstance(model[4], AnalogLayer)
    with pytest.raises(TypeError, match="Tanh"):
        shape_of(model[1])


def test_after_an_error_no_process_asks_the_others(monkeypatch):
    """They may know nothing of it, and would wait, or answer a question that was another one."""

    def ask(*_):
        raise AssertionError("asked")

    monkeypatch.setattr("crossbar.network.event_recording.analog_watch.AnalogWatch.enter", ask)
    monkeypatch.setattr("crossbar.network.event_recording.shared_images.SharedImages.enter", ask)
    layer = AnalogLinear(4, 2, rpu_config=get("ecram").training_config())
    with pytest.raises(KeyError), record_events(layer):
        _ = {}[layer]
    assert layer.tile_array.events is None
    assert all(
        devices.pulse_count is None for devices in layer.tile_array.in_situ.cells.device_arrays().values()
    )
    with pytest.raises(AssertionError, match="asked"), record_events(layer):
        layer(torch.zeros(3, 4))
