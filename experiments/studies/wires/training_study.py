"""Accuracy against wire resistance, trained with and without the wires: the table and the figure of the README.

    python -P -m experiments.studies.wires.training_study RUN... --out docs

reads the wires.json that `xbar wires` wrote into the folders of runs, of any networks and seeds, some trained with
`--wires`, and writes wires_training.json, .md and .png. Nothing is computed anew.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, final

import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from crossbar import WireParameters
from devices.files import write_atomically
from devices.units import Ohm

from ...drawing.figures import GREY, save_figure, strip
from ...runs.options.config import TrainConfig
from ...runs.run_folder import RunFolder
from ...support.json_files import read_json, write_json
from ...support.statistics import mean_and_std

_NETWORKS: Final = {"fcn": "FCN: a kernel and a tile for each location", "cnn": "CNN: one kernel, one tile"}
_STYLES: Final = (("#D55E00", "s"), ("#0072B2", "o"), ("#009E73", "^"))

Key = tuple[str, Ohm]  # network, resistance in the training
Accuracies = dict[Ohm, list[float]]  # resistance of the chips -> mean of each run's chips


@final
@dataclass(frozen=True, kw_only=True)
class WiresTrainingConfig:
    """Put the `wires.json` of several runs together: accuracy against wire resistance, by network and training."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs for which `xbar wires` was called."""
    out: Path = Path("docs")
    """Folder for table, figure and numbers."""


def run(config: WiresTrainingConfig) -> None:
    """Read all studies, write table, numbers and figure.

    Raises:
        ValueError: If a run has no wires.json, or their arrays, images or resistances differ.
    """
    exact: dict[Key, Accuracies] = {}
    approximate: dict[Key, Accuracies] = {}
    samples = []
    for path in config.runs:
        trained = RunFolder.existing(str(path)).read_config()
        study: Any = read_json(path / "wires.json")
        points = [point for point in study["points"] if point["layout"] == "tiles"]
        samples.append(
            f"{trained.data}, {trained.device}, arrays of up to {_only(p['tile_size'] for p in points)} x "
            f"{points[0]['tile_size']}, {study['chips']} chip(s) each, {study['test_images']} test images, "
            f"{trained.train_images or 'all'} training images, {trained.epochs} epochs"
        )
        key = (str(trained.model).partition("_")[0], _resistance(trained))
        for point in points:
            for found, name in ((exact, "exact"), (approximate, "aihwkit")):
                found.setdefault(key, {}).setdefault(point["ohm"], []).append(statistics.fmean(point[name]))
    sample = _only(samples)
    config.out.mkdir(parents=True, exist_ok=True)
    text = _markdown(exact, approximate, sample)
    write_json(
        config.out / "wires_training.json",
        {
            "sample": sample,
            "accuracy": [
                {"network": network, "trained_with_ohm": ohm, "exact": exact[network, ohm], "aihwkit": values}
                for (network, ohm), values in approximate.items()
            ],
        },
    )
    write_atomically(config.out / "wires_training.md", text.encode())
    _draw(exact, approximate, sample, config.out / "wires_training.png")
    print(text)


def _only(values: Any) -> Any:
    different = list(dict.fromkeys(values))
    if len(different) != 1:
        raise ValueError(
            f"`runs` must be studied alike, but differ: {' / '.join(map(str, different))}. "
            "Call `xbar wires` with the same options for all."
        )
    return different[0]


def _resistance(trained: TrainConfig) -> Ohm:
    return 0.0 if trained.wires is None else WireParameters.parse(trained.wires).bit_line


def _markdown(exact: Mapping[Key, Accuracies], approximate: Mapping[Key, Accuracies], sample: str) -> str:
    ohms = sorted(next(iter(exact.values())))
    lines = [
        f"{sample}; mean ± standard deviation over {len(next(iter(exact.values()))[ohms[0]])} seeds.",
        "",
        "| network | trained with wires of | computed | " + " | ".join(_ohm(ohm) for ohm in ohms) + " |",
        "|---|---|---|" + "---|" * len(ohms),
    ]
    for found, how in ((exact, "exactly"), (approximate, "aihwkit's `ir_drop`")):
        for (network, ohm), accuracies in sorted(found.items(), reverse=True):
            cells = [network.upper(), _ohm(ohm), how, *(_percent(accuracies[o]) for o in ohms)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ohm(ohm: Ohm) -> str:
    return f"{ohm:g} Ω" if ohm else "no resistance"


def _percent(values: Sequence[float]) -> str:
    mean, std = mean_and_std(values)
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"


def _draw(
    exact: Mapping[Key, Accuracies], approximate: Mapping[Key, Accuracies], sample: str, path: Path
) -> None:
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    networks = [network for network in _NETWORKS if any(key[0] == network for key in exact)]
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network in zip(panels, networks, strict=True):
        mine = sorted(key for key in exact if key[0] == network)
        for key, (color, marker) in zip(mine, _STYLES, strict=False):
            name = f"trained with wires of {_ohm(key[1])}" if key[1] else "trained without wires"
            _line(axes, exact[key], color, marker, "-", name)
            _line(axes, approximate[key], color, marker, ":", None)
        axes.set_title(_NETWORKS[network], loc="left", fontsize=10)
        axes.set_xlabel("resistance of a wire segment, ohm")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        strip(axes)
    panels[0].set_ylabel("test accuracy")
    legend = panels[0].legend(
        frameon=False, fontsize=8.5, loc="lower left", title="solid: exact; dotted: aihwkit's ir_drop"
    )
    legend.get_title().set_fontsize(8.5)
    figure.suptitle(sample, x=0.01, ha="left", fontsize=8.5, color=GREY)
    save_figure(figure, path)


def _line(axes: Axes, accuracies: Accuracies, color: str, marker: str, style: str, label: str | None) -> None:
    ohms = sorted(accuracies)
    places = [
        ohm or ohms[1] / 3 for ohm in ohms
    ]  # no resistance stands at the left end of the logarithmic axis
    means = [statistics.fmean(accuracies[ohm]) for ohm in ohms]
    spreads = [mean_and_std(accuracies[ohm])[1] or 0.0 for ohm in ohms]
    axes.errorbar(
        places,
        means,
        yerr=spreads,
        ls=style,
        color=color,
        marker=marker,
        ms=5,
        lw=1.8,
        capsize=2.5,
        label=label,
    )
    axes.set_xscale("log")
    axes.set_xticks(places, ["0" if not ohm else f"{ohm:g}" for ohm in ohms])
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


if __name__ == "__main__":
    run(tyro.cli(WiresTrainingConfig))
