"""What the commands do: resolve what was asked for, do or continue the work, and print what came out."""

import hashlib
import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numba
import torch

from crossbar import load_model, save_model
from devices import catalogue, get
from models import NETWORKS, build

from .config import NO_DEVICE, EvaluateConfig, ResumeConfig, TrainConfig, available_threads
from .data import DataSplit, load_data
from .durations import format_time, parse_times, write_times
from .environment import describe_environment
from .evaluation import Result, evaluate
from .figures import draw_accuracy_over_time, draw_learning_curve
from .interruption import Interruption
from .json_files import read_json, write_json
from .report import table
from .run_folder import RunFolder
from .training import make_model, train

_DEFAULT_TIMES: Final = "1s,1h,1d,1month,1y"
# Epochs and Adam's learning rate for each shape of images, for runs that end in minutes (the paper: 1e-3 and
# 1e-4 over hundreds of epochs). Found by trial: the digits reach 97 % with and without noise; MNIST after 200
# steps 91 % hardware-aware (1e-3: 80 %) and 97 % digitally (95 %). assumed for 32 x 32: between the two.
_TRAINING_OF_SHAPE: Final = {(1, 8, 8): (60, 5e-3), (1, 28, 28): (4, 4e-3), (3, 32, 32): (10, 1e-3)}
_FCN_OF_SHAPE: Final = {NETWORKS[name].image_shape: name for name in NETWORKS if name.startswith("fcn_")}


def resolve(config: TrainConfig, image_shape: tuple[int, int, int]) -> TrainConfig:
    """Replace every "default" in a configuration by its value, and check what only models and devices know.

    Args:
        config: What the user asked for.
        image_shape: Channels, height and width of the images.

    Returns:
        A configuration that says all about the run.

    Raises:
        ValueError: If model, placement or device do not exist, or do not fit each other or the images.
    """
    model = config.model or _FCN_OF_SHAPE.get(image_shape)
    if model is None:
        raise ValueError(
            f"`data` must have images of {', '.join(map(str, _FCN_OF_SHAPE))} (channels, height, width), but "
            f"{config.data!r} has {image_shape}. Resize the images."
        )
    if model not in NETWORKS:
        raise ValueError(
            f"`model` must be one of {', '.join(sorted(NETWORKS))}, but is {model!r}. Choose one."
        )
    if NETWORKS[model].image_shape != image_shape:
        raise ValueError(
            f"`model` must fit the images of {config.data!r}, {image_shape}, but {model} expects "
            f"{NETWORKS[model].image_shape} (channels, height, width). Choose another --model or --data."
        )
    placement = config.placement or NETWORKS[model].placement
    with _speaking_of("placement"):
        build(model, placement)
    if "sync_every" in placement:
        raise ValueError(
            f"`placement` must be without sync_every, but is {placement!r}: while a network is trained in software, "
            "its copies are one kernel and need no synchronisation. Leave it out."
        )
    epochs, lr = _TRAINING_OF_SHAPE[NETWORKS[model].image_shape]
    return replace(
        config,
        model=model,
        placement=placement,
        epochs=config.epochs or epochs,
        lr=config.lr or lr,
        times=None if config.device == NO_DEVICE else _resolve_times(config.times, config.device),
        threads=config.threads or available_threads(),
    )


