"""How far devices end up from the conductance that they were written to, and how much one read scatters."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import final

from ..aihwkit_adapter import BaseNoiseModel
from ..device_model import DeviceModel
from ..streams import generator
from ..trajectories import WrittenDevices, trajectory_of
from ..units import MicroSiemens, Seconds
from .moments import DAY, MOMENTS, YEAR
from .table import Quantity

_LEVELS = 21
_READ_TIMES: tuple[Seconds, ...] = (1.0, DAY, YEAR)


@final
@dataclass(frozen=True, kw_only=True)
class ProgrammingError:
    """Miss of one write and scatter of one read against the target, in µS.

    Attributes:
        g_target: (levels) what was asked for.
        mean: (levels) mean of what was written less what was asked for.
        std: (levels) its device-to-device spread.
        read_times: Times after programming of the reads; only those that the model states something about.
        is_extrapolated: Whether these times lie outside what was measured.
        read_std: (times, levels) scatter of one read about the conductance at that time. Zero where the model has no
            read noise of its own.
        g_max: The largest target.
    """

    g_target: Float[Tensor, " levels"]
    mean: Float[Tensor, " levels"]
    std: Float[Tensor, " levels"]
    read_times: tuple[Seconds, ...]
    is_extrapolated: tuple[bool, ...]
    read_std: Float[Tensor, "times levels"]
    g_max: MicroSiemens

    def rows(self) -> list[Quantity]:
        """Return the rows of the table."""
        worst = int(self.std.argmax())
        rows = [
            Quantity(
                "programming error",
                float(self.std.square().mean().sqrt()),
                None,
                "µS",
                "standard deviation, rms over evenly spaced targets",
            ),
            Quantity(
                "largest programming error",
                float(self.std[worst]),
                None,
                "µS",
                f"standard deviation, at a target of {float(self.g_target[worst]):.3g} µS",
            ),
        ]
        middle = len(self.g_target) // 2
        for time, outside, std in zip(self.read_times, self.is_extrapolated, self.read_std, strict=True):
            if not std.any():
                continue  # the model knows no read noise, which is not to say that there is none
            note = f"standard deviation of one read at a target of {float(self.g_target[middle]):.3g} µS"
            rows.append(
                Quantity(
                    f"read noise after {MOMENTS[time]}",
                    float(std[middle]),
                    None,
                    "µS",
                    f"{note}; extrapolated" if outside else note,
                )
            )
        return rows


def write_levels(
    noise_model: BaseNoiseModel, levels: Float[Tensor, " levels"], devices: int, seed: int
) -> WrittenDevices:
    """Write many devices to each of some conductances.

    Args:
        noise_model: How the devices are written and age.
        levels: The targets in µS.
        devices: How many devices for each.
        seed: Names the devices.

    Returns:
        The devices, (levels, devices).
    """
    return trajectory_of(noise_model).write(levels[:, None].expand(-1, devices).contiguous(), (seed, 0))


@torch.no_grad()
def measure_programming(
    device: DeviceModel, *, devices: int = 1000, seed: int = 0
) -> ProgrammingError | None:
    """Write devices to evenly spaced conductances, and read them once at some times.

    Args:
        device: A device that knows how it is written.
        devices: How many devices for each target.
        seed: Names devices and reads.

    Returns:
        What was measured; None if the range of conductances of the device is not known.
    """
    if device.g_max is None:
        return None
    noise_model = device.noise_model()
    levels = torch.linspace(device.g_min or 0.0, device.g_max, _LEVELS, dtype=torch.float64)
    written = write_levels(noise_model, levels, devices, seed)
    error = written.g_programmed - written.g_target
    trajectory = trajectory_of(noise_model)
    times = tuple(time for time in _READ_TIMES if device.valid_at(time))
    scatter = [
        trajectory.read(written, time, generator(seed, "characterisation", "read", round(time)))
        - trajectory.drift(written, time)
        for time in times
    ]
    return ProgrammingError(
        g_target=levels,
        mean=error.mean(dim=1),
        std=error.std(dim=1),
        read_times=times,
        is_extrapolated=tuple(device.is_extrapolated(time) for time in times),
        read_std=torch.stack([noise.std(dim=1) for noise in scatter]) if scatter else torch.empty(0, _LEVELS),
        g_max=float(device.g_max),
    )
