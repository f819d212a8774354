"""`xbar compare-devices`: the same two networks on many devices; which learns best, which remembers?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from devices import characterise, get
from devices.characterisation import Characterisation
from devices.characterisation.table import Quantity

from ...data.datasets import DataSplit
from ...data.examples import Facts, Shape
from ...data.user_function import label_of
from ...drawing.characterisation_figure import draw_characterisation
from ...drawing.measured_response import measured_on
from ...drawing.sections import Picture, Section
from ...runs.options.config import TrainConfig
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.durations import format_time
from ...support.progress_bar import progress_bar
from ...support.typed_values import typed
from ..does_it_matter.config import DoesItMatterConfig
from ..does_it_matter.effects import section_of
from ..does_it_matter.study import effects_of
from ..look_at_network import can_be_free
from ..options import line_of
from ..results import Results, numbers_file
from ..study import Findings, Point, Study, run_study
from ..tune.searches import tune_for
from .config import CompareDevicesConfig, CompareDevicesPlan
from .figure import draw_comparison
from .points import points_of, wish_of
from .rows import Row, aged_of, groups_of, row_of
from .table import NETWORK_NAMES, TITLE, network_title, sections

NAME: Final = "compare-devices"
_CHIPS_TO_COMPARE: Final = 5
_FIGURE: Final = "compare_devices.png"


@final
class CompareDevices(Study[Point, Row]):
    """Devices x networks.

    Args:
        config: What is done.
    """

    name = NAME

    config: CompareDevicesPlan
    _tuned: Path | None = None

    @property
    @override
    def command(self) -> str:
        return line_of("compare-devices", self.config, CompareDevicesConfig().resolved())

    @override
    def points(self) -> list[Point]:
        return points_of(self.config)

    @override
    def look_at(self, facts: Facts) -> None:
        """Leave out the twin without sharing of a network that has no convolutions."""
        model = self.config.model
        if model is None or "fcn" not in self.config.networks or can_be_free(model, facts):
            return
        if self.config.networks == ("fcn",):
            raise ValueError(
                f"`networks` must be cnn for {label_of(model)}, but is fcn: no layer of it could have a kernel "
                "for each of several locations. Use --networks cnn."
            )
        print(
            f"{label_of(model)} has no layer with several locations: only as it is built (cnn), without free twin."
        )
        self.config = replace(self.config, networks=("cnn",))

    @override
    def prepare(self, data: DataSplit) -> None:
        self._tuned = tune_for(self, data) if self.config.tune else self.config.tuned

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        return wish_of(point, replace(self.config, tuned=self._tuned), known)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        model = "" if self.config.model is None else label_of(self.config.model)
        return row_of(point, command, folder, model)

    def _how_rates(self) -> str:
        """Say how learning rates were chosen."""
        config = self.config
        if config.tune:
            return (
                f"Learning rates: the best of {config.tune} trials for every training, searched alike on validation "
                "images with another seed."
            )
        if config.tuned is not None:
            return f"Learning rates: those of {config.tuned}."
        own = [device for device in config.devices if device.endswith(".toml")]
        warning = (
            f" Nobody has tuned one for {', '.join(own)}, which may lose for that: use --tune." if own else ""
        )
        return f"Learning rates: the usual one of each mode and device.{warning}"

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        sheets = _characterise(self.config.devices, out / "devices")
        draw_comparison(rows, sheets, out / _FIGURE)
        measured = {name: sheet.rows() for name, sheet in sheets.items()}
        found = [
            *sections(rows, measured, failed, self.command, self._how_rates()),
            *_pictures(out),
            *_sheets(self.config.devices, out),
            *_effects(rows, sheets),
        ]
        numbers = {"devices": {name: [asdict(row) for row in rows] for name, rows in measured.items()}}
        return Findings(title=TITLE, summary=_summary(rows), sections=found, numbers=numbers)


def run_compare_devices(config: CompareDevicesPlan) -> Answer:
    """Train what is not trained yet, characterise the devices, write tables, figure and page.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data or a device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    run_study(CompareDevices(config))
    return numbers_file(NAME, config.out)