@contextmanager
def _speaking_of(option: str) -> Iterator[None]:
    """Name the option in errors of functions that know it as `name`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("`name`", f"`{option}`")) from error


def _resolve_times(times: str | None, device_name: str) -> str:
    with _speaking_of("device"):
        device = get(device_name)
    if times is None:
        return write_times(tuple(t for t in parse_times(_DEFAULT_TIMES) if device.valid_at(t)))
    for time in parse_times(times):
        device.check_time(time)
    return write_times(parse_times(times))


def run_train(config: TrainConfig) -> None:
    """Train as asked; continue the run if it was interrupted, show it if it is finished.

    Raises:
        ValueError: If the configuration cannot be run.
        FileNotFoundError: If the data are missing.
        RunInterrupted: If the user stopped it.
    """
    data = _load(config)
    config = resolve(config, data.image_shape)
    _run_with_reference(config, RunFolder.of(config), data)


def run_resume(config: ResumeConfig) -> None:
    """Continue an interrupted run with its own configuration and number of threads.

    Raises:
        ValueError: If the run's files are damaged, or its data have changed.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it.
    """
    folder = RunFolder.existing(config.run)
    started = replace(folder.read_config(), force=False, out=folder.path.parent)
    data = _load(started)
    _run_with_reference(resolve(started, data.image_shape), folder, data)


def _run_with_reference(config: TrainConfig, folder: RunFolder, data: DataSplit) -> None:
    """Do a run, after its digital reference if it has one, and print the result."""
    reference_accuracy = None
    if config.reference and config.mode == "hwa":
        print("First the same network, trained digitally.")
        digital = replace(config, mode="digital", device=NO_DEVICE, times=None, reference=False)
        reference_accuracy = _run(digital, RunFolder.of(digital), data).digital_accuracy
    result = _run(config, folder, data)
    print(f"\n{table(result, reference_accuracy)}\n")
    _print_paths(folder.result_file, folder.accuracy_figure, folder.learning_figure)


def _run(config: TrainConfig, folder: RunFolder, data: DataSplit) -> Result:
    """Do whatever of a run is not done yet, and return its result."""
    assert config.threads is not None
    _use_threads(config.threads)
    with folder.lock(), Interruption(f"xbar resume {folder.path}") as interruption:
        if config.force:
            folder.clear()
        if folder.result_file.exists():
            print(f"{folder.path} is finished; `xbar train` with its options and --force would repeat it.")
            return Result.from_json(read_json(folder.result_file))
        fingerprint = data.fingerprint()
        if not folder.config_file.exists():
            folder.start(config, {**describe_environment(config.threads), "data": fingerprint})
        elif folder.checkpoint_file.exists():
            print(f"Continuing {folder.path}.")
        if folder.model_file.exists():
            model = load_model(folder.model_file, make_model(config)).eval()
        else:
            model = train(config, data, folder, interruption, fingerprint=fingerprint)
            save_model(model, folder.model_file)
            folder.checkpoint_file.unlink(missing_ok=True)
        result = evaluate(config, model, data, interruption)
        draw_learning_curve(folder.read_log(), folder.path.name, folder.learning_figure)
        if result.times:
            draw_accuracy_over_time(result, folder.accuracy_figure)
        # Last: this file is the mark of a finished run.
        write_json(folder.result_file, result.to_json())
        return result


def run_evaluate(config: EvaluateConfig) -> None:
    """Program a finished run's network onto other chips, and write that result beside the run's own.

    Raises:
        ValueError: If the run is not trained yet or damaged, or the wishes do not fit.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it.
    """
    folder = RunFolder.existing(config.run)
    trained = folder.read_config()
    if not folder.model_file.exists():
        raise ValueError(
            f"`run` must be trained, but {folder.path} has no model.safetensors yet. "
            f"Finish it with `xbar resume {folder.path}`."
        )
    wishes = {
        name: getattr(config, name)
        for name in ("device", "chips", "compensation", "test_images", "data_dir", "threads", "times")
        if getattr(config, name) is not None
    }
    if config.device is not None and config.times is None:
        wishes["times"] = None  # those at which the other device was measured
    asked = replace(trained, **wishes)
    data = _load(asked)
    asked = resolve(asked, data.image_shape)
    assert asked.threads is not None
    _use_threads(asked.threads)
    with folder.lock(), Interruption("the same command") as interruption:
        model = load_model(folder.model_file, make_model(asked)).eval()
        result = evaluate(asked, model, data, interruption)
        digest = hashlib.blake2b(
            json.dumps(asked.identity(), sort_keys=True).encode(), digest_size=4
        ).hexdigest()
        name = f"evaluation-{asked.device}-{digest}"
        write_json(folder.path / f"{name}.json", result.to_json())
        if result.times:
            draw_accuracy_over_time(result, folder.path / f"{name}.png")
    print(f"\n{table(result)}\n")
    _print_paths(folder.path / f"{name}.json", folder.path / f"{name}.png")


def run_devices() -> None:
    """Print the catalogue of devices."""
    devices = [get(name) for name in catalogue()]
    width = max(len(device.name) for device in devices)
    for device in devices:
        times = ", ".join(format_time(time) for time in parse_times(_DEFAULT_TIMES) if device.valid_at(time))
        print(f"{device.name:<{width}}  {device.technology}")
        for line in (device.summary, f"Default times: {times}.", f"Source: {device.source}."):
            print(textwrap.indent(textwrap.fill(line, 90), " " * (width + 2)))
        print()


def _load(config: TrainConfig) -> DataSplit:
    return load_data(
        config.data,
        config.data_dir,
        seed=config.seed,
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
    )


def _use_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _print_paths(result: Path, *figures: Path) -> None:
    print(f"numbers: {result}")
    for figure in figures:
        if figure.exists():
            print(f"figure:  {figure}")
