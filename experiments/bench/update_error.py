"""How far the aggregated update is from the exact one, for every step law: the figure and the numbers of the README.

    xbar bench --only update-error --out docs

One batch is sent many times to the same devices, from the same weights, with the same trains: once pulse by pulse,
once with all pulses of a vector at once. What is left between the means, beyond the sampling error, is the error of
the aggregated engine. It is promised to be at most 2 % of the update and a quarter of the spread from batch to batch,
and the spread itself to be right within 2 %. Writes update_error.json and update_error.png.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from crossbar.aihwkit.adapter import UpdateParameters
from devices import get
from devices.pulsed import DeviceArray, Engine, fabricate, pulsed_update
from devices.streams import generator
from devices.units import Dimensionless

from ..drawing.figures import save_figure
from ..drawing.output.figure_page import new_figure
from ..drawing.palette import GREY, device_look
from ..support.json_files import write_json
from ..support.progress_bar import progress_bar

# Catalogue entries whose devices follow different laws.
DEVICES: Final[tuple[str, ...]] = (
    "gokmen-vlasov",
    "capacitor",
    "ecram",
    "reram-sb",
    "reram-es",
    "reram-array-om",
)
BATCH_SIZES: Final[tuple[int, ...]] = (1, 64, 256)
# Sizes of the gradient at a batch of 64; of other batches so that devices receive about as many pulses.
SCALES: Final[tuple[Dimensionless, ...]] = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_REPEATS: Final = 4_000
_OUT_SIZE: Final = 8
_IN_SIZE: Final = 12
_OF_UPDATE: Final[Dimensionless] = 0.02
_OF_SPREAD: Final[Dimensionless] = 0.25
_MARKERS: Final = ("v", "o", "s")


@final
@dataclass(frozen=True, kw_only=True)
class UpdateError:
    """What the aggregated update makes of one batch, against the exact one.

    All are rms over the devices. Both engines receive the same trains, so that little of the sampling error is left;
    it is subtracted, in quadrature.

    Attributes:
        device: Name in the catalogue, or of the class.
        batch_size: Vectors.
        pulses: Mean pulses per device and batch.
        of_update: Error of the mean weight, as a part of the update itself, which is the mean change of weight.
        of_spread: The same as a part of the update's own standard deviation, from batch to batch.
        of_range: The same as a part of the range between the bounds.
        sampling: Sampling error of `of_range`.
        sampling_of_update: That of `of_update`.
        sampling_of_spread: That of `of_spread`.
        std_ratio: Standard deviation, aggregated over exact.
    """

    device: str
    batch_size: int
    pulses: Dimensionless
    of_update: Dimensionless
    of_spread: Dimensionless
    of_range: Dimensionless
    sampling: Dimensionless
    sampling_of_update: Dimensionless
    sampling_of_spread: Dimensionless
    std_ratio: Dimensionless


def measure(
    device: str | Any,
    scale: Dimensionless,
    repeats: int,
    *,
    batch_size: int = 64,
    update: UpdateParameters | None = None,
    seed: int = 0,
) -> UpdateError:
    """Send one batch many times, with both engines.

    Args:
        device: A device that learns by plain SGD: its name in the catalogue, or aihwkit's description.
        scale: Size of the gradient; at 1, its components are 0.05.
        repeats: How often.
        batch_size: Vectors.
        update: aihwkit's settings of the pulses; its defaults if None.
        seed: Names devices, batch and noise.
    """
    description = get(device).training_config().device if isinstance(device, str) else device
    one = fabricate(description, 1, _OUT_SIZE, _IN_SIZE, seed=seed)
    array = repeat(one, repeats)
    rng = generator(seed, "batch")
    x = 0.5 * torch.randn(1, batch_size, _IN_SIZE, generator=rng)
    d = 0.05 * scale * torch.randn(1, batch_size, _OUT_SIZE, generator=rng)
    start = (0.2 * torch.randn(1, _OUT_SIZE, _IN_SIZE, generator=rng)).clamp(one.min_bound, one.max_bound)
    settings = UpdateParameters() if update is None else update
    exact, pulses = _after(array, start, x, d, settings, "exact", seed)
    aggregated, _ = _after(array, start, x, d, settings, "aggregated", seed)
    paired = aggregated - exact
    shift, variance = paired.mean(dim=0), paired.var(dim=0) / repeats
    width = (one.max_bound - one.min_bound)[0].clamp(min=1e-3)
    change = _rms(exact.mean(dim=0) - start[0])
    spread = _rms(exact.std(dim=0))
    error, sampling = _beyond(shift, variance), float(variance.mean().sqrt())
    return UpdateError(
        device=device if isinstance(device, str) else type(device).__name__,
        batch_size=batch_size,
        pulses=pulses,
        of_update=error / change,
        of_spread=error / spread,
        of_range=_beyond(shift / width, variance / width**2),
        sampling=float((variance / width**2).mean().sqrt()),
        sampling_of_update=sampling / change,
        sampling_of_spread=sampling / spread,
        std_ratio=_rms(aggregated.std(dim=0)) / spread,
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
    array: DeviceArray,
    start: Tensor,
    x: Tensor,
    d: Tensor,
    update: UpdateParameters,
    engine: Engine,
    seed: int,
) -> tuple[Tensor, Dimensionless]:
    """Return the hidden weights after one batch, (repeats, out, in), and the mean number of pulses."""
    rng = generator(seed, "trains")
    array.set_weights(start.expand(array.shape), rng=generator(seed, "write noise"))
    array.count_pulses()
    repeats = len(array.weight)
    vectors, gradients = x.expand(repeats, -1, -1), d.expand(repeats, -1, -1)
    pulsed_update(array, vectors, gradients, 0.01, update, rng=rng, engine=engine)
    return array.hidden_weight.clone(), float(array.pulses().float().mean())


def _rms(values: Tensor) -> Dimensionless:
    return float(values.square().mean().sqrt())


def _beyond(shift: Tensor, variance: Tensor) -> Dimensionless:
    """Return the rms of shifts, less what sampling alone would show."""
    return float((shift.square() - variance).mean().clamp(min=0).sqrt())


def run_update_error(repeats: int | None, out: Path, *, quick: bool = False) -> dict[str, Any]:
    """Measure, print a table, write update_error.json and update_error.png.

    Args:
        repeats: How often each batch is sent; 4000 times if None.
        out: Folder of both files.
        quick: Measure two sizes of the gradient on one device only, with a few repeats, to see that it runs.

    Returns:
        What update_error.json holds.
    """
    devices, sizes, scales, usual = DEVICES, BATCH_SIZES, SCALES, _REPEATS
    if quick:
        devices, sizes, scales, usual = DEVICES[:1], BATCH_SIZES[:1], SCALES[1:3], 50
    times = repeats or usual
    points = [(device, size, scale) for device in devices for size in sizes for scale in scales]
    errors = []
    with progress_bar(total=len(points), desc="update error", unit="point") as progress:
        for device, size, scale in points:
            errors.append(measure(device, scale * 64 / size, times, batch_size=size))
            progress.update()
    out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "repeats": times,
        "promised": {"of_update": _OF_UPDATE, "of_spread": _OF_SPREAD},
        "errors": [asdict(error) for error in errors],
    }
    write_json(out / "update_error.json", content)
    _draw(errors, out / "update_error.png")
    for error in errors:
        print(
            f"{error.device:<16} {error.batch_size:>4} vectors {error.pulses:>7.1f} pulses  error of the mean "
            f"{error.of_update:.4f} (sampling {error.sampling_of_update:.4f}) of the update, {error.of_spread:.4f} "
            f"of its spread; spread {error.std_ratio:.3f} of the exact one"
        )
    print(f"\nWritten: {out / 'update_error.json'}, {out / 'update_error.png'}")
    return content


def _draw(errors: list[UpdateError], path: Path) -> None:
    figure = new_figure((13, 4.2))
    of_update, of_spread, spread = figure.subplots(1, 3)
    sizes = sorted({error.batch_size for error in errors})
    for device in dict.fromkeys(error.device for error in errors):
        color = device_look(device).color
        for size in sizes:
            own = [error for error in errors if error.device == device and error.batch_size == size]
            marker = _MARKERS[sizes.index(size) % len(_MARKERS)]
            pulses = np.array([error.pulses for error in own])
            for axes, values, sampling in (
                (of_update, [e.of_update for e in own], [e.sampling_of_update for e in own]),
                (of_spread, [e.of_spread for e in own], [e.sampling_of_spread for e in own]),
            ):
                # What drowns in the sampling error is drawn at its size, hollow.
                shown, is_seen = np.maximum(values, sampling), np.array(values) > np.array(sampling)
                label = device if size == sizes[0] else None
                axes.plot(pulses[is_seen], shown[is_seen], marker, color=color, ms=5)
                axes.plot(
                    pulses[~is_seen],
                    shown[~is_seen],
                    marker,
                    color=color,
                    ms=5,
                    mfc="white",
                    mew=0.8,
                    label=label,
                )
            spread.plot(pulses, [error.std_ratio for error in own], marker, color=color, ms=5)
    for size, marker in zip(sizes, _MARKERS, strict=False):
        of_spread.plot([], [], marker, color=GREY, ms=5, label=f"batch of {size}")
    of_update.set(yscale="log", ylabel="error of the mean / update (rms)")
    of_spread.set(yscale="log", ylabel="error of the mean / spread (rms)")
    spread.set(ylim=(0.9, 1.1), ylabel="standard deviation, aggregated / exact")
    of_update.set_title(
        "Error, of the update (hollow: sampling error, if larger)", fontsize="medium", loc="left"
    )
    of_spread.set_title("Error, of the standard deviation from batch to batch", fontsize="medium", loc="left")
    spread.set_title("Spread of the update", fontsize="medium", loc="left")
    for axes, promised in ((of_update, [_OF_UPDATE]), (of_spread, [_OF_SPREAD]), (spread, [0.98, 1.02])):
        for value in promised:
            axes.axhline(value, color=GREY, lw=1, ls=(0, (5, 3)))
        axes.set(xscale="log", xlabel="pulses per device and batch")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (of_update, of_spread):
        axes.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