def findings_of(results: Results, folder: Path) -> Findings:
    """Return what a study of an earlier version has to say, from its file of numbers and its figures.

    Raises:
        ValueError: If it is damaged.
    """
    rows = typed(list[Row], results.rows, "rows")
    measured = typed(dict[str, list[Quantity]], results.more.get("devices", {}), "devices")
    found = [*sections(rows, measured, results.failed, results.command), *_pictures(folder)]
    return Findings(title=TITLE, summary=_summary(rows), sections=found)


def _characterise(devices: Sequence[str], folder: Path) -> dict[str, Characterisation]:
    """Measure simulated devices, and write a figure and numbers of each into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {}
    bar = progress_bar(total=len(devices), desc="characterise", unit="device")
    for device in devices:
        sheet = characterise(get(device))
        sheets[sheet.name] = sheet
        bar.update()
        draw_characterisation(sheet, folder / f"{sheet.name}.png", *measured_on(get(device), device))
        sheet.write_csv(folder / f"{sheet.name}.csv")
    return sheets


def _summary(rows: Sequence[Row]) -> str:
    sentences = []
    for network in NETWORK_NAMES:
        title, groups = network_title(network, rows), groups_of(rows, network)
        ranked = [group for group in groups if group.has_learned]
        name = title if rows and rows[0].model else title.partition(":")[0]
        if ranked:
            best, worst = ranked[0], ranked[-1]
            sentences.append(
                f"{name}, fresh: {best.name} is best with {100 * best.fresh().value:.1f} %, "
                f"{worst.name} last with {100 * worst.fresh().value:.1f} %."
            )
        time, aged = aged_of(groups)
        best_aged = aged[0].at(time) if time is not None and aged else None
        if time is not None and best_aged is not None:
            sentences.append(
                f"{name}, after {format_time(time)}: {aged[0].name} is best with {100 * best_aged.value:.1f} %."
            )
        lost = [f"{group.first.device}, {group.first.mode}" for group in groups if not group.has_learned]
        if lost:
            sentences.append(f"{name}: no network learned on {'; '.join(lost)}.")
    return " ".join(sentences)


def _pictures(folder: Path) -> list[Section]:
    text = (
        "Above: accuracy over time, line and band mean and standard deviation over all chips of all seeds; then the "
        "ranking; below: how pulses move the devices, with the spread from device to device."
    )
    picture = Picture(path=folder / _FIGURE, description=text)
    return (
        [Section(title="Figure", text=(text,), pictures=(picture,), page_only=True)]
        if picture.path.exists()
        else []
    )


def _sheets(devices: Sequence[str], folder: Path) -> list[Section]:
    """Return a section on each device, with its figure."""
    found = []
    for asked in devices:
        device = get(asked)
        name = device.name
        picture = Picture(path=folder / "devices" / f"{name}.png", description=f"Characterisation of {name}")
        text = (device.summary, f"Not modelled: {device.not_modelled}", f"Source: {device.source}.")
        title = f"{name}: {device.technology}"
        found.append(Section(title=title, text=text, pictures=(picture,), folded=True))
    return found


def _effects(rows: Sequence[Row], sheets: Mapping[str, Characterisation]) -> list[Section]:
    """Ask of the best written device of each network which of its non-idealities matter."""
    found = []
    for network in NETWORK_NAMES:
        title = network_title(network, rows)
        written = [
            group
            for group in groups_of(rows, network)
            if group.first.mode == "hwa"
            and group.has_learned
            and sheets[group.first.device].technology != "none"
        ]
        if not written:
            continue
        print(f"Does it matter? {written[0].name}, {network}")
        effects, sample = effects_of(DoesItMatterConfig(run=written[0].first.run, chips=_CHIPS_TO_COMPARE))
        title = f"Does it matter? {title.partition(':')[0]} on {written[0].first.device}"
        found.append(section_of(effects, sample, title))
    return found
