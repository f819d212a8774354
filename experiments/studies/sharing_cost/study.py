"""`xbar sharing-cost`: what exact weight sharing costs on analog hardware, and what it buys in accuracy.

Every number comes from runs of `xbar train` and their ledgers of events. Hardware profiles are applied afterwards, so
a study, or a single run, can be priced again without training (`--from`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, final

from typing_extensions import override

from crossbar import HardwareProfile, load_profile
from crossbar.cost.bill import Bill
from devices.files import make_folder, remove, write_atomically
from models import NETWORKS

from ...data.datasets import DataSplit
from ...data.examples import Facts, Shape
from ...data.user_function import label_of
from ...drawing.sections import Picture, Section
from ...runs.options.config import TrainConfig
from ...runs.options.profile_of_device import profile_of
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.json_files import write_json
from ...support.typed_values import typed
from ..layer_table import LayerFacts, layer_section
from ..look_at_network import look_at_network
from ..options import line_of
from ..results import Results, numbers_file, read_results
from ..study import Findings, Study, run_study, write_study
from ..tune.searches import tune_for
from .config import QUICK_MECHANISMS, SharingCostConfig, SharingCostPlan
from .figures import draw_breakdown, draw_sync, draw_tiles
from .flips import find_flips
from .pareto import draw_pareto
from .points import Point, points_of, wish_of
from .prices import bill_of, ledgers_of, price_again, row_of, row_of_run
from .rates import rates_section
from .residual import draw_residual
from .rows import MECHANISM_NAMES, Row, cells_of
from .sensitivity import Flip
from .sensitivity_figure import draw_sensitivity
from .static_power.scope_map import draw_scope_map
from .static_power.scopes import demands_of, scope_sections
from .static_power.step_parts import step_parts_section
from .table import TITLE, markdown, sections
from .to_accuracy.curve import TARGETS
from .to_accuracy.figure import draw_to_accuracy

NAME: Final = "sharing-cost"
_COUNTED_TILES: Final = "replicated(tiles=n) and random(tiles=n)"
_NO_COUNTS: Final = (
    "no numbers of tiles were asked for, as with --quick for a network that is named; "
    "--tile-counts 1 4 16 adds them"
)
_NOT_WRITTEN: Final = (
    "it was not asked for, as with --quick for a network that is named; "
    "--mechanisms in-situ write-verify hwa adds it"
)
_PICTURES: Final = {
    "to_accuracy": "Accuracy against energy and time of a training",
    "pareto": "Accuracy against energy and time of a step or an image",
    "sync": "Cost, accuracy and difference of copies against the steps between two synchronisations",
    "tiles": "Cost and accuracy against the number of tiles",
    "breakdown": "Where the energy goes",
    "residual": "How equal shared kernels are",
    "sensitivity": "Energy of each scheme while one constant of the profile is scaled",
    "static_power": "The scheme that takes the least energy against static power and frame rate",
}


@final
class SharingCost(Study[Point, Row]):
    """Schemes of sharing x mechanisms of learning x devices, priced.

    Args:
        config: What is done.
        left_out: Cells of the grid that cannot be run, and why; found out if not told. Kept as an attribute.
        devices: Those that are priced; those of the configuration if not told.
        schemes: Those that are ranked; those of the configuration if not told.
        layers: Those of a network of one's own; found out if not told.
    """

    name = NAME

    def __init__(
        self,
        config: SharingCostPlan,
        *,
        left_out: Mapping[str, str] | None = None,
        devices: Sequence[str] | None = None,
        schemes: Sequence[str] | None = None,
        layers: Sequence[LayerFacts] = (),
    ) -> None:
        self.config = config
        self._schemes = config.schemes if schemes is None else schemes
        self._layers: list[LayerFacts] = list(layers)
        self._tuned = config.tuned
        self._points, found = points_of(config) if left_out is None else ([], left_out)
        self.left_out = dict(found)
        names = config.devices if devices is None else devices
        self.profiles: dict[str, HardwareProfile] = {
            device: load_profile(config.profile or profile_of(device)) for device in names
        }

    @property
    @override
    def command(self) -> str:
        return line_of("sharing-cost", self.config, SharingCostConfig().resolved())

    @override
    def points(self) -> list[Point]:
        return self._points

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        return wish_of(point, replace(self.config, tuned=self._tuned), known)

    @override
    def look_at(self, facts: Facts) -> None:
        model = self.config.model
        if model is None or model in NETWORKS:
            return
        seen = look_at_network(model, facts, self.config)
        self._layers, self._schemes = seen.layers, seen.schemes
        self._points, found = points_of(seen.config)
        self.left_out = {**found, **seen.left_out}
        if not self.config.tile_counts and "in-situ" in self.config.mechanisms and len(seen.schemes) > 1:
            self.left_out[_COUNTED_TILES] = _NO_COUNTS
        if self.config.mechanisms == QUICK_MECHANISMS:
            self.left_out["write-verify"] = _NOT_WRITTEN

    @override
    def prepare(self, data: DataSplit) -> None:
        if self.config.tune is not None:
            self._tuned = tune_for(self, data)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        return row_of(point, command, folder, self.profiles[point.device], self.config)

    @override
    def entry(self, row: Row, out: Path) -> dict[str, Any]:
        # Runs are named as seen from the study, so that both can be moved together.
        return {**row.to_json(), "run": os.path.relpath(row.run, out)}

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        schemes = self._schemes
        folders = {row.run: RunFolder(Path(row.run)) for row in rows}
        ranges, lines, flips = find_flips(rows, folders, schemes, self.profiles, self.config)
        for name in _PICTURES:
            remove(out / f"{name}.png")  # of an earlier call, which may have had more to draw
        targets = self.config.targets or TARGETS
        draw_to_accuracy(cells_of(rows, schemes), targets, out / "to_accuracy.png")
        draw_pareto(rows, schemes, out / "pareto.png")
        draw_sync(rows, out / "sync.png")
        draw_tiles(rows, out / "tiles.png")
        draw_breakdown(rows, schemes, out / "breakdown.png")
        draw_residual(rows, schemes, out / "residual.png")
        draw_sensitivity(lines, flips, ranges, out / "sensitivity.png")
        demands = demands_of(rows, folders, schemes, self.profiles, self.config)
        draw_scope_map(demands, out / "static_power.png")
        told = [*sections(rows, self.left_out, failed, flips, ranges, targets), *scope_sections(demands)]
        told += step_parts_section(rows, folders, schemes, self.profiles, self.config)
        told.append(rates_section(cells_of(rows), self.config))
        told += self._of_layers(rows, folders)
        return Findings(
            title=TITLE,
            summary=_summary(rows),
            sections=[*told, *_pictures(out)],
            numbers={
                "profiles": {device: profile.to_toml() for device, profile in self.profiles.items()},
                "schemes": list(schemes),
                "left_out": self.left_out,
                "flips": [asdict(flip) for flip in flips],
                "ranges": ranges,
                "layers": [layer.to_json() for layer in self._layers],
            },
        )

    def _of_layers(self, rows: Sequence[Row], folders: Mapping[str, RunFolder]) -> list[Section]:
        """Show every layer of a network that is not of the seed paper, and what it costs in each scheme."""
        if not self._layers:
            return []
        first = rows[0]
        bills: dict[str, tuple[Bill, int]] = {}
        for row in rows:
            if (row.device, row.mechanism) == (first.device, first.mechanism) and row.scheme in self._schemes:
                _, _, inference = ledgers_of(folders[row.run])
                bills.setdefault(
                    row.scheme,
                    (bill_of(inference, self.profiles[row.device], self.config), inference.images),
                )
        where = (
            f"{first.device}, {MECHANISM_NAMES[first.mechanism]}, seed {first.seed}, profile {first.profile}"
        )
        label = "the network" if self.config.model is None else label_of(self.config.model)
        return [layer_section(self._layers, label, bills, where)]


def findings_of(results: Results, folder: Path) -> Findings:
    """Return what a study of an earlier version has to say, from its file of numbers and its figures.

    Raises:
        ValueError: If it is damaged.
    """
    rows = typed(list[Row], results.rows, "rows")
    flips = typed(list[Flip], results.more.get("flips", []), "flips")
    left_out = typed(dict[str, str], results.more.get("left_out", {}), "left_out")
    kinds = dict[str, dict[str, tuple[float, float]]]
    ranges = typed(kinds, results.more.get("ranges", {}), "ranges")
    found = sections(rows, left_out, results.failed, flips, ranges)
    return Findings(title=TITLE, summary=_summary(rows), sections=[*found, *_pictures(folder)])


def _summary(rows: Sequence[Row]) -> str:
    return f"{len(rows)} runs, priced with {', '.join(sorted({row.profile for row in rows}))}."


def _pictures(folder: Path) -> list[Section]:
    return [
        Section(
            title=title, pictures=(Picture(path=folder / f"{name}.png", description=title),), page_only=True
        )
        for name, title in _PICTURES.items()
        if (folder / f"{name}.png").exists()
    ]


def run_sharing_cost(config: SharingCostPlan) -> Answer:
    """Train what is not trained yet, price everything, write table and figures; or only price again.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If the study cannot be run as asked, or what `--from` names cannot be priced.
        FileNotFoundError: If data, a profile or a run are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    if config.from_ is not None:
        return _again(config, config.from_)
    run_study(SharingCost(config))
    return numbers_file(NAME, config.out)


