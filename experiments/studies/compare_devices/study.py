"""`xbar compare-devices`: the same two networks on many devices; which learns best, which remembers?"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tqdm import tqdm

from devices import characterise, get
from devices.characterisation import Characterisation
from devices.files import write_atomically

from ...commands.run_commands import run_train
from ...data.datasets import load_data
from ...drawing.characterisation_figure import draw_characterisation
from ...drawing.html_page import Picture, Section, Table, write_page
from ...runs.options.command_line import command_of
from ...runs.options.defaults import resolve
from ...runs.run_folder import RunFolder
from ...support.environment import describe_environment
from ...support.json_files import write_json
from ...support.parallel import do_all
from ..does_it_matter.config import DoesItMatterConfig
from ..does_it_matter.study import effects_of, warning_of
from .config import CompareDevicesConfig
from .figure import draw_comparison
from .points import points_of, wish_of
from .rows import Row, groups_of, row_of
from .table import NETWORK_NAMES, cells, csv_text, header, markdown, notes

_NAME: Final = "compare_devices"
_CHIPS_TO_COMPARE: Final = 5


def run_compare_devices(config: CompareDevicesConfig) -> list[Row]:
    """Train what is not trained yet, characterise the devices, write tables, figure and page.

    Returns:
        One row for each run that ended well.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data or a device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    config = config.resolved()
    assert config.jobs is not None
    assert config.out is not None
    points = points_of(config)
    data = load_data(
        config.data,
        config.data_dir,
        seed=config.seeds[0],
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
    )
    steps = math.ceil(len(data.train) / 64)
    wishes = {point: wish_of(point, config, data.image_shape, steps) for point in points}
    folders = {point: RunFolder.of(resolve(wish, data.image_shape)) for point, wish in wishes.items()}
    todo = {point.name: wishes[point] for point in points if not folders[point].result_file.exists()}
    where = f"{config.jobs} at a time" if config.dask is None else f"on {config.dask}"
    print(
        f"{len(points)} runs, {len(points) - len(todo)} of them finished; {where}. Table, figure, page: {config.out}"
    )
    failed = do_all(
        run_train,
        todo,
        total=len(points),
        jobs=config.jobs,
        threads=config.threads,
        folder=config.runs,
        dask=config.dask,
    )
    if len(failed) == len(points):
        raise ValueError(next(iter(failed.values())))
    rows = [
        row_of(point, command_of(wishes[point]), folders[point])
        for point in points
        if point.name not in failed
    ]
    _write(config, config.out, rows, failed)
    return rows


