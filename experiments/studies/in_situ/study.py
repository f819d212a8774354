"""Shared and unshared kernels, learning in situ on several devices: the table and the figure of the README.

    python -P -m experiments.studies.in_situ.study --out docs

trains every device on every placement with several seeds (`xbar train` with its defaults: each point can be repeated
alone), and writes in_situ.json, in_situ.md and in_situ.png. Finished runs are not repeated: it can be stopped at any
time, and started twice at once with different seeds.
"""

import contextlib
import io
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import tyro
from matplotlib.figure import Figure
from tqdm import tqdm

from devices.files import write_atomically
from devices.units import Dimensionless

from ...commands.run_commands import run_train
from ...data.chance import RULE, mark
from ...data.datasets import load_data
from ...drawing.figures import GREY
from ...runs.options.config import NO_DEVICE, TrainConfig, available_threads
from ...runs.options.defaults import resolve
from ...runs.record import Record
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.environment import describe_environment
from ...support.json_files import read_json, write_json
from ...support.statistics import bare_percent

DEVICES: Final = (
    "idealized",
    "ecram",
    "capacitor",
    "reram-sb",
    "tiki-taka-reram-sb",
    "mixed-precision-reram-sb",
)
# How a table calls a placement, the network, and its placement.
PLACEMENTS: Final = {
    "free": ("fcn_digits", "free"),
    "replicated": ("cnn_digits", "replicated"),
    "time-multiplexed": ("cnn_digits", "time_multiplexed"),
}
_COLORS: Final = {"free": "#0072B2", "replicated": "#E69F00", "time-multiplexed": "#D55E00"}
_DIGITAL: Final = "digital"


@final
@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Train FCN and CNN on the digits in situ, on several devices and placements, with several seeds."""

    devices: tuple[str, ...] = DEVICES
    """Names of devices that learn; `xbar devices` lists them."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs."""
    epochs: int | None = None
    """Epochs of every run; those of `xbar train` if left open."""
    threads: int | None = None
    """Threads to compute with."""
    runs: Path = Path("runs/in_situ_study")
    """Folder of the single runs."""
    out: Path = Path("docs")
    """Folder for in_situ.json, in_situ.md and in_situ.png."""


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """One device on one placement.

    Attributes:
        device: Its name, or "digital".
        placement: Key of `PLACEMENTS`.
        accuracy: Test accuracy as trained, for each seed.
        pulses: Pulses per device of the first layer, for each seed; empty without devices.
        did_learn: Whether each of the networks learned; see `chance.RULE`.
    """

    device: str
    placement: str
    accuracy: tuple[Dimensionless, ...]
    pulses: tuple[Dimensionless, ...]
    did_learn: tuple[bool, ...]

    def text(self) -> str:
        """Return mean and standard deviation over the seeds, in per cent."""
        return bare_percent(self.accuracy) + mark(self.did_learn)


def run(config: StudyConfig) -> list[Point]:
    """Train what is not trained yet, and write table and figure."""
    devices = (*config.devices, _DIGITAL)
    points = []
    with tqdm(total=len(devices) * len(PLACEMENTS) * len(config.seeds), unit="run") as bar:
        for device in devices:
            for placement in PLACEMENTS:
                results = []
                for seed in config.seeds:
                    bar.set_description(f"{device}, {placement}, seed {seed}")
                    results.append(_train(config, device, placement, seed))
                    bar.update()
                points.append(
                    Point(
                        device=device,
                        placement=placement,
                        accuracy=tuple(accuracy for accuracy, _, _ in results),
                        pulses=tuple(pulses for _, pulses, _ in results if pulses is not None),
                        did_learn=tuple(did_learn for _, _, did_learn in results),
                    )
                )
    config.out.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"seeds": config.seeds, "epochs": config.epochs}
    environment = describe_environment(config.threads or available_threads())
    content = {"config": settings, "environment": environment, "points": [asdict(point) for point in points]}
    write_json(config.out / "in_situ.json", content)
    write_atomically(config.out / "in_situ.md", (table(points) + "\n").encode())
    _draw(points, config.out / "in_situ.png")
    return points


def _train(
    config: StudyConfig, device: str, placement: str, seed: int
) -> tuple[Dimensionless, Dimensionless | None, bool]:
    """Train one network, or take its result if it is there: accuracy, pulses per device of layer 1, did it learn."""
    model, spec = PLACEMENTS[placement]
    is_digital = device == _DIGITAL
    wish = TrainConfig(
        model=model,
        placement=spec,
        mode="digital" if is_digital else "in-situ",
        device=NO_DEVICE if is_digital else device,
        seed=seed,
        epochs=config.epochs,
        record_every=0 if is_digital else 50,
        threads=config.threads,
        out=config.runs,
    )
    data = load_data(wish.data, wish.data_dir, seed=seed)
    folder = RunFolder.of(resolve(wish, data.image_shape))
    if not folder.result_file.exists():
        with contextlib.redirect_stdout(io.StringIO()):
            run_train(wish)
    result = Result.from_json(read_json(folder.result_file))
    if is_digital:
        return result.digital_accuracy, None, result.did_learn
    record = Record.read(folder.record_file)
    first = record.layers[0]
    pulses = sum(float(record.of_layer(first, f"{role}/pulses_mean")[-1]) for role in record.roles(first))
    return statistics.mean(result.as_trained), pulses, result.did_learn


def table(points: list[Point]) -> str:
    """Write test accuracies as a Markdown table: a row for each device, a column for each placement."""
    lines = ["| device | " + " | ".join(PLACEMENTS) + " |", "|---" * (len(PLACEMENTS) + 1) + "|"]
    for device in dict.fromkeys(point.device for point in points):
        cells = [point.text() for point in points if point.device == device]
        lines.append(f"| {device} | " + " | ".join(cells) + " |")
    if not all(did_learn for point in points for did_learn in point.did_learn):
        lines += ["", RULE]
    return "\n".join(lines)


def _draw(points: list[Point], path: Path) -> None:
    """Draw accuracy, and pulses per device of the first layer, for each device and placement."""
    devices = list(dict.fromkeys(point.device for point in points))
    figure = Figure(figsize=(9.5, 4.8), layout="constrained")
    accuracy, pulses = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for offset, placement in zip((-0.22, 0.0, 0.22), PLACEMENTS, strict=True):
        color = _COLORS[placement]
        for point in (point for point in points if point.placement == placement):
            y = len(devices) - devices.index(point.device) + offset
            label = placement if point.device == devices[0] else None
            for axes, values in (
                (accuracy, [100 * value for value in point.accuracy]),
                (pulses, point.pulses),
            ):
                if values:
                    axes.plot(values, [y] * len(values), "o", color=color, alpha=0.45, ms=5, mew=0)
                    axes.plot(statistics.mean(values), y, "|", color=color, ms=13, mew=2.5, label=label)
            if not all(point.did_learn):
                note = mark(point.did_learn).lstrip(", ")
                place = (100 * max(point.accuracy) + 1.5, y)
                accuracy.annotate(note, place, color=GREY, fontsize=7, va="center")
    accuracy.set_yticks(range(len(devices), 0, -1), devices)
    accuracy.set_xlabel("test accuracy in %")
    pulses.set_xlabel("pulses per device, first layer")
    pulses.set_xscale("log")
    accuracy.legend(title="kernels", loc="lower left", frameon=False)
    for axes in (accuracy, pulses):
        axes.grid(axis="x", color="#dddddd", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    figure.suptitle("Learning in situ on the digits: dots are seeds, bars their means")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    print(table(run(tyro.cli(StudyConfig))))
