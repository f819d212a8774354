"""`xbar sharing-cost`: what exact weight sharing costs on analog hardware, and what it buys in accuracy.

Every number comes from runs of `xbar train` and their ledgers of events. Hardware profiles are applied afterwards, so
a study, or a single run, can be priced again without training (`--from`).
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from crossbar import HardwareProfile, load_profile
from devices.files import make_folder, write_atomically

from ...commands.run_commands import run_train
from ...data.datasets import load_data
from ...runs.options.command_line import command_of
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.options.profile_of_device import profile_of
from ...runs.run_folder import RunFolder
from ...support.environment import describe_environment
from ...support.json_files import read_json, write_json
from ...support.parallel import do_all
from ...support.typed_values import typed
from .config import SharingCostConfig
from .figures import draw_breakdown, draw_sync, draw_tiles
from .flips import find_flips
from .pareto import draw_pareto
from .points import Point, points_of, wish_of
from .prices import price_again, row_of, row_of_run
from .residual import draw_residual
from .rows import Row
from .sensitivity_figure import draw_sensitivity
from .table import csv_text, markdown

_NAME: Final = "sharing_cost"
_FORMAT: Final = "crossbar-emulator sharing-cost 1"


@dataclass(frozen=True)
class _Study:
    """What sharing_cost.json holds, as far as it is read back."""

    format: str
    config: dict[str, Any]
    environment: dict[str, Any]
    profiles: dict[str, str]
    rows: list[Row]
    left_out: dict[str, str]
    failed: dict[str, str]
    flips: list[dict[str, Any]]
    ranges: Any

    def __post_init__(self) -> None:
        typed(tuple[str, ...], self.config.get("schemes"), "config.schemes")
        if not self.rows:
            raise ValueError("it has no rows")


def run_sharing_cost(config: SharingCostConfig) -> list[Row]:
    """Train what is not trained yet, price everything, write table and figures; or only price again.

    Returns:
        One row for each run.

    Raises:
        ValueError: If the study cannot be run as asked, or what `--from` names cannot be priced.
        FileNotFoundError: If data, a profile or a run are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    config = config.resolved()
    return _study(config) if config.from_ is None else _again(config, config.from_)


def _study(config: SharingCostConfig) -> list[Row]:
    assert config.jobs is not None
    assert config.out is not None
    points, left_out = points_of(config)
    profiles = _profiles(config, config.devices)
    wishes, folders = _runs_of(points, config)
    todo = {point.name: wishes[point] for point in points if not folders[point].result_file.exists()}
    print(
        f"{len(points)} runs, {len(points) - len(todo)} of them finished; {config.jobs} at a time. "
        f"Table and figures: {config.out}"
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
        row_of(point, command_of(wishes[point]), folders[point], profiles[point.device], config)
        for point in points
        if point.name not in failed
    ]
    _write(config.out, config, rows, profiles, left_out, failed)
    return rows


def _runs_of(
    points: Sequence[Point], config: SharingCostConfig
) -> tuple[dict[Point, TrainConfig], dict[Point, RunFolder]]:
    """Say what `xbar train` is asked for at each point, and where the run lies."""
    data = load_data(
        config.data,
        config.data_dir,
        seed=points[0].seed,
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
    )
    steps = math.ceil(len(data.train) / config.batch_size)
    wishes = {point: wish_of(point, config, data.image_shape, steps) for point in points}
    folders = {point: RunFolder.of(resolve(wish, data.image_shape)) for point, wish in wishes.items()}
    return wishes, folders


def _profiles(config: SharingCostConfig, devices: Sequence[str]) -> dict[str, HardwareProfile]:
    return {device: load_profile(config.profile or profile_of(device)) for device in devices}


def _again(config: SharingCostConfig, source: Path) -> list[Row]:
    """Price a study or a run again.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is neither, or not finished.
    """
    if not source.is_dir():
        raise FileNotFoundError(
            f"`from` must be a folder, but there is none at {source}. Give that of a run or study."
        )
    study = source / f"{_NAME}.json"
    if not study.exists():
        return _run_again(config, RunFolder.existing(str(source)))
    content: Any = read_json(study)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(
            f"`from` must be the folder of a study, but {study} is something else. Repeat the study."
        )
    try:
        kept = typed(_Study, content)
    except ValueError as error:
        raise ValueError(
            f"`from` must be the folder of an undamaged study, but {study} is damaged: {error}. Repeat the study."
        ) from None
    rows = kept.rows
    profiles = _profiles(config, list(dict.fromkeys(row.device for row in rows)))
    # Runs are named as seen from the study, so that both can be moved together.
    rows = [
        price_again(row, RunFolder.existing(str(source / row.run)), profiles[row.device], config)
        for row in rows
    ]
    schemes = tuple(kept.config["schemes"])
    name = f"priced-{'-'.join(sorted({profile.name for profile in profiles.values()}))}-{config.packing}"
    out = config.out or source / name
    _write(out, replace(config, schemes=schemes), rows, profiles, kept.left_out, kept.failed)
    return rows


def _run_again(config: SharingCostConfig, folder: RunFolder) -> list[Row]:
    """Price a single run; table and JSON go into its folder."""
    with folder.lock():
        folder.check_origin()
        device = folder.read_config().device
        profile = _profiles(config, [device])[device]
        row = row_of_run(folder, profile, config)
        out = config.out or folder.path
        make_folder(out)
        text = markdown([row], {}, {}, [], {})
        write_json(out / f"cost-{profile.name}.json", row.to_json())
        write_atomically(out / f"cost-{profile.name}.md", text.encode())
    print(f"{text}\nWritten: {out / f'cost-{profile.name}.json'}")
    return [row]


def _write(
    out: Path,
    config: SharingCostConfig,
    rows: Sequence[Row],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
) -> None:
    """Write JSON, CSV, Markdown and figures."""
    out.mkdir(parents=True, exist_ok=True)
    folders = {row.run: RunFolder(Path(row.run)) for row in rows}
    ranges, lines, flips = find_flips(rows, folders, config.schemes, profiles, config)
    text = markdown(rows, left_out, failed, flips, ranges)
    draw_pareto(rows, config.schemes, out / "pareto.png")
    draw_sync(rows, out / "sync.png")
    draw_tiles(rows, out / "tiles.png")
    draw_breakdown(rows, config.schemes, out / "breakdown.png")
    draw_residual(rows, config.schemes, out / "residual.png")
    draw_sensitivity(lines, flips, ranges, out / "sensitivity.png")
    write_atomically(out / f"{_NAME}.csv", csv_text(rows).encode())
    write_atomically(out / f"{_NAME}.md", text.encode())
    content = {
        "format": _FORMAT,
        "config": config.to_json(),
        "environment": describe_environment(config.threads),
        "profiles": {device: profile.to_toml() for device, profile in profiles.items()},
        "rows": [{**row.to_json(), "run": os.path.relpath(row.run, out)} for row in rows],
        "left_out": dict(left_out),
        "failed": dict(failed),
        "flips": [asdict(flip) for flip in flips],
        "ranges": ranges,
    }
    write_json(out / f"{_NAME}.json", content)
    print(f"{text}\nWritten: {out}")
