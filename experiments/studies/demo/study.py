"""`xbar demo`: one tile, copies and no sharing, side by side: accuracy over a year, energy, time, area."""

import math
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from crossbar import StaticPower, load_profile, price

from ...data.chance import RULE
from ...data.datasets import DataSplit, load_data
from ...data.examples import Facts, Shape
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import TrainConfig
from ...runs.options.profile_of_device import tile_size_in
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.durations import format_time
from ...support.json_files import read_json
from ..options import line_of
from ..results import numbers_file
from ..sharing_cost.prices import ledgers_of
from ..study import Findings, Point, Study, run_study
from .config import DemoConfig, DemoPlan
from .figure import draw
from .rows import SCHEMES, Row

NAME: Final = "demo"
TITLE: Final = "What does exact weight sharing cost, and what happens without it?"
PROFILE: Final = "hermes-pcm"
DEVICE: Final = "pcm"
TIMES: Final = "1s,1d,1y"
SCOPES: Final = {
    "layer": StaticPower(scope="layer"),
    "network": StaticPower(scope="network"),
    "always-on": StaticPower(scope="always-on", frame_rate=1000.0),
}
"""When arrays draw static power: while their layer works, while the network works, always (1,000 images a second)."""
_BEYOND_CHANCE: Final = 1.96  # standard errors: 95 %
_FIGURE: Final = "demo.png"


@final
class Demo(Study[Point, Row]):
    """Three schemes of sharing, one network, one seed.

    Args:
        config: What was asked for, resolved.
    """

    name = NAME

    config: DemoPlan

    @property
    @override
    def command(self) -> str:
        return line_of("demo", self.config, DemoConfig().resolved())

    @override
    def points(self) -> list[Point]:
        return [Point(DEVICE, "hwa", scheme, self.config.seed) for scheme in SCHEMES]

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        model, placement = SCHEMES[point.scheme]
        return TrainConfig(
            model=model,
            placement=placement,
            mode="hwa",
            device=point.device,
            tile_size=tile_size_in(load_profile(PROFILE)),
            seed=point.seed,
            epochs=self.config.epochs,
            chips=self.config.chips,
            times=TIMES,
            threads=self.config.threads,
            out=self.config.runs,
        )

    @override
    def data(self, seed: int) -> DataSplit:
        return load_data("digits", seed=seed)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        result = Result.from_json(read_json(folder.result_file))
        compensation = next((name for name in result.accuracy if name != "none"), "none")
        over_chips = result.mean_and_std(compensation)
        _, _, inference = ledgers_of(folder)
        profile = load_profile(PROFILE)
        bills = {name: price(inference, profile, static=scope) for name, scope in SCOPES.items()}
        any_bill = next(iter(bills.values()))
        return Row(
            scheme=point.scheme,
            run=str(folder.path),
            command=command,
            test_images=result.test_images,
            digital=result.digital_accuracy,
            times=result.times,
            extrapolated=result.extrapolated,
            accuracy=tuple(mean for mean, _ in over_chips),
            spread=tuple(std for _, std in over_chips),
            energy={name: bill.with_digital / inference.images for name, bill in bills.items()},
            latency=any_bill.sequential / inference.images,
            area=any_bill.area * 1e-6,
            tiles=any_bill.arrays,
            did_learn=result.did_learn,
        )

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        draw(rows, out / _FIGURE)
        picture = Picture(
            path=out / _FIGURE,
            description="Accuracy over a year, and time, area and energy of an image beside those of one tile",
        )
        sections = [
            Section(text=meaning(rows)),
            Section(table=table(rows), notes=_NOTES, records=[row.to_json() for row in rows]),
            Section(title="Figure", pictures=(picture,), page_only=True),
        ]
        if not all(row.did_learn for row in rows):
            sections.append(Section(text=(RULE,)))
        if failed:
            sections.append(
                Section(title="Failed", items=[f"{name}: {reason}." for name, reason in failed.items()])
            )
        return Findings(title=TITLE, summary=" ".join(meaning(rows)), sections=sections)


_NOTES: Final = (
    f"Accuracy: % of the test images, mean ± standard deviation over the chips, one drift factor for each layer. "
    f"Prices: hardware profile {PROFILE}.",
    "Energy depends on when arrays draw static power: only while their layer works, while the network works on the "
    "image, or always, at 1,000 images a second.",
    "One seed of one small network: `xbar demo --seed 1` gives another, `xbar sharing-cost` every scheme.",
    "* extrapolated: beyond the times for which the device was measured.",
)


def table(rows: Sequence[Row]) -> Table:
    """Return accuracy after each time, and what an image takes."""
    first = rows[0]
    times = [format_time(time) + (" *" if time in first.extrapolated else "") for time in first.times]
    header = [
        "kernels", *(f"after {time}, %" for time in times), "energy, µJ: layers gated", "network on",
        "always on", "latency, µs", "area, mm²", "arrays",
    ]  # fmt: skip
    lines = []
    for row in rows:
        accuracy = [
            f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
            for mean, std in zip(row.accuracy, row.spread, strict=True)
        ]
        name = row.scheme + ("" if row.did_learn else " (not learned)")
        energy = [f"{row.energy[scope]:.3g}" for scope in SCOPES]
        lines.append(
            [name, *accuracy, *energy, f"{1e6 * row.latency:.3g}", f"{row.area:.3g}", str(row.tiles)]
        )
    return Table(header=header, rows=lines)


def meaning(rows: Sequence[Row]) -> list[str]:
    """Say in two sentences what the numbers mean; nothing if one of the two schemes that they compare is missing."""
    by_scheme = {row.scheme: row for row in rows if row.did_learn}
    one, free = by_scheme.get("shared, one tile"), by_scheme.get("not shared")
    if one is None or free is None:
        return []
    difference = free.accuracy[-1] - one.accuracy[-1]
    chance = _BEYOND_CHANCE * math.hypot(*(_binomial_error(row) for row in (one, free)))
    verdict = "within" if abs(difference) < chance else "beyond"
    gated, on = (free.energy[scope] / one.energy[scope] for scope in ("layer", "always-on"))
    return [
        f"Exact sharing on one tile costs time: an image takes {one.latency / free.latency:.0f} times as long as "
        f"with a tile for each location; it saves area ({one.area:.2g} against {free.area:.2g} mm²).",
        f"Without sharing the network is {100 * abs(difference):.1f} points "
        f"{'better' if difference > 0 else 'worse'} after a year, {verdict} chance for {free.test_images} test "
        f"images (± {100 * chance:.1f}), and takes {gated:.2f} times the energy if layers are gated, {on:.1f} times "
        "if all arrays are always on.",
    ]


def _binomial_error(row: Row) -> float:
    """Return the standard error of an accuracy after a year that so many test images leave."""
    return math.sqrt(row.accuracy[-1] * (1 - row.accuracy[-1]) / row.test_images)


def run_demo(config: DemoPlan) -> Answer:
    """Train what is not trained yet, write table, figure and page, and open the page; errors as of `run_study`.

    Returns:
        The file of numbers.
    """
    print(
        "Three trainings on 8 x 8 digits, half a minute to a minute each; each is then programmed onto "
        f"{config.chips} chips that age for a year."
    )
    run_study(Demo(config))
    page = (config.out / "demo.html").resolve()
    print(f"\nThe page: {page.as_uri()}")
    if not config.no_browser and sys.stdout.isatty():
        webbrowser.open(page.as_uri())
    return numbers_file(NAME, config.out)
