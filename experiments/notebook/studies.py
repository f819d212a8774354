"""The studies of the command line as functions: the same engine, on networks and data that are handed over.

Of a function that builds a network, networks are trained; a network, an `nn.Module`, is taken as trained by
`accuracy_over_time`, `wires_study` and `does_it_matter`, and as the start of every training by `compare_devices` and
`sharing_cost`. Numbers are those of the commands with the same options and data. Runs are kept in `folder` and not
repeated.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from torch import nn

from ..commands.train import run_train
from ..data.objective_names import Loss, Metric
from ..runs.options.config import TrainConfig
from ..runs.options.defaults import resolve
from ..runs.result import Result
from ..runs.run_data import images_of
from ..runs.run_folder import RunFolder
from ..studies.compare_devices.config import CompareDevicesConfig, CompareDevicesPlan
from ..studies.compare_devices.study import CompareDevices
from ..studies.compare_devices.table import records as records_of_devices
from ..studies.does_it_matter.config import DoesItMatterConfig
from ..studies.does_it_matter.study import run_does_it_matter
from ..studies.sharing_cost.config import SharingCostConfig, SharingCostPlan
from ..studies.sharing_cost.study import SharingCost
from ..studies.sharing_cost.table import flat
from ..studies.study import run_study
from ..studies.wires.config import WiresConfig
from ..studies.wires.study import run_wires
from ..support.json_files import read_json
from .inputs import data_file, facts_of_data, is_handed_over, model_name
from .result import StudyResult
from .trained import files_in, folder_of_trained

Model = str | nn.Module | Callable[..., nn.Module]
_PICTURES_OF_RUN: Final = ("accuracy_over_time", "learning_curve", "learning_dynamics", "pulse_maps")


def accuracy_over_time(
    model: Model,
    data: Any,
    *,
    device: str = "pcm",
    folder: str | Path = "runs",
    loss: Loss | None = None,
    metric: Metric | None = None,
    **options: Any,
) -> StudyResult:
    """Train a network, program it onto chips, and follow its accuracy; a network that is trained is only programmed.

    Args:
        model: A function that builds a network, a trained network, or a name as for `xbar train --model`.
        data: (inputs, labels), or (train, test) or (train, validation, test) of such pairs or of torch Datasets, or a
            text as for `xbar train --data`.
        device: Memory cell.
        folder: Where runs are kept.
        loss: What training lowers; that which suits the labels if None.
        metric: What is counted; that which suits the loss if None.
        **options: All others of `xbar train`, with underscores: `epochs`, `mode`, `placement`, `times`, `chips`, ....

    Returns:
        One row for each chip, compensation and time: chip, compensation, time_s, accuracy; "digital" are the same
        weights without a device.

    Raises:
        ValueError: If network, data and options do not fit each other.

    Example:
        >>> import torch
        >>> x, y = torch.randn(60, 4), torch.arange(60) % 2
        >>> model = torch.nn.Linear(4, 2)
        >>> accuracy_over_time(model, (x, y), chips=1, times="1s")  # doctest: +SKIP
        StudyResult(2 rows, figures: accuracy_over_time, learning_curve, ...)
    """
    wish = _wish(model, data, device, Path(folder), loss, metric, options)
    run, text = _done_run(wish, is_trained=isinstance(model, nn.Module))
    result = Result.from_json(read_json(run.result_file))
    return StudyResult(
        rows=_rows_of(result),
        text=text,
        files=files_in(run.path),
        pictures=_pictures(run.path, _PICTURES_OF_RUN),
        run=run.path,
    )


def compare_devices(
    model: Model | None = None, data: Any = "digits", *, folder: str | Path = "runs", **options: Any
) -> StudyResult:
    """Train a network on many devices: which learns best, which remembers?

    Args:
        model: As for `accuracy_over_time`; None for the two networks that fit the images.
        data: As for `accuracy_over_time`.
        folder: Where runs and tables are kept.
        **options: Those of `xbar compare-devices`: `devices`, `seeds`, `epochs`, `quick`, ....

    Returns:
        One row for each run.
    """
    return _study(CompareDevicesConfig, _compare, model, data, Path(folder), options)


def sharing_cost(
    model: Model | None = None, data: Any = "digits", *, folder: str | Path = "runs", **options: Any
) -> StudyResult:
    """Ask what sharing weights costs, and what it buys, for every scheme of sharing.

    Args:
        model: As for `accuracy_over_time`; None for the networks that fit the images.
        data: As for `accuracy_over_time`.
        folder: Where runs and tables are kept.
        **options: Those of `xbar sharing-cost`: `schemes`, `devices`, `mechanisms`, `profile`, `quick`, ....

    Returns:
        One row for each run; the text has every layer, digital ones too.
    """
    return _study(SharingCostConfig, _share, model, data, Path(folder), options)


def wires_study(
    model: Model,
    data: Any,
    *,
    ohms: Sequence[float] = (1.0, 3.0, 10.0, 30.0),
    tile_sizes: Sequence[int] = (64, 512),
    chips: int = 2,
    device: str = "pcm",
    folder: str | Path = "runs",
    **options: Any,
) -> StudyResult:
    """Ask what resistive word and bit lines do to a network: exactly, and by aihwkit's approximation.

    Args:
        model: As for `accuracy_over_time`.
        data: As for `accuracy_over_time`.
        ohms: Resistances of a segment of a line, in ohm.
        tile_sizes: Lines of the largest array.
        chips: Chips for each.
        device: Memory cell.
        folder: Where runs are kept.
        **options: Of `xbar train`, for the training.

    Returns:
        One row for each size of arrays, resistance and chip, and the errors of every layer.
    """
    wish = _wish(
        model, data, device, Path(folder), options.pop("loss", None), options.pop("metric", None), options
    )
    run, _ = _done_run(wish, is_trained=isinstance(model, nn.Module))
    config = WiresConfig(
        run=str(run.path),
        ohms=",".join(f"{ohm:g}" for ohm in ohms),
        tile_sizes=",".join(map(str, tile_sizes)),
        chips=chips,
    )
    with _quiet() as said:
        run_wires(config)
    content: Any = read_json(run.path / "wires.json")
    rows = [
        {
            "layout": point["layout"],
            "tile_size": point["tile_size"],
            "ohm": point["ohm"],
            "chip": chip,
            "accuracy_exact": exact,
            "accuracy_aihwkit": approximate,
            **{f"error_{name}": error["exact"] for name, error in point["errors"].items()},
        }
        for point in content["points"]
        for chip, (exact, approximate) in enumerate(zip(point["exact"], point["aihwkit"], strict=True))
    ]
    return StudyResult(
        rows=rows,
        text=said.getvalue().strip(),
        files=[file for file in files_in(run.path) if file.name.startswith("wires")],
        pictures=_pictures(run.path, ("wires",)),
        run=run.path,
    )


def does_it_matter(
    model: Model,
    data: Any,
    *,
    chips: int | None = None,
    time: str | None = None,
    device: str = "pcm",
    folder: str | Path = "runs",
    **options: Any,
) -> StudyResult:
    """Ask which non-idealities of a device change a network's accuracy: each is switched off alone.

    Args:
        model: As for `accuracy_over_time`.
        data: As for `accuracy_over_time`.
        chips: Chips to compare; 10 if None.
        time: Since programming, for example "1d"; the last known if None.
        device: Memory cell.
        folder: Where runs are kept.
        **options: Of `xbar train`, for the training.

    Returns:
        One row for each non-ideality, the largest effect first.
    """
    is_trained = isinstance(model, nn.Module)
    if is_trained:  # nothing of it is trained with noise, and nothing without tiles
        options = {**options, "mode": "hwa", "weight_noise": 0.0}
    wish = _wish(
        model, data, device, Path(folder), options.pop("loss", None), options.pop("metric", None), options
    )
    run, _ = _done_run(wish, is_trained=is_trained)
    with _quiet() as said:
        run_does_it_matter(DoesItMatterConfig(run=str(run.path), chips=chips, time=time))
    content: Any = read_json(run.path / "does_it_matter.json")
    return StudyResult(
        rows=content["effects"],
        text=said.getvalue().strip(),
        files=[file for file in files_in(run.path) if file.name.startswith("does_it_matter")],
        pictures=_pictures(run.path, ("does_it_matter",)),
        run=run.path,
    )


def _wish(
    model: Model,
    data: Any,
    device: str,
    folder: Path,
    loss: Loss | None,
    metric: Metric | None,
    options: Mapping[str, Any],
) -> TrainConfig:
    file = data_file(data, folder, loss, metric)
    name = model_name(model, facts_of_data(file, loss, metric))
    mode: Any = (
        "digital" if isinstance(model, nn.Module) and "mode" not in options else options.get("mode", "hwa")
    )
    more = {key: value for key, value in options.items() if key != "mode"}
    try:
        return TrainConfig(
            data=file, model=name, device=device, mode=mode, out=folder, loss=loss, metric=metric, **more
        )
    except TypeError as error:
        raise TypeError(
            f"`options` must be those of `xbar train`, but {str(error).partition('argument ')[2] or error} is none."
        ) from None


def _done_run(wish: TrainConfig, *, is_trained: bool) -> tuple[RunFolder, str]:
    """Do a run if it is not done, and return its folder and its table."""
    if is_trained:
        wish, _ = folder_of_trained(wish)
    folder = RunFolder.of(resolve(wish, images_of(wish).facts))
    with _quiet() as said:
        run_train(wish)
    return folder, said.getvalue().strip()


def _study(
    config_class: Any,
    do: Callable[[Any], list[dict[str, Any]]],
    model: Model | None,
    data: Any,
    folder: Path,
    options: Mapping[str, Any],
) -> StudyResult:
    loss, metric = options.get("loss"), options.get("metric")
    file = data_file(data, folder, loss, metric)
    name = None if model is None else model_name(model, facts_of_data(file, loss, metric))
    more = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    if name is not None and is_handed_over(name):
        if more.get("jobs", 1) != 1 or more.get("dask") is not None:
            raise ValueError(
                "`jobs` must be left out for a network that is handed over in Python, but is given: no other process "
                "knows it. Leave it out, or name the function by its file, 'my_network.py:build'."
            )
        more["jobs"] = 1
    try:
        config = config_class(data=file, model=name, runs=folder, **more).resolved()
    except TypeError as error:
        raise TypeError(
            f"`options` must be those of the command, but {str(error).partition('argument ')[2] or error} is none."
        ) from None
    with _quiet() as said:
        rows = do(config)
    out: Path = config.out
    pictures = [path.stem for path in sorted(out.glob("*.png"))]
    return StudyResult(
        rows=rows,
        text=said.getvalue().strip(),
        files=files_in(out),
        pictures=_pictures(out, sorted(pictures, key=lambda one: one != "pareto")),
        run=out,
    )


def _compare(config: CompareDevicesPlan) -> list[dict[str, Any]]:
    return records_of_devices(run_study(CompareDevices(config)))


def _share(config: SharingCostPlan) -> list[dict[str, Any]]:
    return [flat(row) for row in run_study(SharingCost(config))]


def _rows_of(result: Result) -> list[dict[str, Any]]:
    """Return one row for each accuracy."""
    what = {"model": result.model, "device": result.device, "mode": result.mode, "metric": result.metric}
    rows: list[dict[str, Any]] = [
        {**what, "chip": None, "compensation": "digital", "time_s": None, "accuracy": result.digital_accuracy}
    ]
    for reading, value in enumerate(result.as_trained):
        rows.append({**what, "chip": reading, "compensation": "as trained", "time_s": 0.0, "accuracy": value})
    for name, chips in result.accuracy.items():
        for chip, values in enumerate(chips):
            for time, value in zip(result.times, values, strict=True):
                rows.append({**what, "chip": chip, "compensation": name, "time_s": time, "accuracy": value})
    return rows


def _pictures(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    return {name: folder / f"{name}.png" for name in names if (folder / f"{name}.png").is_file()}


@contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Catch what a command prints; its progress bar stays."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        yield said
