"""Writing devices to targets by pulses and reads: the write-verify loop, with everything it costs.

Pulses do not say where they lead, so a controller reads, compares and pulses again:

    read every word line with a one-hot input;
    send each device that is off by more than the tolerance a burst of |error| / granularity pulses, at least one;
    read those word lines again that hold an unfinished device; at most `max_iterations` times.

A device is finished when it first reads within the tolerance; later reads of its word line leave it alone. A
tolerance below half a step would ask for what no pulse can do: then half a step of the nominal device is taken.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import prange
from torch import Tensor

from ..units import Dimensionless
from .arrays import as_arrays, lent
from .device_array import DeviceArray
from .engines.bursts import many_pulses
from .engines.single_pulses import pulse_one_by_one
from .random_numbers import normal, start
from .threaded_loops import threaded

# Longer bursts are computed as a whole: the mean and the noise of many pulses are known in closed form, or by the
# midpoint rule. assumed: here both ways take about as long.
_LONG_BURST = 32


@final
@dataclass(frozen=True, kw_only=True)
class WriteVerify:
    """How devices are written to a target; in units of the weights on the array, whose largest is about 1.

    Attributes:
        tolerance: Largest error of a finished device. Le Gallo et al., Nat. Electron. 6, 680 (2023): 5 counts of an
            8-bit ADC, whose range is 256 counts.
        read_noise: Standard deviation of the noise of one read. assumed: a quarter of the tolerance.
        max_iterations: Bursts that a device gets, at most. Le Gallo et al. (2023): 30.

    Raises:
        ValueError: If a number is negative or not finite, or no burst is allowed.
    """

    tolerance: Dimensionless = 0.02
    read_noise: Dimensionless = 0.005
    max_iterations: int = 30

    def __post_init__(self) -> None:
        for name in ("tolerance", "read_noise"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"`{name}` must be finite and at least 0, but is {value}. Weights are counted in units of the "
                    "array's largest."
                )
        if self.max_iterations < 1:
            raise ValueError(
                f"`max_iterations` must be at least 1, but is {self.max_iterations}. One burst is the least."
            )


@final
@dataclass(frozen=True)
class WriteCounts:
    """What writing cost, counted as it happened; `+` adds writes that follow each other.

    Attributes:
        pulses: Pulses sent to devices.
        verify_rows: Word lines read, over all tiles and iterations.
        serial_rows: Word lines read on the busiest tile: tiles work in parallel, the lines of one do not.
        adc: Bit lines converted: all those of every word line that is read.
        devices: Devices that received a pulse; a pair counts as one.
        unfinished: Devices that last read beyond the tolerance.
        iterations: Bursts that the slowest device needed.
        refreshed: Pairs that had filled up and were reset.
        refresh_pulses: Of the pulses, those that resets took, and those that pairs received after theirs.
        refresh_rows: Of the word lines read, those read to find pairs that are full.
        refresh_serial_rows: Likewise, of the busiest tile.
    """

    pulses: int = 0
    verify_rows: int = 0
    serial_rows: int = 0
    adc: int = 0
    devices: int = 0
    unfinished: int = 0
    iterations: int = 0
    refreshed: int = 0
    refresh_pulses: int = 0
    refresh_rows: int = 0
    refresh_serial_rows: int = 0

    def __add__(self, other: "WriteCounts") -> "WriteCounts":
        """Add what a later write cost; of the iterations the larger number is kept."""
        names = (field.name for field in fields(self) if field.name != "iterations")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return WriteCounts(**sums, iterations=max(self.iterations, other.iterations))


@torch.no_grad()
def write_verify(
    devices: DeviceArray,
    target: Float[Tensor, "tiles out in"],
    settings: WriteVerify,
    *,
    rng: torch.Generator,
    where: Bool[Tensor, "tiles out in"] | None = None,
) -> WriteCounts:
    """Write devices to their targets.

    Args:
        devices: The devices; changed in place.
        target: The weight that each should show.
        settings: Tolerance, noise of the reads, most bursts.
        rng: Draws the noise of reads and pulses.
        where: Which devices to write; if None, all that `are_written`.

    Returns:
        What it cost. A word line without any device to write is not read.

    Raises:
        ValueError: If a target has another shape or is not finite, or no pulse moves the devices.
    """
    if where is None:
        where = are_written(devices)
    granularity = float(devices.granularity)

    def send(at: Tensor, error: Tensor, iteration: int) -> Sent:
        counts = burst(error, granularity)
        send_at(devices, at, counts, rng=rng)
        return Sent(int(counts.abs().sum()))

    return run_loop(
        target, where, settings, granularity, lambda at: devices.weight.reshape(-1)[at], send, rng=rng
    )


@final
@dataclass(frozen=True)
class Sent:
    """What one round of the loop sent.

    Attributes:
        pulses: Pulses, over all devices.
        refreshed: Pairs that were found to be full, and were reset.
        refresh_pulses: Of the pulses, those of resets, and those sent to pairs that had been reset before.
        refresh_reads: How often every word line of the round was read to find full pairs, besides verifying.
    """

    pulses: int
    refreshed: int = 0
    refresh_pulses: int = 0
    refresh_reads: int = 0


def run_loop(
    target: Float[Tensor, "tiles out in"],
    where: Bool[Tensor, "tiles out in"],
    settings: WriteVerify,
    granularity: Dimensionless,
    read: Callable[[Tensor], Tensor],
    send: Callable[[Tensor, Tensor, int], Sent],
    *,
    rng: torch.Generator,
) -> WriteCounts:
    """Go through the loop, whatever stands at the crosspoints.

    Args:
        target: The weight that each crosspoint should show.
        where: Which crosspoints to write.
        settings: Tolerance, noise of the reads, most bursts.
        granularity: Size of a nominal step.
        read: Returns the weights at some crosspoints, given as places in the flattened array; without noise.
        send: Moves the crosspoints at some places by about their errors; told how many rounds there were before.
        rng: Draws the noise of the reads.

    Raises:
        ValueError: If a target has another shape or is not finite, or no pulse moves the devices.
    """
    if target.shape != where.shape:
        raise ValueError(
            f"`target` must have the shape {tuple(where.shape)} (tiles, out, in), but has {tuple(target.shape)}."
        )
    if not granularity > 0:
        raise ValueError(
            f"`granularity` must be above 0, but is {granularity}. Choose a device whose `dw_min` is."
        )
    tiles, out_size, in_size = where.shape
    at = where.reshape(-1).nonzero()[:, 0]
    goal = target.reshape(-1)[at]
    if not torch.isfinite(goal).all():
        raise ValueError("`target` must be finite, but contains NaN or infinity.")
    tolerance = max(settings.tolerance, granularity / 2)
    reads = torch.zeros(tiles * in_size, dtype=torch.int64, device=at.device)
    reads += _rows_of(at, where.shape)
    to_refresh = torch.zeros_like(reads)
    pulses = devices = iteration = refreshed = refresh_pulses = 0
    while True:
        noise = torch.empty(len(at), device=rng.device).normal_(generator=rng).to(goal)
        error = goal - read(at) - settings.read_noise * noise
        is_unfinished = error.abs() > tolerance
        at, goal, error = at[is_unfinished], goal[is_unfinished], error[is_unfinished]
        if iteration == 0:
            devices = len(at)
        if len(at) == 0 or iteration == settings.max_iterations:
            break
        sent = send(at, error, iteration)
        pulses += sent.pulses
        refreshed += sent.refreshed
        refresh_pulses += sent.refresh_pulses
        reads += (1 + sent.refresh_reads) * _rows_of(at, where.shape)
        to_refresh += sent.refresh_reads * _rows_of(at, where.shape)
        iteration += 1
    reads, to_refresh = reads.reshape(tiles, in_size), to_refresh.reshape(tiles, in_size)
    busiest = int(reads.sum(dim=1).argmax())
    return WriteCounts(
        pulses=pulses,
        verify_rows=int(reads.sum()),
        serial_rows=int(reads[busiest].sum()),
        adc=int(reads.sum()) * out_size,
        devices=devices,
        unfinished=len(at),
        iterations=iteration,
        refreshed=refreshed,
        refresh_pulses=refresh_pulses,
        refresh_rows=int(to_refresh.sum()),
        refresh_serial_rows=int(to_refresh[busiest].sum()),
    )


@torch.no_grad()
def send_pulses(devices: DeviceArray, counts: Int[Tensor, "tiles out in"], *, rng: torch.Generator) -> None:
    """Send every device pulses of its own, through its step law, with its noise and within its bounds.

    The write noise of those devices is drawn anew that receive any.

    Args:
        devices: The devices; changed in place.
        counts: How many pulses each receives; those below zero go down.
        rng: Draws the cycle-to-cycle noise and the write noise.
    """
    at = counts.reshape(-1).nonzero()[:, 0]
    send_at(devices, at, counts.reshape(-1)[at].to(torch.int64), rng=rng)


def responds(devices: DeviceArray) -> Bool[Tensor, "tiles out in"]:
    """Return which devices pulses can move: those that are neither absent nor broken."""
    return (devices.scale_up != 0) | (devices.scale_down != 0)


def are_written(devices: DeviceArray) -> Bool[Tensor, "tiles out in"]:
    """Return which devices a controller tries to write: those that respond, and those that are stuck.

    Absent devices and aihwkit's corrupt ones are known to it; of a stuck one it learns only by trying in vain.
    """
    return responds(devices) if devices.stuck is None else responds(devices) | devices.stuck


def burst(error: Float[Tensor, " places"], step: Dimensionless) -> Int[Tensor, " places"]:
    """Return how many pulses of a nominal step an error asks for, at least one; below zero if they go down.

    Args:
        error: What is missing.
        step: Size of the nominal step.
    """
    return (error.sign() * (error.abs() / step).round().clamp(min=1)).to(torch.int64)


def send_at(
    devices: DeviceArray, at: Int[Tensor, " places"], counts: Int[Tensor, " places"], *, rng: torch.Generator
) -> None:
    """Do what `send_pulses` does, for the devices at some places of the flattened array, each named once.

    Args:
        devices: The devices; changed in place.
        at: Their places.
        counts: How many pulses each receives; those below zero go down.
        rng: Draws the cycle-to-cycle noise and the write noise.
    """
    if len(at) == 0:
        return
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    # The loops run on the CPU: devices on a GPU are moved there and back.
    here = devices if devices.weight.device.type == "cpu" else deepcopy(devices).cpu()
    _pulse(at.cpu().numpy(), counts.cpu().numpy(), as_arrays(here), np.uint64(seed))
    if here is not devices:
        devices.load_state_dict(here.state_dict())
    devices.hold_stuck()


def _rows_of(at: Tensor, shape: torch.Size) -> Tensor:
    """Return which word lines of all tiles hold one of the devices at some places: (tiles * in,)."""
    tiles, out_size, in_size = shape
    rows = torch.zeros(tiles * in_size, dtype=torch.bool, device=at.device)
    rows[at // (out_size * in_size) * in_size + at % in_size] = True
    return rows


@threaded(lambda at, *rest: 10 * at.size)
def _pulse(at: Any, counts: Any, devices: Any, seed: Any) -> None:
    devices = lent(devices)
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    _, outs, ins = weight.shape
    for k in prange(len(at)):
        t, rest = at[k] // (outs * ins), at[k] % (outs * ins)
        i, j = rest // ins, rest % ins
        pulses, is_up = abs(counts[k]), counts[k] > 0
        up, down, mx, mn = scale_up[t, i, j], scale_down[t, i, j], max_bound[t, i, j], min_bound[t, i, j]
        shape_u, shape_d, ref = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        if shape_up.size > 0:
            shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
        if reference.size > 0:
            ref = reference[t, i, j]
        w = weight[t, i, j]
        state = start(seed, k)
        if pulses < _LONG_BURST:
            state, w = pulse_one_by_one(
                state,
                pulses,
                is_up,
                law,
                w,
                ref,
                up,
                down,
                shape_u,
                shape_d,
                mx,
                mn,
                constants,
                nodes_up,
                nodes_down,
            )
        else:
            n_u, n_d = (float(pulses), 0.0) if is_up else (0.0, float(pulses))
            state, v = many_pulses(
                state,
                law,
                w + ref,
                n_u,
                n_d,
                up,
                down,
                shape_u,
                shape_d,
                mx,
                mn,
                constants,
                nodes_up,
                nodes_down,
            )
            w = np.float32(v - ref)
        weight[t, i, j] = w
        if pulse_count.size > 0:
            pulse_count[t, i, j] += pulses
        if visible.size > 0:
            state, xi = normal(state)
            visible[t, i, j] = w + write_noise * xi
