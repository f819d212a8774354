"""What refreshing pairs of one-way devices takes stands apart, and pairs are looked at when they can be full."""

from typing import Any

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import OneSidedUnitCell
from aihwkit.simulator.configs.devices import ConstantStepDevice

from crossbar import (
    AnalogLinear,
    EventLedger,
    LocallyConnected2d,
    convert_to_analog,
    load_profile,
    price,
    record_events,
    use_refresh,
)
from crossbar.cost.events import LayerEvents, LayerShape
from crossbar.learning.refresh import LineCounts
from crossbar.learning.synchronisation import SyncCounts, count_synchronisation
from devices import get
from devices.pulsed import WriteCounts

STEP, RATE = 0.01, 1.0


def config(every: int = 1) -> UnitCellRPUConfig:
    """Every pulse is one step of 0.01, up to 1: 75 fill a device to the upper threshold, 25 to the lower."""
    exact = dict.fromkeys(
        ("dw_min_dtod", "dw_min_std", "up_down", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0
    )
    device = ConstantStepDevice(dw_min=STEP, w_max=1.0, w_min=0.0, **exact)
    cell = OneSidedUnitCell(unit_cell_devices=[device], refresh_every=every)
    cell.refresh_forward.is_perfect = True
    result = UnitCellRPUConfig(device=cell)
    result.forward.is_perfect = result.backward.is_perfect = True
    result.mapping.weight_scaling_omega = 0.0
    # Of both lines every slot holds a pulse: a device receives 5 for a vector of ones.
    result.update.desired_bl, result.update.fixed_bl = 5, True
    result.update.update_management = result.update.update_bl_management = False
    return result


def train(layer: AnalogLinear, signs: list[float]) -> EventLedger:
    """Send five pulses to the plus or the minus device of every pair, for each sign."""
    optimizer = AnalogSGD(layer.parameters(), lr=1.01 * 5 * STEP)
    with record_events(layer.train()) as ledger:
        for sign in signs:
            optimizer.zero_grad()
            (sign * layer(torch.ones(1, 4))).sum().backward()
            optimizer.step()
    return ledger


def linear(rule: Any = "every-batch") -> AnalogLinear:
    layer = AnalogLinear(4, 3, bias=False, rpu_config=config())
    layer.set_weights(torch.zeros(3, 4))
    use_refresh(layer, rule)
    return layer


def whole_numbers(lines: LineCounts) -> None:
    """Take the rounding out of 75 + 25 pulses."""
    lines.to_fill = 100.0
    lines.wait.fill_(25.0)


def refresh_of(ledger: EventLedger) -> dict[str, int]:
    return dict(ledger.layers[""].counts["refresh"])


def test_a_pair_is_looked_at_when_it_can_be_full() -> None:
    layer = linear("when-full")
    lines = layer.tile_array.cells.lines
    assert lines.to_fill == pytest.approx(75 + 25)
    whole_numbers(lines)
    # 25 pulses, then twice and four times as many: nothing was full.
    looks = [refresh_of(train(layer, [1.0, -1.0] * 2 + [1.0])).get("readback_rows", 0) for _ in range(8)]
    assert looks == [8, 0, 8, 0, 0, 0, 8, 0]
    every = refresh_of(train(linear(), [1.0, -1.0] * 20))["readback_rows"]
    assert every == 40 * 8


def test_full_pairs_are_found_by_both_rules_and_end_alike() -> None:
    """Plus goes to its bound, minus after it. Of 205 pulses the second rule looks after 25, 75 and 175."""
    signs = [-1.0] * 21 + [1.0] * 20
    for rule in ("every-batch", "when-full"):
        layer = linear(rule)
        ledger = train(layer, signs)
        cells = layer.tile_array.cells
        assert refresh_of(ledger)["refreshes"] >= 12, rule
        full = (torch.maximum(cells.plus.weight, cells.minus.weight) > 0.75) & (
            torch.minimum(cells.plus.weight, cells.minus.weight) > 0.25
        )
        assert rule == "when-full" or not full.any()


def test_a_tile_that_finds_many_full_pairs_waits_less() -> None:
    layer = linear("when-full")
    lines = layer.tile_array.cells.lines
    whole_numbers(lines)
    some = torch.tensor([True])
    waits = []
    for full in (0.0, 0.01, 0.5, 0.5, 0.001, 0.0, 0.0, 0.0):
        lines.looked(some, torch.tensor([full]))
        waits.append(round(float(lines.wait[0]), 6))
    assert waits == [50, 50, 25, 12.5, 25, 50, 100, 100]


def test_refreshes_are_billed_by_hand_in_a_phase_of_their_own() -> None:
    layer = linear()
    ledger = train(layer, [-1.0] * 16 + [1.0] * 14)
    profile = load_profile("hermes-pcm").scaled("static_power", 0)
    counts = refresh_of(ledger)
    assert counts["refreshes"] > 0
    bill = price(ledger, profile)
    reads = 30 * 2 * 4  # word lines of plus and minus
    assert counts["readback_rows"] == reads
    read = profile["dac_energy"] + 3 * (profile["adc_energy"] + profile["cell_energy"])
    resets = counts["programming_pulses"] * profile["devices_per_pulse"] * profile["programming_energy"]
    written = counts.get("update_pulses", 0) * profile["devices_per_pulse"] * profile["update_pulse_energy"]
    lines = counts.get("line_pulses", 0) * profile["line_pulse_energy"]
    assert bill.energy(phase="refresh") == pytest.approx(reads * read + resets + written + lines)
    seconds = reads * profile["cycle_time"] + counts["serial_resets"] * profile["programming_time"]
    assert bill.seconds("refresh") == pytest.approx(
        seconds + counts.get("serial_slots", 0) * profile["slot_time"]
    )
    assert bill.energy("programming", "update") == bill.energy("adc", "update") == 0


def test_refreshes_in_the_course_of_a_synchronisation_are_no_part_of_its_cost() -> None:
    shape = LayerShape(tiles=2, in_size=4, out_size=3, tile_shape=(3, 4), in_channels=4)
    events = LayerEvents(shape=shape)
    write = WriteCounts(
        pulses=50, verify_rows=30, serial_rows=20, adc=90, refreshed=4, refresh_pulses=18, refresh_rows=12,
        refresh_serial_rows=8,
    )  # fmt: skip
    count_synchronisation(events, SyncCounts(write, readback_rows=8, serial_readback_rows=4))
    sync, refresh = events.counts["synchronisation"], events.counts["refresh"]
    assert (sync["programming_pulses"], sync["verify_rows"], sync["serial_rows"]) == (32, 18, 12)
    assert sync["mvms"] == 18 + 8
    assert (refresh["programming_pulses"], refresh["readback_rows"], refresh["serial_rows"]) == (18, 12, 8)
    assert (refresh["refreshes"], refresh["mvms"]) == (4, 12)


def test_phase_change_memory_of_copies_refreshes_apart_from_the_synchronisation() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d(1, 3, 2, 3, placement="replicated(tiles=2,sync_every=1)")
    net = convert_to_analog(layer, get("pcm").training_config())
    optimizer = AnalogSGD(net.parameters(), lr=0.5)
    with record_events(net.train()) as ledger:
        for _ in range(12):
            optimizer.zero_grad()
            (net(torch.rand(8, 1, 3, 3)) * torch.randn(8, 3, 2, 2)).sum().backward()
            optimizer.step()
    counts = ledger.layers[""].counts
    cells = net.tile_array.cells
    assert counts["refresh"]["refreshes"] == int(cells.refreshes.sum()) > 0
    devices = cells.device_arrays().values()
    assert sum(one.pulse_count is not None for one in devices) == 0  # they forget
    assert counts["refresh"]["programming_pulses"] >= 2 * counts["refresh"]["refreshes"]
    assert all(number >= 0 for phase in counts.values() for number in phase.values())


def test_rules_that_cannot_be_followed_are_refused() -> None:
    with pytest.raises(ValueError, match="one-way"):
        use_refresh(AnalogLinear(4, 2, rpu_config=get("ecram").training_config()), "when-full")
    with pytest.raises(ValueError, match="`refresh_every` must be above 0"):
        use_refresh(AnalogLinear(4, 2, rpu_config=config(every=0)), "when-full")
    with pytest.raises(ValueError, match="one of when-full, every-batch"):
        linear().tile_array.cells.use_refresh("never")
