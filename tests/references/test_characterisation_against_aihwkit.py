"""What characterise measures with pulses, against the same measurements on aihwkit's C++ tiles, pulse by pulse.

The devices are aihwkit's: copied from one of its tiles, which then receives the same pulses through vectors of ones.
Without noise both compute the same float32 numbers. aihwkit rounds once for each pulse (6e-8 of a weight near 1), at
most 4 ramps of 400 pulses: 1e-4 holds with room for the error of quotients of steps. Laws without a closed form
follow long bursts by a midpoint rule, which stays below a hundredth of the range.

aihwkit's noise cannot be seeded. Spreads over repeats are compared at Z = 5.5 standard errors, 2 devices x 12 points:
a false alarm in a million runs. Its table of normal numbers adds 2 % to the error, as in
tests/statistics/test_pulsed_update.py.
"""

import math
from dataclasses import replace

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    LinearStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile
from torch import Tensor

from devices.characterisation import PulseResponse, pulse_measurement
from devices.characterisation.pulse_measurement import measure_pulse_response
from devices.pulsed import DeviceArray, from_hidden
from helpers.step_devices import LINEAR, OTHERS, step_devices

DEVICES, STEP = 60, 0.005
Z, TABLE_ERROR = 5.5, 0.02
COMMON = {"dw_min": STEP, "construction_seed": 3, "w_max": 1.0, "w_min": -1.0, "up_down": 0.1}
QUIET = {**COMMON, "dw_min_std": 0.0}
QUIET_DEVICES = step_devices(*LINEAR, *OTHERS, **QUIET)
NOISY = {
    "linear": LinearStepDevice(gamma_up=0.3, gamma_down=0.2, dw_min_std=3.0, **COMMON),
    "soft bounds, write noise": SoftBoundsDevice(dw_min_std=1.0, write_noise_std=5.0, **COMMON),
}


def tile_of(device: PulsedDevice, devices: int) -> AnalogTile:
    update = UpdateParameters(
        desired_bl=1,
        fixed_bl=True,
        update_management=False,
        update_bl_management=False,
        pulse_type=PulseType.DETERMINISTIC_IMPLICIT,
    )
    tile = AnalogTile(devices, 1, SingleRPUConfig(device=device, update=update))
    tile.set_learning_rate(STEP)
    return tile


def send(tile: AnalogTile, pulses: int) -> Tensor:
    """Send every device as many pulses, down if negative, and read."""
    vectors = torch.ones(abs(pulses), 1)
    tile.tile.update(
        vectors, -math.copysign(1.0, pulses) * vectors.expand(-1, tile.out_size).contiguous(), False
    )
    return tile.tile.get_weights()[:, 0].clone().double()


def measure_both(
    device: PulsedDevice, monkeypatch: pytest.MonkeyPatch, devices: int = DEVICES
) -> tuple[PulseResponse, AnalogTile, DeviceArray]:
    """Measure copies of a tile's devices; return what was found, the tile and one more copy."""
    tile = tile_of(device, devices)
    hidden, start = tile.get_hidden_parameters(), tile.tile.get_weights()[None].clone()

    def copy(like: PulsedDevice, *_shape: int, seed: int) -> DeviceArray:
        return from_hidden(like, [hidden], start.clone())

    monkeypatch.setattr(pulse_measurement, "fabricate", copy)
    return measure_pulse_response(device, devices=devices), tile, copy(device, seed=0)


def ramp(tile: AnalogTile, response: PulseResponse) -> Tensor:
    """Bring the devices down as the measurement does, and read them at its points: (points, devices)."""
    steps = int(response.pulses[response.turn - 1])
    send(tile, -3 * steps)
    readings = [send(tile, 0)]
    for index, burst in enumerate(response.pulses.diff().tolist()):
        readings.append(send(tile, burst if index < response.turn - 1 else -burst))
    return torch.stack(readings)


def median(response: PulseResponse, name: str) -> float:
    return next(row.value for row in response.rows() if row.name == name)


