"""How pulses move the devices: up and down through their range, and where both directions are in balance.

The measurement of a device paper, on simulated devices: fabricate many, bring them down, send as many pulses up as
nominal steps fit into the range, then as many down, and repeat all of it with the same devices. What differs between
repeats is cycle-to-cycle noise (with the write noise of the reading); what differs between the devices' averages
is device-to-device spread. Numbers that single devices have (steps, states, symmetry points) are measured on their
noise-free twins, with the same bounds and mean steps, as an experimenter would with very many repeats.
"""

from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..aihwkit_adapter import OneSidedUnitCell, PulsedDevice
from ..device_model import TrainingConfig
from ..pulsed import DeviceArray, fabricate, granularity_of, send_pulses
from ..pulsed.symmetry import symmetry_points
from ..streams import generator
from ..units import Dimensionless
from .pulse_response import PulseResponse
from .table import Quantity, over_devices

_REPEATS = 8  # assumed: enough to tell cycle-to-cycle noise from device-to-device spread within 4 % each
_POINTS = 60  # at most, in each direction
_TRACES = 4
_LEVELS = 21  # weights at which steps are measured
# Bringing the devices down takes so many ramps: what is left of a soft bound's range is then exp(-3) or less.
_BRING_DOWN = 3


def device_with_weight(config: TrainingConfig) -> tuple[PulsedDevice, bool]:
    """Return the device that holds the weight, and whether pulses only raise it.

    Of several devices the last one holds the weight (Tiki-Taka), or all are alike.

    Args:
        config: aihwkit's configuration to train with.
    """
    device: Any = config.device
    device = getattr(device, "device", device)  # mixed precision keeps a device within its compound
    is_one_way = isinstance(device, OneSidedUnitCell)
    return (getattr(device, "unit_cell_devices", None) or [device])[-1], is_one_way


@torch.no_grad()
def measure_pulse_response(
    device: PulsedDevice, *, is_one_way: bool = False, devices: int = 1000, seed: int = 0
) -> PulseResponse:
    """Fabricate devices and send them pulses.

    Args:
        device: aihwkit's description of a plain pulsed device.
        is_one_way: Whether to leave out all pulses down.
        devices: How many devices.
        seed: Names devices and noise; the same seed, the same answer.
    """
    array = _repeated(fabricate(device, 1, devices, 1, seed=seed), _REPEATS)
    twins = fabricate(_without_noise(device), 1, devices, 1, seed=seed)
    rng = generator(seed, "characterisation", "pulses")
    steps = max(2, round((device.w_max - device.w_min) / granularity_of(device)))
    points = min(_POINTS, steps)
    ramp = torch.linspace(0, steps, points + 1).round().to(torch.int64)
    bursts = ramp.diff().tolist()
    bursts += [] if is_one_way else [-burst for burst in reversed(bursts)]
    weights = _ramps(array, bursts, is_one_way, rng)
    within = weights.var(dim=1)
    between = (weights.mean(dim=1).var(dim=1) - within.mean(dim=1) / _REPEATS).clamp(min=0)
    levels = torch.linspace(0.95 * device.w_min, 0.95 * device.w_max, _LEVELS)
    up, down = _steps(twins, levels, is_one_way, rng)
    turn = points + 1
    return PulseResponse(
        pulses=torch.tensor([0, *bursts]).abs().cumsum(0),
        turn=turn,
        mean=weights.mean(dim=(1, 2)),
        device_std=between.sqrt(),
        cycle_std=within.mean(dim=1).sqrt(),
        traces=weights[:, 0, :_TRACES].T.contiguous(),
        levels=levels,
        step_up=up.nanmean(dim=1),
        step_down=down.nanmean(dim=1),
        cycle_noise=_step_noise(array, levels, is_one_way, rng).square().nanmean(dim=1).sqrt(),
        is_one_way=is_one_way,
        quantities=tuple(_quantities(array, twins, bursts, is_one_way, rng)),
    )


def _quantities(
    array: DeviceArray, twins: DeviceArray, bursts: list[int], is_one_way: bool, rng: torch.Generator
) -> list[Quantity]:
    reference = 0.0 if twins.reference is None else twins.reference
    low, high = ((bound - reference)[0, :, 0].double() for bound in (twins.min_bound, twins.max_bound))
    # Devices whose range begins at zero are looked at in its middle: at zero they cannot go down.
    at = 0.0 if float(low.median()) < 0 < float(high.median()) else float((low + high).median()) / 2
    level = torch.tensor([at])
    (up,), (down,) = _steps(twins, level, is_one_way, rng)
    (noise,) = _step_noise(array, level, is_one_way, rng)
    step = up if is_one_way else (up + down) / 2
    where = f"at weight {at:.3g}"
    pulses = sum(burst for burst in bursts if burst > 0)
    ramps = _ramps(twins, bursts, is_one_way, rng)[:, 0]  # (points, devices)
    turn = 1 + sum(burst > 0 for burst in bursts)
    rows = [
        over_devices("lowest weight", low, "1", "bound of the device"),
        over_devices("highest weight", high, "1", "bound of the device"),
        over_devices("range reached", ramps[turn - 1] - ramps[0], "1", f"after {pulses:,} pulses up"),
        over_devices("step", step, "1", f"mean size of one pulse {where}"),
        over_devices("cycle-to-cycle noise", noise, "1", f"of one pulse as it is read, {where}"),
        over_devices("states", (high - low) / step, "1", f"range over mean step {where}"),
        over_devices(
            "effective states",
            torch.where(noise > 0, (high - low) / noise, torch.nan),
            "1",
            "range over cycle-to-cycle noise",
        ),
        over_devices("nonlinearity up", _nonlinearity(ramps[:turn]), "1", _NONLINEARITY),
    ]
    if not is_one_way:
        rows += [
            over_devices("nonlinearity down", _nonlinearity(ramps[turn - 1 :]), "1", _NONLINEARITY),
            over_devices(
                "asymmetry", (up - down) / (up + down), "1", f"(step up - step down) / (their sum) {where}"
            ),
            over_devices(
                "symmetry point",
                symmetry_points(twins)[0, :, 0].double(),
                "1",
                "where steps up and down are equal, to which alternating pulses lead",
            ),
        ]
    return [row for row in rows if row is not None]


