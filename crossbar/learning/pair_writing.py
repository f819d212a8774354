"""Writing pairs of devices that only go up to a target, by pulses and reads."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from devices.pulsed import DeviceArray, WriteCounts, WriteVerify, reset_
from devices.pulsed.write_verify import Sent, are_written, burst, run_loop, send_at
from devices.units import Dimensionless


@final
class PairWriting:
    """One write of pairs, w = g_plus - g_minus, where pulses only ever raise a device.

    What is missing raises g_plus, what is too much raises g_minus, in bursts of the step that a device makes at zero.
    (That is its largest. A phase-change device moves by 0.28 there and by 0.03 half-way: bursts that count with less
    overshoot, the other device mends that, overshoots too, and the pair races to the top.) Pairs that have filled up
    are refreshed: both devices are reset, to be written from there in the next round. Those are, of the unfinished,

    - before the first burst: pairs whose larger device exceeds the upper threshold and whose smaller one the lower,
      which are aihwkit's (rpu_onesided_device.cpp);
    - after half of the rounds: pairs whose smaller device exceeds the lower threshold, which do not get on (devices
      have bounds of their own, often below the threshold).

    For each of both decisions the word lines that hold an unfinished pair are read twice more, plus and minus apart.
    A reset counts as one pulse. Resets, those reads, and all pulses that a pair receives after its reset belong to
    the refresh, not to the write that found it full.

    Args:
        plus: Devices for what weights gain.
        minus: Devices for what they lose.
        settings: Tolerance, noise of the reads, most bursts.
        thresholds: Upper and lower one, in parts of the nominal maximum; no refreshes if None.
        rng: Draws the noise of reads, pulses and resets.

    Attributes:
        refreshes: (tiles,) how many pairs were refreshed.
    """

    def __init__(
        self,
        plus: DeviceArray,
        minus: DeviceArray,
        settings: WriteVerify,
        thresholds: tuple[Dimensionless, Dimensionless] | None,
        *,
        rng: torch.Generator,
    ) -> None:
        self.plus, self.minus = plus, minus
        self.settings, self.thresholds, self.rng = settings, thresholds, rng
        self.step = largest_step(plus)
        self.refreshes = torch.zeros(len(plus.weight), dtype=torch.int64, device=plus.weight.device)
        self._was_reset = torch.zeros_like(plus.weight, dtype=torch.bool).reshape(-1)

    def run(self, target: Float[Tensor, "tiles out in"]) -> WriteCounts:
        """Write all pairs of which one device at least `are_written`.

        Args:
            target: The weight that each pair should show.
        """
        where = are_written(self.plus) | are_written(self.minus)
        granularity = float((self.plus.granularity + self.minus.granularity) / 2)
        return run_loop(target, where, self.settings, granularity, self._read, self._send, rng=self.rng)

    def _read(self, at: Tensor) -> Tensor:
        return self.plus.weight.reshape(-1)[at] - self.minus.weight.reshape(-1)[at]

    def _send(self, at: Tensor, error: Tensor, iteration: int) -> Sent:
        full = refresh_reads = 0
        if self.thresholds is not None and iteration in (0, self.settings.max_iterations // 2):
            is_full = self._are_full(at, iteration == 0, *self.thresholds)
            self._reset(at[is_full])
            full, refresh_reads = int(is_full.sum()), 2
            at, error = at[~is_full], error[~is_full]
        counts = burst(error, self.step)
        for array, gain in ((self.plus, counts), (self.minus, -counts)):
            is_raised = gain > 0
            send_at(array, at[is_raised], gain[is_raised], rng=self.rng)
        again = int(counts[self._was_reset[at]].abs().sum())
        sent = int(counts.abs().sum()) + 2 * full
        return Sent(sent, full, again + 2 * full, refresh_reads)

    def _are_full(self, at: Tensor, is_first: bool, upper: Dimensionless, lower: Dimensionless) -> Tensor:
        """Read both devices of some pairs apart, and tell which pairs are to be refreshed."""
        filled = []
        for array in (self.plus, self.minus):
            noise = torch.empty(len(at), device=self.rng.device).normal_(generator=self.rng)
            seen = array.weight.reshape(-1)[at] + self.settings.read_noise * noise.to(array.weight)
            filled.append(seen / abs(array.device.w_max))
        is_full = torch.minimum(*filled) > lower
        return is_full & (torch.maximum(*filled) > upper) if is_first else is_full

    def _reset(self, at: Tensor) -> None:
        """Reset both devices of some pairs."""
        if len(at) == 0:
            return
        chosen = torch.zeros_like(self.plus.weight, dtype=torch.bool)
        chosen.reshape(-1)[at] = True
        self._was_reset[at] = True
        self.refreshes.add_(chosen.sum(dim=(1, 2)))
        for array in (self.plus, self.minus):
            reset_(array, chosen, rng=self.rng)
            if array.pulse_count is not None:
                array.pulse_count.add_(chosen)


def largest_step(devices: DeviceArray) -> Dimensionless:
    """Return the mean step up of devices that stand at zero, but no less than the granularity.

    Args:
        devices: Devices that only go up.
    """
    rest = torch.zeros_like(devices.weight) if devices.reference is None else devices.reference
    up, _ = devices.steps(rest, True)
    responding = (devices.scale_up != 0).sum().clamp(min=1)
    return max(float(up.sum() / responding), float(devices.granularity))