def _again(config: SharingCostPlan, source: Path) -> Path:
    """Price a study or a run again; returns the file of numbers.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is neither, or not finished.
    """
    if not source.is_dir():
        raise FileNotFoundError(
            f"`from` must be a folder, but there is none at {source}. Give that of a run or study."
        )
    file = source / "sharing_cost.json"
    if not file.exists():
        return _run_again(config, RunFolder.existing(str(source)))
    results = read_results(file, NAME)
    try:
        rows = typed(list[Row], results.rows, "rows")
        # A study that was itself priced again has no schemes of its own.
        kept = results.more.get("schemes", results.configuration.get("schemes"))
        schemes = typed(tuple[str, ...], kept, "schemes")
        left_out = typed(dict[str, str], results.more.get("left_out"), "left_out")
        layers = typed(list[LayerFacts], results.more.get("layers", []), "layers")
        if not rows:
            raise ValueError("it has no rows")
    except ValueError as error:
        raise ValueError(
            f"`from` must be the folder of an undamaged study, but {file} is damaged: {error}. Repeat the study."
        ) from None
    study = SharingCost(
        config,
        left_out=left_out,
        schemes=schemes,
        layers=layers,
        devices=list(dict.fromkeys(row.device for row in rows)),
    )
    rows = [
        price_again(row, RunFolder.existing(str(source / row.run)), study.profiles[row.device], config)
        for row in rows
    ]
    packing = "by-layer" if "=" in config.packing else config.packing
    parts = [*sorted({profile.name for profile in study.profiles.values()}), packing]
    parts += [] if config.static_scope == "network" else [config.static_scope]
    # Into the folder of the study itself go no other prices: they get one of their own in it.
    out = source / "-".join(["priced", *parts]) if config.out == source else config.out
    write_study(study, rows, results.failed, out)
    return numbers_file(NAME, out)


def _run_again(config: SharingCostPlan, folder: RunFolder) -> Path:
    """Price a single run; table and JSON go into its folder. Returns the latter."""
    with folder.lock():
        folder.check_origin()
        device = folder.read_config().device
        profile = load_profile(config.profile or profile_of(device))
        row = row_of_run(folder, profile, config)
        out = config.out
        make_folder(out)
        text = markdown([row], {}, {}, [], {}, config.targets or TARGETS)
        numbers = out / f"cost-{profile.name}.json"
        write_json(numbers, row.to_json())
        write_atomically(out / f"cost-{profile.name}.md", text.encode())
    print(f"{text}\nWritten: {numbers}")
    return numbers