def _write(config: CompareDevicesConfig, out: Path, rows: Sequence[Row], failed: Mapping[str, str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    sheets: dict[str, Characterisation] = {}
    pictures: dict[str, Path] = {}
    for device in tqdm(config.devices, desc="characterise", unit="device", disable=None, dynamic_ncols=True):
        sheet = characterise(get(device))
        sheets[sheet.name] = sheet
        pictures[sheet.name] = out / "devices" / f"{sheet.name}.png"
        pictures[sheet.name].parent.mkdir(exist_ok=True)
        draw_characterisation(sheet, pictures[sheet.name])
        sheet.write_csv(pictures[sheet.name].with_suffix(".csv"))
    command = _command(config)
    table, numbers, figure, page = (out / f"{_NAME}{ending}" for ending in (".md", ".csv", ".png", ".html"))
    text = markdown(rows, sheets, failed, command)
    environment = describe_environment(config.threads)
    write_json(
        out / f"{_NAME}.json",
        {
            "command": command,
            "configuration": config.to_json(),
            "environment": environment,
            "rows": [row.to_json() for row in rows],
            "failed": dict(failed),
            "devices": {name: [asdict(row) for row in sheet.rows()] for name, sheet in sheets.items()},
        },
    )
    write_atomically(numbers, csv_text(rows).encode())
    draw_comparison(rows, sheets, figure)
    write_page(
        page,
        title="Devices compared",
        summary=_summary(rows),
        sections=_sections(config, rows, failed, sheets, figure, pictures, environment, command),
    )
    write_atomically(table, text.encode())
    print(f"\n{text}")
    for name, path in (("table", table), ("numbers", numbers), ("figure", figure), ("page", page)):
        print(f"{name + ':':<9}{path}")


def _summary(rows: Sequence[Row]) -> str:
    sentences = []
    for network, title in NETWORK_NAMES.items():
        groups = groups_of(rows, network)
        ranked = [group for group in groups if group.has_learned]
        name = title.partition(":")[0]
        if ranked:
            best, worst = ranked[0], ranked[-1]
            sentences.append(
                f"{name}: {best.name} ends best with {100 * best.last().value:.1f} %, "
                f"{worst.name} last with {100 * worst.last().value:.1f} %."
            )
        lost = [f"{group.first.device}, {group.first.mode}" for group in groups if not group.has_learned]
        if lost:
            sentences.append(f"{name}: no network learned on {'; '.join(lost)}.")
    return " ".join(sentences)


def _sections(
    config: CompareDevicesConfig,
    rows: Sequence[Row],
    failed: Mapping[str, str],
    sheets: Mapping[str, Characterisation],
    figure: Path,
    pictures: Mapping[str, Path],
    environment: Mapping[str, object],
    command: str,
) -> list[Section]:
    sections = []
    for network, title in NETWORK_NAMES.items():
        groups = groups_of(rows, network)
        if groups:
            table = Table(header=header(groups), rows=cells(groups, sheets), text_columns=2)
            sections.append(Section(title=title, table=table, notes=notes(rows)))
    text = (
        "Above: accuracy over time, line and band mean and standard deviation over all chips of all seeds; then the "
        "ranking; below: how pulses move the devices, with the spread from device to device."
    )
    sections.append(Section(title="Figure", text=(text,), pictures=(Picture(path=figure, description=text),)))
    if failed:
        warnings = [f"{name}: {reason}" for name, reason in failed.items()]
        sections.append(Section(title="Runs that broke off", warnings=warnings))
    for name, picture in pictures.items():
        device = get(next(asked for asked in config.devices if get(asked).name == name))
        sections.append(
            Section(
                title=f"{name}: {device.technology}",
                text=(device.summary, f"Not modelled: {device.not_modelled}", f"Source: {device.source}."),
                pictures=(Picture(path=picture, description=f"Characterisation of {name}"),),
                folded=True,
            )
        )
    sections += _effects(rows, sheets)
    single = sorted({row.command for row in rows})
    return [
        *sections,
        Section(title="How to reproduce it", code=command),
        Section(title="Its single runs", code="\n".join(single), folded=True),
        Section(title="Configuration", code=json.dumps(config.to_json(), indent=1), folded=True),
        Section(title="Environment", code=json.dumps(environment, indent=1), folded=True),
    ]


def _effects(rows: Sequence[Row], sheets: Mapping[str, Characterisation]) -> list[Section]:
    """Ask of the best written device of each network which of its non-idealities matter."""
    sections = []
    for network, title in NETWORK_NAMES.items():
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
        lines = [
            [
                effect.what,
                effect.part,
                f"{100 * effect.without:.1f} %",
                f"{100 * effect.change:+.1f} ± {100 * effect.error:.1f}",
                effect.verdict,
            ]
            for effect in effects
        ]
        sections.append(
            Section(
                title=f"Does it matter? {title.partition(':')[0]} on {written[0].first.device}",
                text=(
                    f"{sample}. Each non-ideality alone is switched off: accuracy, and the change in points.",
                ),
                table=Table(
                    header=["without", "where", "accuracy", "change", "verdict"], rows=lines, text_columns=2
                ),
                warnings=[warning_of(effect) for effect in effects if effect.verdict == "NO EFFECT"],
            )
        )
    return sections


def _command(config: CompareDevicesConfig) -> str:
    """Return the command line of a study, without what only says how fast and where."""
    plain = CompareDevicesConfig().resolved()
    words = ["xbar compare-devices"]
    for name, value in config.to_json().items():
        if (
            name in ("quick", "jobs", "threads", "dask", "runs", "out", "download")
            or value == plain.to_json()[name]
        ):
            continue
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words)
