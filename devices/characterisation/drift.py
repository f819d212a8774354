"""What becomes of single devices after programming: trajectories, and the spread of their exponents."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import final

from ..device_model import DeviceModel
from ..times import MeasuredTimes
from ..trajectories import trajectory_of
from ..units import MicroSiemens, Seconds
from .moments import DAY, YEAR
from .programming import write_levels
from .table import Quantity, over_devices

_PARTS_OF_RANGE = (0.25, 0.5, 0.75, 1.0)
_TIMES = 61
_TRACES = 6


@final
@dataclass(frozen=True, kw_only=True)
class DriftTrajectories:
    """Conductances of single devices against the time since programming, without read noise, in µS.

    Attributes:
        times: (times) when the devices were looked at, in s.
        is_extrapolated: (times) whether a time lies outside what was measured.
        g_target: (levels) what was asked for.
        traces: (levels, traced, times) a few devices.
        mean: (levels, times) mean over all devices.
        std: (levels, times) device-to-device spread.
        exponents: (levels, devices) exponents of power laws fitted to the trajectories; None if the model of the
            device is no power law.
        change: (levels, devices) relative change of conductance within `change_time`.
        change_time: A day, or the last time before that the model knows.
        is_continuous: Whether the times stand for a continuous history, or for a few single measurements.
    """

    times: Float[Tensor, " times"]
    is_extrapolated: Bool[Tensor, " times"]
    g_target: Float[Tensor, " levels"]
    traces: Float[Tensor, "levels traced times"]
    mean: Float[Tensor, "levels times"]
    std: Float[Tensor, "levels times"]
    exponents: Float[Tensor, "levels devices"] | None
    change: Float[Tensor, "levels devices"]
    change_time: Seconds
    is_continuous: bool

    def rows(self) -> list[Quantity]:
        """Return the rows of the table."""
        rows: list[Quantity | None] = []
        note = "relative to the conductance after programming, without read noise"
        if self.is_extrapolated[self.times.tolist().index(self.change_time)]:
            note += "; extrapolated"
        for level, g_target in enumerate(self.g_target.tolist()):
            at = f"at a target of {g_target:.3g} µS"
            if self.exponents is not None:
                rows.append(
                    over_devices(
                        f"drift exponent {at}",
                        self.exponents[level],
                        "1",
                        "nu of g = g_0 ((t + t_0) / t_0)^-nu, fitted device by device",
                    )
                )
            rows.append(
                over_devices(
                    f"change after {self.change_time:g} s {at}",
                    self.change[level],
                    "1",
                    note,
                )
            )
        return [row for row in rows if row is not None]


@torch.no_grad()
def measure_drift(
    device: DeviceModel, *, devices: int = 1000, seed: int = 0, last: Seconds = YEAR
) -> DriftTrajectories | None:
    """Write devices to some conductances and follow them.

    Args:
        device: A device that knows how it ages.
        devices: How many devices for each target.
        seed: Names the devices.
        last: When to stop.

    Returns:
        What was measured; None if the range of conductances of the device is not known.
    """
    if device.g_max is None:
        return None
    noise_model: Any = device.noise_model()
    g_target = _levels(device.g_min or 0.0, device.g_max)
    written = write_levels(noise_model, g_target, devices, seed)
    trajectory = trajectory_of(noise_model)
    is_continuous = not isinstance(device.valid_times, MeasuredTimes)
    times = _times(device, last)
    g = torch.stack([trajectory.drift(written, time) for time in times], dim=-1)  # (levels, devices, times)
    change_time = max(time for time in times if time <= DAY)
    start = trajectory.drift(written, times[0]) if not is_continuous else written.g_programmed
    return DriftTrajectories(
        times=torch.tensor(times, dtype=torch.float64),
        is_extrapolated=torch.tensor([device.is_extrapolated(time) for time in times]),
        g_target=g_target,
        traces=g[:, :_TRACES].clone(),
        mean=g.mean(dim=1),
        std=g.std(dim=1),
        exponents=_exponents(g, times, noise_model.t_0) if hasattr(noise_model, "t_0") else None,
        change=trajectory.drift(written, change_time) / torch.where(start > 0, start, torch.nan) - 1,
        change_time=change_time,
        is_continuous=is_continuous,
    )


def _levels(g_min: MicroSiemens, g_max: MicroSiemens) -> Float[Tensor, " levels"]:
    return g_min + (g_max - g_min) * torch.tensor(_PARTS_OF_RANGE, dtype=torch.float64)


def _times(device: DeviceModel, last: Seconds) -> list[Seconds]:
    """Return the measured times, or 1 s to the last time with a day among them, evenly in the logarithm."""
    if isinstance(device.valid_times, MeasuredTimes):
        return [time for time in device.valid_times.times if time <= last]
    even = torch.logspace(0, math.log10(last), _TIMES, dtype=torch.float64).tolist()
    return sorted({*(time for time in even if device.valid_at(time)), DAY})


def _exponents(
    g: Float[Tensor, "levels devices times"], times: list[Seconds], t_0: Seconds
) -> Float[Tensor, "levels devices"]:
    """Fit ln g = c - nu ln((t + t_0) / t_0) to every device by least squares; NaN for a device that is off."""
    x = (torch.tensor(times, dtype=torch.float64) / t_0).log1p()
    x = x - x.mean()
    y = torch.where((g > 0).all(dim=-1, keepdim=True), g, torch.nan).log()
    y = y - y[..., :1]  # a device that stands still has an exponent of exactly zero
    return -(y * x).sum(dim=-1) / x.square().sum()