_NONLINEARITY = "P_max / A of w = B (1 - exp(-P / A)), from the weight at half the pulses; 0 is linear"


def _nonlinearity(ramp: Float[Tensor, "points devices"]) -> Float[Tensor, " devices"]:
    """Return the exponent of NeuroSim's saturating law (Chen, Peng and Yu, IEEE TCAD (2018)) for each device.

    Of a ramp from w_0 to w_1 in P_max pulses, w = w_0 + (w_1 - w_0) (1 - exp(-P/A)) / (1 - exp(-P_max/A)), the part u
    that is passed at P_max / 2 is 1 / (1 + exp(-P_max / 2A)); so P_max / A = 2 ln(u / (1 - u)).
    """
    middle = (len(ramp) - 1) // 2
    # Points are evenly spaced but for rounding; an odd number of bursts has its middle between two points.
    half = ramp[middle] if len(ramp) % 2 else (ramp[middle] + ramp[middle + 1]) / 2
    u = (half - ramp[0]) / (ramp[-1] - ramp[0])
    return torch.where((u > 0) & (u < 1), 2 * (u / (1 - u)).log(), torch.nan)


def _ramps(
    array: DeviceArray, bursts: list[int], is_one_way: bool, rng: torch.Generator
) -> Float[Tensor, "points repeats devices"]:
    """Bring the devices down, send the bursts, and read before and after each."""
    if is_one_way:
        array.set_weights(array.min_bound, rng=rng)
    else:
        # In short bursts: long ones are computed as a whole, less exactly at the bounds.
        for burst in (burst for burst in bursts if burst > 0):
            _send(array, -_BRING_DOWN * burst, rng)
    readings = [array.weight[..., 0].clone()]
    for burst in bursts:
        _send(array, burst, rng)
        readings.append(array.weight[..., 0].clone())
    return torch.stack(readings).double()


def _steps(
    twins: DeviceArray, levels: Tensor, is_one_way: bool, rng: torch.Generator
) -> tuple[Float[Tensor, "levels devices"], Float[Tensor, "levels devices"]]:
    """Return the steps of noise-free devices up and down at some weights; NaN beyond a device's bounds.

    Both as sizes. One-way devices have no steps down: NaN.
    """
    up, down = (
        torch.stack([_one_pulse(twins, float(level), sign, rng)[0] for level in levels]) for sign in (1, -1)
    )
    return up, torch.full_like(down, torch.nan) if is_one_way else down


def _step_noise(
    array: DeviceArray, levels: Tensor, is_one_way: bool, rng: torch.Generator
) -> Float[Tensor, "levels devices"]:
    """Return the standard deviation of one step as it is read, over repeats, rms of both directions."""
    signs = (1,) if is_one_way else (1, -1)
    return torch.stack(
        [
            torch.stack([_one_pulse(array, float(level), sign, rng).var(dim=0) for sign in signs]).mean(dim=0)
            for level in levels
        ]
    ).sqrt()


def _one_pulse(
    array: DeviceArray, level: Dimensionless, sign: int, rng: torch.Generator
) -> Float[Tensor, "repeats devices"]:
    """Put every device at a weight, send one pulse, and return how far it went, as a size.

    NaN for devices whose bounds do not reach the weight.
    """
    array.set_weights(torch.full(array.shape, level), rng=rng)
    before = array.hidden_weight[..., 0].double()
    _send(array, sign, rng)
    moved = sign * (array.weight[..., 0].double() - before)
    return moved.masked_fill((before - level).abs() > 1e-6, torch.nan)


def _send(array: DeviceArray, pulses: int, rng: torch.Generator) -> None:
    send_pulses(array, torch.full(array.shape, pulses, dtype=torch.int64), rng=rng)


def _repeated(one: DeviceArray, repeats: int) -> DeviceArray:
    """Return an array of tiles that all have the devices of one, which begin where those of the one stand."""
    array = deepcopy(one)
    for name, values in one.named_buffers():
        if values.dim() == 3:
            array.register_buffer(name, values.expand(repeats, -1, -1).contiguous())
    return array


def _without_noise(device: PulsedDevice) -> PulsedDevice:
    """Return the description of devices that are fabricated alike, and move and are read without noise."""
    quiet = deepcopy(device)
    quiet.dw_min_std = 0.0
    if hasattr(quiet, "write_noise_std"):
        quiet.write_noise_std = 0.0
    return quiet
