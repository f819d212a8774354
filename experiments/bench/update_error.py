"""How far the aggregated update is from the exact one, for every step law: the figure and the numbers of the README.

    python -P -m experiments.bench.update_error --out docs

One batch of 64 vectors is sent many times to the same devices, from the same weights, once pulse by pulse and once
aggregated. What is left between the means, beyond the sampling error, is the error of the aggregated engine: it
forgets the order of the vectors, and follows each device's mean. Writes update_error.json and update_error.png.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from crossbar.aihwkit.adapter import UpdateParameters
from devices import get
from devices.files import write_atomically
from devices.pulsed import DeviceArray, Engine, fabricate, pulsed_update
from devices.streams import generator
from devices.units import Dimensionless

from ..support.json_files import write_json

# Catalogue entries whose devices follow different laws.
DEVICES: Final = ("gokmen-vlasov", "capacitor", "ecram", "reram-sb", "reram-es", "reram-array-om")
_OUT_SIZE: Final = 8
_IN_SIZE: Final = 12
_BATCH: Final = 64
_COLORS: Final = ("#555555", "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7")


@final
@dataclass(frozen=True, kw_only=True)
class ErrorConfig:
    """Measure the error of the aggregated update against the number of pulses, for several devices."""

    devices: tuple[str, ...] = DEVICES
    """Names of devices that learn by plain SGD."""
    scales: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    """Sizes of the gradient."""
    repeats: int = 4_000
    """How often the same batch is sent."""
    out: Path = Path("docs")
    """Folder for update_error.json and update_error.png."""


@final
@dataclass(frozen=True, kw_only=True)
class UpdateError:
    """What the aggregated update makes of one batch, against the exact one.

    Attributes:
        device: Name in the catalogue.
        pulses: Mean pulses per device.
        of_range: Error of the mean weight, rms over the devices, as a part of the range between their bounds; the
            sampling error is subtracted, in quadrature.
        of_spread: The same as a part of the update's own standard deviation.
        sampling: Sampling error of `of_range`.
        std_ratio: Standard deviation, aggregated over exact, mean over the devices.
    """

    device: str
    pulses: Dimensionless
    of_range: Dimensionless
    of_spread: Dimensionless
    sampling: Dimensionless
    std_ratio: Dimensionless


def measure(device: str, scale: Dimensionless, repeats: int, seed: int = 0) -> UpdateError:
    """Send one batch many times, with both engines.

    Args:
        device: Name in the catalogue, of a device that learns by plain SGD.
        scale: Size of the gradient; at 1, its components are 0.05.
        repeats: How often.
        seed: Names devices, batch and noise.
    """
    one = fabricate(get(device).training_config().device, 1, _OUT_SIZE, _IN_SIZE, seed=seed)
    array = repeat(one, repeats)
    rng = generator(seed, "batch")
    x = 0.5 * torch.randn(1, _BATCH, _IN_SIZE, generator=rng)
    d = 0.05 * scale * torch.randn(1, _BATCH, _OUT_SIZE, generator=rng)
    start = 0.2 * torch.randn(1, _OUT_SIZE, _IN_SIZE, generator=rng)
    exact, pulses = _after(array, start, x, d, "exact", seed)
    aggregated, _ = _after(array, start, x, d, "aggregated", seed)
    width = (one.max_bound - one.min_bound)[0].clamp(min=1e-3)
    shift = aggregated.mean(dim=0) - exact.mean(dim=0)
    variance = (aggregated.var(dim=0) + exact.var(dim=0)) / repeats
    spread = exact.std(dim=0).clamp(min=1e-9)
    return UpdateError(
        device=device,
        pulses=pulses,
        of_range=_beyond(shift / width, variance / width**2),
        of_spread=_beyond(shift / spread, variance / spread**2),
        sampling=float((variance / width**2).mean().sqrt()),
        std_ratio=float((aggregated.std(dim=0) / spread).mean()),
    )


def repeat(one: DeviceArray, repeats: int) -> DeviceArray:
    """Return an array of tiles that all have the devices of one."""
    names = [
        name for name, _ in one.named_buffers() if name not in ("weight", "persistent_weight", "granularity")
    ]
    hidden: dict[str, Tensor | None] = {
        name: getattr(one, name).expand(repeats, -1, -1) for name in names if getattr(one, name).dim() == 3
    }
    return DeviceArray(one.device, hidden, float(one.granularity))


def _after(
    array: DeviceArray, start: Tensor, x: Tensor, d: Tensor, engine: Engine, seed: int
) -> tuple[Tensor, Dimensionless]:
    """Return the hidden weights after one batch, (repeats, out, in), and the mean number of pulses."""
    rng = generator(seed, engine)
    array.set_weights(start.expand(array.shape), rng=rng)
    array.count_pulses()
    repeats = len(array.weight)
    vectors, gradients = x.expand(repeats, -1, -1), d.expand(repeats, -1, -1)
    pulsed_update(array, vectors, gradients, 0.01, UpdateParameters(), rng=rng, engine=engine)
    return array.hidden_weight.clone(), float(array.pulses().float().mean())


def _beyond(shift: Tensor, variance: Tensor) -> Dimensionless:
    """Return the rms of shifts, less what sampling alone would show."""
    return float((shift.square() - variance).mean().clamp(min=0).sqrt())


def run(config: ErrorConfig) -> list[UpdateError]:
    """Measure, print a table, write numbers and figure."""
    points = [(device, scale) for device in config.devices for scale in config.scales]
    errors = [measure(device, scale, config.repeats) for device, scale in tqdm(points, unit="point")]
    config.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"repeats": config.repeats, "errors": [asdict(error) for error in errors]}
    write_json(config.out / "update_error.json", content)
    _draw(errors, config.out / "update_error.png")
    for error in errors:
        print(
            f"{error.device:<16} {error.pulses:>7.1f} pulses  error {error.of_range:.4f} of the range, "
            f"{error.of_spread:.2f} of the update's own spread; spread {error.std_ratio:.3f} of the exact one"
        )
    return errors


def _draw(errors: list[UpdateError], path: Path) -> None:
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for device, color in zip(dict.fromkeys(error.device for error in errors), _COLORS, strict=False):
        own = [error for error in errors if error.device == device]
        pulses = [error.pulses for error in own]
        # What drowns in the sampling error is drawn at its size, hollow.
        of_range = np.array([max(error.of_range, error.sampling) for error in own])
        is_seen = np.array([error.of_range > error.sampling for error in own])
        left.plot(pulses, of_range, "-", color=color, lw=1.5, label=device)
        left.plot(np.array(pulses)[is_seen], of_range[is_seen], "o", color=color, ms=6)
        left.plot(np.array(pulses)[~is_seen], of_range[~is_seen], "o", color=color, ms=6, mfc="white")
        right.plot(pulses, [error.std_ratio for error in own], "o-", color=color, lw=1.5, ms=5)
    left.axhline(0.01, color="#888888", lw=1, ls=(0, (5, 3)))
    left.set(xscale="log", yscale="log", ylabel="error of the mean, part of the range (rms)")
    left.legend(frameon=False, fontsize=8)
    left.set_title(
        "Error of the aggregated update (hollow: below the sampling error)", fontsize=9, loc="left"
    )
    right.axhline(1.0, color="#888888", lw=1, ls=(0, (5, 3)))
    right.set(xscale="log", ylim=(0.8, 1.2), ylabel="standard deviation, aggregated / exact")
    right.set_title("Spread of the update", fontsize=9, loc="left")
    for axes in (left, right):
        axes.set_xlabel("pulses per device in a batch of 64")
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    run(tyro.cli(ErrorConfig))