@pytest.mark.parametrize("name", QUIET_DEVICES)
def test_ramp(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    response, tile, _ = measure_both(QUIET_DEVICES[name], monkeypatch)
    readings = ramp(tile, response)
    margin = 1e-4 if name in LINEAR else 0.02
    assert readings.std(dim=1).max() > 0.05  # else there were no spread to compare
    assert (response.mean - readings.mean(dim=1)).abs().max() < margin
    assert (response.device_std - readings.std(dim=1)).abs().max() < margin
    assert (response.traces - readings.T[: len(response.traces)]).abs().max() < margin
    assert response.cycle_std.abs().max() < 1e-6  # the devices come back to where they were
    # Soft bounds remember a little of where a ramp began: the noise-free twins had been sent one pulse from zero.
    tile.tile.set_weights(torch.zeros(DEVICES, 1))
    send(tile, -1)
    readings = ramp(tile, response)
    top = readings[response.turn - 1] - readings[0]
    assert median(response, "range reached") == pytest.approx(float(top.quantile(0.5)), abs=margin)


@pytest.mark.parametrize("name", QUIET_DEVICES)
def test_steps_and_what_follows_from_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pulse up and one down from weight zero, by aihwkit."""
    response, tile, array = measure_both(QUIET_DEVICES[name], monkeypatch)
    reference = 0.0 if array.reference is None else array.reference[0, :, 0]
    zero = torch.zeros(DEVICES, 1)
    sizes = []
    for sign in (1, -1):
        tile.tile.set_weights(zero)
        sizes.append(sign * send(tile, sign))
    up, down = sizes
    low, high = (float((b[0, :, 0] - reference).quantile(0.5)) for b in (array.min_bound, array.max_bound))
    # A step of 0.005 is the difference of two float32 numbers, of a weight and a reference of 0.1: 1e-5 of it.
    assert median(response, "step") == pytest.approx(float(((up + down) / 2).quantile(0.5)), rel=1e-4)
    assert median(response, "asymmetry") == pytest.approx(
        float(((up - down) / (up + down)).quantile(0.5)), abs=1e-4
    )
    ranges = (array.max_bound - array.min_bound)[0, :, 0]
    assert median(response, "states") == pytest.approx(
        float((ranges / ((up + down) / 2)).quantile(0.5)), rel=1e-4
    )
    assert median(response, "lowest weight") == pytest.approx(low, rel=1e-6)
    assert median(response, "highest weight") == pytest.approx(high, rel=1e-6)
    middle = len(response.levels) // 2
    assert float(response.levels[middle]) == 0
    assert float(response.step_up[middle]) == pytest.approx(float(up.mean()), rel=1e-4)
    assert float(response.step_down[middle]) == pytest.approx(float(down.mean()), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["linear", "soft bounds", "soft bounds, reference", "exponential", "piecewise"]
)
def test_symmetry_point(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where single pulses up and down lead aihwkit's devices in the end; those at a bound have no such point.

    They end stepping between two weights with the point between them: their mean is less than half a step off.
    """
    response, tile, array = measure_both(QUIET_DEVICES[name], monkeypatch)
    reference = torch.zeros(DEVICES) if array.reference is None else array.reference[0, :, 0]
    tile.tile.set_weights(torch.zeros(DEVICES, 1))
    pairs = 30_000  # exponential steps are all but equal in the middle: it takes long
    gradients = torch.tensor([[1.0], [-1.0]]).repeat(pairs, DEVICES)
    tile.tile.update(torch.ones(2 * pairs, 1), gradients, False)
    high = tile.tile.get_weights()[:, 0].double()
    low = send(tile, -1)
    points = (low + high) / 2
    top, bottom = (bound[0, :, 0] - reference for bound in (array.max_bound, array.min_bound))
    inside = (high < top - 1e-6) & (low > bottom + 1e-6)
    assert inside.sum() > DEVICES / 2
    assert points[inside].std() > 0.01
    assert median(response, "symmetry point") == pytest.approx(float(points[inside].quantile(0.5)), abs=STEP)


def test_constant_steps_have_no_symmetry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    response, _, _ = measure_both(QUIET_DEVICES["constant"], monkeypatch)
    assert "symmetry point" not in {row.name for row in response.rows()}


@pytest.mark.parametrize("name", NOISY)
def test_cycle_to_cycle_noise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    devices, repeats = 400, 8
    response, tile, _ = measure_both(NOISY[name], monkeypatch, devices)
    start, readings = tile.tile.get_weights().clone(), []
    for _ in range(repeats):
        tile.tile.set_weights(start)  # slow devices remember where a ramp began
        readings.append(ramp(tile, response))
    theirs = torch.stack(readings).var(dim=0).mean(dim=1).sqrt()  # (points,)
    # Both sides have an error; the sample variance of normal numbers scatters by sqrt(2 / degrees of freedom).
    margin = Z * math.sqrt(1 / (devices * (repeats - 1))) + TABLE_ERROR
    # Without the first point, where devices stand at a bound: tests/references/test_send_pulses.py on bursts there.
    assert (response.cycle_std[10::10] / theirs[10::10] - 1).abs().max() < margin
    assert theirs.min() > 0.005


@pytest.mark.parametrize("up_down", [0.1, 0.5])
@pytest.mark.parametrize("name", NOISY)
def test_noise_of_one_pulse(name: str, up_down: float, monkeypatch: pytest.MonkeyPatch) -> None:
    devices, repeats = 400, 30
    response, tile, array = measure_both(replace(NOISY[name], up_down=up_down), monkeypatch, devices)
    variances = []
    for sign in (1, -1):
        after = []
        for _ in range(repeats):
            tile.tile.set_weights(torch.zeros(devices, 1))
            after.append(send(tile, sign))
        variances.append(torch.stack(after).var(dim=0))
    variance = torch.stack(variances)
    theirs = variance.mean().sqrt()
    middle = len(response.levels) // 2
    # Ours are 8 repeats in two directions, theirs 30; noise differs by a few tenths from device to device, at most
    # doubling the variance of an average over them.
    margin = Z * math.sqrt((1 / 7 + 1 / 29) / (2 * devices)) + TABLE_ERROR
    assert float(response.cycle_noise[middle]) == pytest.approx(float(theirs), rel=margin)
    effective = (array.max_bound - array.min_bound)[0, :, 0] / variance.mean(dim=0).sqrt()
    # Single devices: the median of a spread from 14 degrees of freedom is low by 2 %; the median of many scatters by
    # sqrt(pi / 2) more than the mean, and ranges differ.
    assert median(response, "effective states") == pytest.approx(
        float(effective.quantile(0.5)), rel=0.02 + 2 * margin
    )


@pytest.mark.parametrize("name", NOISY)
def test_numbers_of_single_devices_are_free_of_noise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, _, _ = measure_both(NOISY[name], monkeypatch)
    quiet, _, _ = measure_both(replace(NOISY[name], dw_min_std=0.0, write_noise_std=0.0), monkeypatch)
    ours = {
        row.name: row for row in noisy.rows() if "noise" not in row.name and row.name != "effective states"
    }
    theirs = {row.name: row for row in quiet.rows()}
    assert len(ours) >= 8
    for what, row in ours.items():
        # Both begin where aihwkit's tile began, which a soft bound remembers a little.
        assert row.value == pytest.approx(theirs[what].value, rel=1e-3, abs=1e-6), what


def test_devices_alike_have_no_spread() -> None:
    """Whatever noise they have: it is taken off, up to its own error. Z for each of 121 points, one side."""
    alike = {
        f"{what}_dtod": 0.0 for what in ("dw_min", "up_down", "w_max", "w_min", "gamma_up", "gamma_down")
    }
    device = LinearStepDevice(gamma_up=0.3, gamma_down=0.2, dw_min_std=3.0, **COMMON, **alike)
    response = measure_pulse_response(device, devices=400)
    of_mean = response.cycle_std.square() / 8  # repeats
    assert (response.device_std.square() < Z * of_mean * math.sqrt(2 / 400)).all()


def test_nonlinearity_of_soft_bounds() -> None:
    """Each pulse closes the same part of what is left to the bound, so the law is exact: P_max / A = -P ln(1 - STEP).

    From bound to bound, 400 pulses: 2.005. Bringing down leaves exp(-6) of the range, which does not matter to an
    exponential.
    """
    alike = {f"{what}_dtod": 0.0 for what in ("dw_min", "up_down", "w_max", "w_min")}
    device = SoftBoundsDevice(dw_min=STEP, up_down=0.0, w_max=1.0, w_min=-1.0, dw_min_std=0.0, **alike)
    response = measure_pulse_response(device, devices=10)
    expected = -400 * math.log(1 - STEP)
    # Quotients of float32 weights; points of bursts of 6 or 7 pulses: the middle is 200 pulses exactly.
    assert median(response, "nonlinearity up") == pytest.approx(expected, abs=1e-4)
    assert median(response, "nonlinearity down") == pytest.approx(expected, abs=1e-4)
    straight = ConstantStepDevice(dw_min=STEP, up_down=0.0, w_max=1.0, w_min=-1.0, dw_min_std=0.0, **alike)
    assert median(measure_pulse_response(straight, devices=10), "nonlinearity up") == pytest.approx(
        0, abs=1e-4
    )
