"""Pulses in a ledger against the steps that devices made: ours, and those of aihwkit's tiles."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import OneSidedUnitCell, TransferCompound, VectorUnitCell
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from aihwkit.simulator.configs.utils import (
    PulseType,
    VectorUnitCellUpdatePolicy,
)
from torch import Tensor

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    EventLedger,
    record_events,
)
from crossbar.layers.analog_layer import AnalogLayer

DW_MIN = 2.0**-10
# On a map of 2 x 2 locations: tiles, kernels, locations of the busiest tile.
SIZES = {
    "free": (4, 4, 1),
    "time_multiplexed": (1, 1, 4),
    "replicated": (4, 1, 1),
    "replicated(tiles=3)": (3, 1, 2),
    "blocks(rows=1,cols=2)": (2, 2, 2),
    "random(tiles=3)": (3, 3, 2),
}


def local_layer(placement: str, config: Any) -> AnalogLocallyConnected2d:
    """Kernels of 8 inputs and 5 outputs on a map of 2 x 2 locations."""
    torch.manual_seed(0)
    return AnalogLocallyConnected2d(2, 5, 2, 3, placement=placement, rpu_config=config)


def exact_device() -> ConstantStepDevice:
    """Every pulse moves by one step of DW_MIN, far from any bound: changes of weights count pulses exactly."""
    return ConstantStepDevice(
        dw_min=DW_MIN,
        dw_min_dtod=0.0,
        dw_min_std=0.0,
        up_down=0.0,
        up_down_dtod=0.0,
        w_max=1000.0,
        w_min=-1000.0,
        w_max_dtod=0.0,
        w_min_dtod=0.0,
    )


def exact_config(device: Any, kind: Any = PulseType.STOCHASTIC_COMPRESSED) -> Any:
    maker = SingleRPUConfig if isinstance(device, ConstantStepDevice) else UnitCellRPUConfig
    config = maker(device=device)
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.0
    config.update.pulse_type = kind
    return config


def fixed_lengths(config: Any) -> Any:
    """Trains of 7 slots for every vector."""
    config.update.desired_bl, config.update.fixed_bl = 7, True
    config.update.update_management = config.update.update_bl_management = False
    return config


def one_way_step(layer: AnalogLayer, x: Tensor, steps: int = 1, rate: float = 0.05) -> EventLedger:
    """Train with inputs above zero and gradients of a fixed sign: all pulses of a device go one way."""
    optimizer = AnalogSGD(layer.parameters(), lr=rate)
    signs = torch.tensor([1.0, -2.0, 0.5, -0.7, 1.5])
    with record_events(layer.train()) as ledger:
        for _ in range(steps):
            optimizer.zero_grad()
            y = layer(x)
            (y * signs.view(5, *[1] * (y.dim() - 2))).sum().backward()
            optimizer.step()
    return ledger


def steps_between(before: Tensor, after: Tensor) -> int:
    change = (after - before).double().abs() / DW_MIN
    assert torch.equal(change, change.round())
    return int(change.sum())


def positive(*shape: int) -> Tensor:
    return 0.1 + 0.9 * torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        (PulseType.STOCHASTIC_COMPRESSED, "exact"),
        (PulseType.STOCHASTIC_COMPRESSED, "aggregated"),
        (PulseType.STOCHASTIC, "exact"),
        (PulseType.DETERMINISTIC_IMPLICIT, "exact"),
    ],
)
@pytest.mark.parametrize("placement", ["free", "replicated(tiles=3)", "time_multiplexed"])
def test_update_pulses_are_the_steps_that_devices_made(placement: str, kind: Any, engine: Any) -> None:
    layer = local_layer(placement, exact_config(exact_device(), kind))
    array = layer.tile_array
    array.set_kernels(torch.zeros(array.kernels, 5, 8))
    assert array.in_situ is not None
    array.in_situ.engine = engine
    before = array.weight.clone()
    ledger = one_way_step(layer, positive(6, 2, 3, 3), steps=2)
    pulses = steps_between(before, array.weight)
    assert ledger.total("update_pulses") == ledger.total("update_pulses", "update") == pulses > 100
    assert ledger.most_pulses == round(float((array.weight - before).abs().max()) / DW_MIN)
    if kind != PulseType.DETERMINISTIC_IMPLICIT:
        # A pulse where n word lines meet m bit lines takes n + m pulses on lines, and n m on devices.
        assert ledger.total("line_pulses") > 0
        assert ledger.total("update_pulses") <= ledger.total("line_pulses") * 8


@pytest.mark.parametrize("placement", ["free", "time_multiplexed", "replicated(tiles=4)"])
def test_deterministic_pulses_are_the_steps_of_aihwkits_tiles(placement: str) -> None:
    config = exact_config(exact_device(), PulseType.DETERMINISTIC_IMPLICIT)
    ours = local_layer(placement, config)
    ours.tile_array.set_kernels(torch.zeros(ours.tile_array.kernels, 5, 8))
    theirs = deepcopy(ours)
    theirs.tile_array.use_backend("aihwkit")
    x = positive(4, 2, 3, 3)
    before = theirs.tile_array.weight.clone()
    ledger = one_way_step(ours, x)
    one_way_step(theirs, x)
    assert ledger.total("update_pulses") == steps_between(before, theirs.tile_array.weight) > 100


def test_broadcast_updates_cost_every_copy_its_pulses() -> None:
    """Trains are the same for all copies: three copies receive three times what one tile would."""
    config = exact_config(exact_device(), PulseType.DETERMINISTIC_IMPLICIT)
    x = positive(4, 2, 3, 3)
    one, three = (
        one_way_step(local_layer(name, config), x) for name in ("time_multiplexed", "replicated(tiles=3)")
    )
    assert three.total("update_pulses") == 3 * one.total("update_pulses") > 0
    # The trains of one kernel, one after the other, on all copies at once.
    assert three.total("serial_slots") == one.total("serial_slots") > 0
    assert three.most_pulses == one.most_pulses


def test_fixed_trains_take_their_length_for_every_vector_of_the_busiest_tile() -> None:
    for name, (tiles, kernels, width) in SIZES.items():
        config = fixed_lengths(exact_config(exact_device()))
        ledger = one_way_step(local_layer(name, config), positive(3, 2, 3, 3), steps=2)
        longest = (
            4 if tiles > kernels else width
        )  # a broadcast sends the vectors of all locations to all copies
        assert ledger.total("serial_slots") == 2 * 3 * longest * 7, name


@pytest.mark.parametrize("placement", ["free", "time_multiplexed", "replicated(tiles=3)"])
def test_certain_pulses_reach_every_line_and_device(placement: str) -> None:
    """Where every line pulses in all 7 slots, pulses have a closed formula."""
    layer = local_layer(placement, fixed_lengths(exact_config(exact_device())))
    optimizer = AnalogSGD(layer.parameters(), lr=1.01 * 7 * DW_MIN)
    with record_events(layer.train()) as ledger:
        layer(torch.ones(3, 2, 3, 3)).sum().backward()
        optimizer.step()
    tiles, kernels, _ = SIZES[placement]
    trains = 3 * 4 * tiles // kernels  # vectors, on every copy
    assert ledger.total("update_pulses") == trains * 7 * 8 * 5
    assert ledger.total("line_pulses") == trains * 7 * (8 + 5)


def test_slots_do_not_depend_on_how_often_recording_starts_anew() -> None:
    def total(blocks: int) -> int:
        layer = local_layer("free", exact_config(exact_device()))
        x = positive(3, 2, 3, 3)
        x[:, :, :2, :2] *= 0.01  # trains of different lengths
        return sum(one_way_step(layer, x, steps=4 // blocks).total("serial_slots") for _ in range(blocks))

    assert total(1) == total(4) == total(2)


def test_one_sided_pairs_count_both_devices_and_send_lines_once() -> None:
    cell = OneSidedUnitCell(unit_cell_devices=[exact_device()], refresh_every=0)
    torch.manual_seed(0)
    layer = AnalogLinear(8, 5, bias=False, rpu_config=exact_config(cell))
    layer.set_weights(torch.zeros(5, 8))
    cells = layer.tile_array.cells
    before = {name: array.weight.clone() for name, array in cells.device_arrays().items()}
    ledger = one_way_step(layer, positive(20, 8))
    after = cells.device_arrays()
    moved = {name: steps_between(before[name], after[name].weight) for name in after}
    assert min(moved.values()) > 0
    assert ledger.total("update_pulses") == sum(moved.values())
    assert ledger.layers[""].shape.devices_per_weight == 2

    torch.manual_seed(0)
    single = AnalogLinear(8, 5, bias=False, rpu_config=exact_config(exact_device()))
    single.set_weights(torch.zeros(5, 8))
    # The same trains in law, to 5 standard deviations of counts: a false alarm in more than a million runs.
    other = one_way_step(single, positive(20, 8))
    lines = ledger.total("line_pulses"), other.total("line_pulses")
    assert abs(lines[0] - lines[1]) < 5 * (sum(lines)) ** 0.5


def test_refreshing_pairs_reads_every_word_line_of_both_devices_and_counts_resets() -> None:
    device = SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=0.0)
    cell = OneSidedUnitCell(unit_cell_devices=[device], refresh_every=5)
    cell.units_in_mbatch = False
    cell.refresh_upper_thres, cell.refresh_lower_thres = 0.3, 0.1
    layer = AnalogLinear(8, 5, bias=False, rpu_config=exact_config(cell))
    optimizer = AnalogSGD(layer.parameters(), lr=1.0)
    with record_events(layer.train()) as ledger:
        for _ in range(10):  # 20 vectors each: 4 refreshes
            optimizer.zero_grad()
            (layer(positive(20, 8)) * torch.randn(20, 5)).sum().backward()
            optimizer.step()
    update, refresh = (dict(ledger.layers[""].counts[phase]) for phase in ("update", "refresh"))
    assert refresh["readback_rows"] == refresh["mvms"] == 40 * 2 * 8
    assert refresh["adc_conversions"] == 40 * 2 * 40
    assert refresh["serial_rows"] == 40 * 2 * 8
    assert "mvms" not in update
    refreshes = int(layer.tile_array.cells.refreshes.sum())
    assert refreshes == refresh["refreshes"] > 0
    # Both devices are reset, by one pulse each, and the difference is written to one of them, line by line.
    assert refresh["programming_pulses"] == 2 * refreshes
    assert 0 < refresh["serial_resets"] <= min(refreshes, 40 * 8)
    assert refresh["update_pulses"] > 0
    assert refresh["serial_slots"] > 0


@pytest.mark.parametrize("by_columns", [True, False])
def test_tiki_taka_counts_both_devices_and_what_it_reads(by_columns: bool) -> None:
    compound = TransferCompound(
        unit_cell_devices=[exact_device(), exact_device()],
        transfer_every=2,
        units_in_mbatch=False,
        n_reads_per_transfer=1,
        transfer_columns=by_columns,
        transfer_lr=1.0,
        gamma=0.0,
    )
    compound.transfer_forward.is_perfect = True
    layer = AnalogLinear(8, 5, bias=False, rpu_config=fixed_lengths(exact_config(compound)))
    layer.set_weights(torch.zeros(5, 8))
    arrays = layer.tile_array.cells.device_arrays()
    for array in arrays.values():
        array.count_pulses()
    before = {name: array.weight.clone() for name, array in arrays.items()}
    ledger = one_way_step(layer, positive(6, 8))  # three transfers of different lines
    moved = {name: steps_between(before[name], arrays[name].weight) for name in arrays}
    assert len(moved) == 2
    assert min(moved.values()) > 0
    update = dict(ledger.layers[""].counts["update"])
    assert update["update_pulses"] == sum(moved.values())
    assert update["updates"] == 6
    # Lines are pulsed once for a vector, also if the emulator goes through them line by line between two reads.
    assert int(arrays["fast"].slots) == 6 * 7
    assert int(arrays["fast"].line_pulses) <= 6 * 7 * (8 + 5)
    assert update["serial_slots"] == 6 * 7 + int(arrays["slow"].slots)
    assert update["line_pulses"] == sum(int(array.line_pulses) for array in arrays.values())
    assert (
        update["readback_rows"] == update["mvms"] == update["dac_conversions"] == update["serial_rows"] == 3
    )
    assert update["adc_conversions"] == update["cell_reads"] == 3 * (5 if by_columns else 8)


@pytest.mark.parametrize(
    "policy", [VectorUnitCellUpdatePolicy.ALL, VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL]
)
def test_cells_of_several_devices_share_their_lines(policy: Any) -> None:
    cell = VectorUnitCell(unit_cell_devices=[exact_device() for _ in range(3)], update_policy=policy)
    layer = AnalogLinear(8, 5, bias=False, rpu_config=fixed_lengths(exact_config(cell)))
    layer.set_weights(torch.zeros(5, 8))
    arrays = layer.tile_array.cells.device_arrays()
    before = {name: array.weight.clone() for name, array in arrays.items()}
    ledger = one_way_step(layer, positive(6, 8))
    moved = [steps_between(before[name], arrays[name].weight) for name in arrays]
    assert len(moved) == 3
    assert min(moved) > 0
    update = dict(ledger.layers[""].counts["update"])
    assert update["update_pulses"] == sum(moved)
    assert update["serial_slots"] == 6 * 7
    assert update["line_pulses"] <= 6 * 7 * (8 + 5)
