"""What characterise promises of every device in the catalogue."""

import csv
import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import (
    MixedPrecisionCompound,
    OneSidedUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from torch import Tensor

from devices import Characterisation, catalogue, characterise, get
from devices.characterisation import Quantity
from devices.characterisation.moments import MOMENTS, YEAR
from devices.characterisation.pulse_measurement import device_with_weight
from devices.characterisation.retention import measure_retention
from devices.times import MeasuredTimes

every_device = pytest.mark.parametrize("name", catalogue())
ages = pytest.mark.parametrize("name", catalogue("inference"))
DEVICES = 40


def tensors(part: object) -> dict[str, Tensor]:
    if part is None:
        return {}
    found = {field.name: getattr(part, field.name) for field in fields(part)}  # type: ignore[arg-type]
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def parts(characterisation: Characterisation) -> tuple[object, ...]:
    return characterisation.response, characterisation.programming, characterisation.drift


@every_device
def test_every_device_is_characterised(name: str, tmp_path: Path) -> None:
    device, found = get(name), characterise(name, devices=DEVICES)
    assert found.name == name
    assert (found.response is None) == (device.build_training is None)
    can_be_written = device.build is not None and device.g_max is not None
    assert (found.programming is not None) == can_be_written
    assert (found.drift is not None) == can_be_written
    assert bool(found.retention) == (device.build is not None)
    rows = found.rows()
    assert len({row.name for row in rows}) == len(rows) > 0
    for row in rows:
        assert math.isfinite(row.value), row
        assert row.spread is None or (math.isfinite(row.spread) and row.spread >= 0), row
        assert row.unit in ("1", "µS"), row
    found.write_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        read = [
            Quantity(line[0], float(line[1]), float(line[2]) if line[2] else None, *line[3:])
            for line in list(csv.reader(file))[1:]
        ]
    assert read == rows


@every_device
def test_the_same_devices_give_the_same_answer(name: str) -> None:
    one, two = (characterise(name, devices=DEVICES, seed=3) for _ in range(2))
    assert one.rows() == two.rows()
    assert one.retention == two.retention
    for first, second in zip(parts(one), parts(two), strict=True):
        for key, value in tensors(first).items():
            assert torch.equal(value.nan_to_num(), tensors(second)[key].nan_to_num()), key


@pytest.mark.parametrize("name", ["pcm", "reram-sb", "reram-wan2022", "reram-cmo"])
def test_other_devices_give_another_answer(name: str) -> None:
    one, two = (characterise(name, devices=DEVICES, seed=seed) for seed in (3, 4))
    assert all(first != second for first, second in zip(one.retention, two.retention, strict=True))
    for first, second in zip(parts(one), parts(two), strict=True):
        assert (first is None) == (second is None)
    changed = {row.name: row.value for row in one.rows()}
    same = [row.name for row in two.rows() if changed.get(row.name) == row.value]
    assert set(same) <= {"lowest weight"}  # one-way devices all begin at zero


@every_device
def test_torchs_own_generator_stands_still(name: str) -> None:
    before = torch.get_rng_state()
    characterise(name, devices=10)
    assert torch.equal(torch.get_rng_state(), before)


@ages
def test_drift_keeps_to_the_times_of_the_model(name: str) -> None:
    device, drift = get(name), characterise(name, devices=DEVICES).drift
    if drift is None:
        return
    times = drift.times.tolist()
    assert all(device.valid_at(time) for time in times)
    assert times == sorted(times)
    if isinstance(device.valid_times, MeasuredTimes):
        assert tuple(times) == device.valid_times.times
        assert not drift.is_continuous
    else:
        assert drift.is_continuous
        assert (times[0], times[-1]) == pytest.approx((1.0, YEAR))
        # In ln t, power laws move by exponents of 0.1 at most, CMO by 0.3 µS. New draws at each time would jump by
        # several hundredths of g_max between times that are 0.29 apart.
        speed = drift.traces.double().diff(dim=-1).abs() / drift.times.log().diff()
        assert speed.max() < 0.15 * float(device.g_max or 0)


@ages
def test_retention_keeps_to_the_times_of_the_model(name: str) -> None:
    device = get(name)
    found = measure_retention(device, devices=DEVICES)
    expected = [time for time in MOMENTS if device.valid_at(time)]
    for compensation in ("none", "global", "per_tile", "per_column"):
        assert [point.time for point in found if point.compensation == compensation] == expected
    assert len(found) == 4 * len(expected)


@ages
def test_what_nobody_measured_is_called_extrapolated(name: str) -> None:
    device, found = get(name), characterise(name, devices=DEVICES)
    for point in found.retention:
        assert point.is_extrapolated == device.is_extrapolated(point.time)
        assert point.row().note.endswith("; extrapolated") == point.is_extrapolated
    if found.drift is not None:
        times = zip(found.drift.times.tolist(), found.drift.is_extrapolated.tolist(), strict=True)
        assert all(outside == device.is_extrapolated(time) for time, outside in times)
    for row in found.programming.rows() if found.programming is not None else []:
        if row.name == "read noise after 1 y":
            assert row.note.endswith("; extrapolated") == device.is_extrapolated(YEAR)


def test_the_long_times_of_pcm_are_extrapolated() -> None:
    notes = {row.name: row.note for row in characterise("pcm", devices=DEVICES).rows()}
    assert "extrapolated" not in notes["read noise after 1 s"]
    assert "extrapolated" in notes["read noise after 1 y"]
    assert "extrapolated" in notes["retention error after 1 y, none"]


def test_an_ideal_device_forgets_nothing() -> None:
    found = characterise("ideal", devices=DEVICES)
    # float32 weights, through conductances and back.
    assert all(point.error < 1e-5 for point in found.retention)


def test_of_several_devices_the_last_holds_the_weight() -> None:
    fast, slow = ConstantStepDevice(dw_min=0.1), SoftBoundsDevice(dw_min=0.01)
    assert device_with_weight(SingleRPUConfig(device=slow)) == (slow, False)
    for cell in (TransferCompound, VectorUnitCell):
        config = UnitCellRPUConfig(device=cell(unit_cell_devices=[fast, slow]))
        assert device_with_weight(config) == (slow, False)
    config = UnitCellRPUConfig(device=OneSidedUnitCell(unit_cell_devices=[slow]))
    assert device_with_weight(config) == (slow, True)
    digital = DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=slow))
    assert device_with_weight(digital) == (slow, False)


def test_a_device_model_of_ones_own_is_characterised() -> None:
    """By what it is, not by its name in the catalogue."""
    assert characterise(get("ecram"), devices=DEVICES).rows() == characterise("ecram", devices=DEVICES).rows()


def test_too_few_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="`devices` must be at least 10, but is 9"):
        characterise("pcm", devices=9)
