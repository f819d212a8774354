"""What the commands do: resolve what was asked for, do or continue the work, and print what came out."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numba
import torch

from crossbar import load_model, save_model, tile_arrays

from ..data.chance import mark
from ..data.datasets import DataSplit
from ..drawing.dynamics_figures import draw_dynamics, draw_pulse_maps
from ..drawing.figures import draw_accuracy_over_time, draw_learning_curve
from ..drawing.run_tables import dynamics_table, table
from ..runs.evaluation import evaluate
from ..runs.ledger_file import RunEvents
from ..runs.options.config import LEARNS_ON_DEVICES, TrainConfig
from ..runs.options.defaults import digital_reference, resolve
from ..runs.options.device_names import label
from ..runs.options.fault_options import canonical
from ..runs.options.sharing_options import resolve_sharing
from ..runs.options.wire_options import canonical_wires, wires_of
from ..runs.record import Record
from ..runs.result import Result
from ..runs.run_data import images_of
from ..runs.run_folder import RunFolder
from ..runs.training import make_model, train
from ..support.environment import describe_environment
from ..support.interruption import Interruption
from ..support.json_files import read_json, write_json
from .config import EvaluateConfig, ReportConfig, ResumeConfig
from .report_page import write_run_page


def run_train(config: TrainConfig) -> None:
    """Train as asked; continue the run if it was interrupted, show it if it is finished.

    Raises:
        ValueError: If the configuration cannot be run.
        FileNotFoundError: If the data are missing.
        RunInterrupted: If the user stopped it.
    """
    data = images_of(config)
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
    if config.data_dir is not None:
        started = replace(started, data_dir=config.data_dir)
    data = images_of(started)
    _run_with_reference(resolve(started, data.image_shape), folder, data)


def _run_with_reference(config: TrainConfig, folder: RunFolder, data: DataSplit) -> None:
    """Do a run, after its digital reference if it has one, and print the result."""
    reference_accuracy = None
    if config.reference:
        print("First the same network, trained digitally.")
        digital = digital_reference(config, data.image_shape)
        reference_accuracy = _run(digital, RunFolder.of(digital), data).digital_accuracy
    result = _run(config, folder, data)
    print(f"\n{table(result, reference_accuracy)}\n")
    _print_paths(folder.result_file, folder.ledger_file, folder.accuracy_figure, folder.learning_figure)


def _run(config: TrainConfig, folder: RunFolder, data: DataSplit) -> Result:
    """Do whatever of a run is not done yet, and return its result."""
    assert config.threads is not None
    use_threads(config.threads)
    with folder.lock(), Interruption(f"xbar resume {folder.path}") as interruption:
        if config.force:
            folder.clear()
        folder.check_origin()
        if folder.result_file.exists():
            print(f"{folder.path} is finished; `xbar train` with its options and --force would repeat it.")
            return Result.from_json(read_json(folder.result_file))
        fingerprint = data.fingerprint()
        if not folder.config_file.exists():
            folder.start(config, {**describe_environment(config.threads), "data": fingerprint})
        else:
            folder.check_data(fingerprint)
            folder.say_where_it_goes_on()
        if folder.model_file.exists():
            model = load_model(folder.model_file, make_model(config)).eval()
        else:
            model = train(config, data, folder, interruption, fingerprint=fingerprint)
            save_model(model, folder.model_file)
            folder.delete_checkpoint()
        trained = RunEvents.read(folder.ledger_file)
        result, events = evaluate(config, model, data, interruption)
        RunEvents(trained.training, events).write(folder.ledger_file)
        draw_learning_curve(folder.read_log(), _title_of(folder, result), folder.learning_figure)
        if result.times:
            draw_accuracy_over_time(result, folder.accuracy_figure)
        # Last: this file is the mark of a finished run.
        write_json(folder.result_file, result.to_json())
        return result


def run_evaluate(config: EvaluateConfig) -> None:
    """Program a finished run's network onto other chips or other tiles, and write that result beside the run's own.

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
    _refuse_to_rebuild(config, trained)
    wishes = {
        name: getattr(config, name)
        for name in (
            "device",
            "faults",
            "wires",
            "chips",
            "compensation",
            "test_images",
            "data_dir",
            "threads",
            "times",
        )
        if getattr(config, name) is not None
    }
    if "wires" in wishes and canonical_wires(config.wires) is None:
        wishes["wires_every"] = None
    if config.device not in (None, trained.device) and config.times is None:
        wishes["times"] = None  # those at which the other device was measured
    asked = replace(trained, **wishes)
    data = images_of(asked)
    asked = resolve(asked, data.image_shape)
    assert asked.threads is not None
    placement = None if config.placement == trained.placement else config.placement
    placed = asked if placement is None else _placed_anew(asked, placement)
    use_threads(asked.threads)
    with folder.lock(), Interruption("the same command") as interruption:
        folder.check_origin()
        if asked.test_images == trained.test_images:
            folder.check_data(data.fingerprint())
        # What training keeps of its wires is in the file.
        as_trained = replace(asked, wires=trained.wires, wires_every=trained.wires_every)
        model = load_model(folder.model_file, make_model(as_trained)).eval()
        for _, array in tile_arrays(model):
            if wires_of(asked) != wires_of(trained):
                array.use_wires(wires_of(asked))
        result, events = evaluate(asked, model, data, interruption, placement=placement)
        digest = hashlib.blake2b(
            json.dumps(placed.identity(), sort_keys=True).encode(), digest_size=4
        ).hexdigest()
        name = f"{label(asked.device)}-{digest}"
        numbers, figure = (folder.path / f"evaluation-{name}.{ending}" for ending in ("json", "png"))
        ledger = folder.path / f"ledger-{name}.json"
        RunEvents(None, events).write(ledger)
        if result.times:
            draw_accuracy_over_time(result, figure)
        write_json(numbers, result.to_json())
    print(f"\n{table(result)}\n")
    _print_paths(numbers, ledger, figure)


def _refuse_to_rebuild(config: EvaluateConfig, trained: TrainConfig) -> None:
    """Refuse to give a network other devices or tiles than those that it has learned on."""
    if trained.mode not in LEARNS_ON_DEVICES:
        return
    for name, have, what in (
        ("device", trained.device, "on the other device"),
        ("placement", trained.placement, "with the other placement"),
    ):
        wish = getattr(config, name)
        if wish not in (None, have):
            raise ValueError(
                f"`{name}` must be left out, but is {wish!r}: this network has learned on the devices of one "
                f"{trained.device} chip, and they cannot be exchanged. Train {what} with `xbar train`."
            )
    if config.faults is not None and canonical(config.faults) != trained.faults:
        raise ValueError(
            f"`faults` must be left out, but is {config.faults!r}: this network has learned on one {trained.device} "
            "chip, with its faults or without. Train with other ones, `xbar train --faults`."
        )
    if config.wires is not None and canonical_wires(config.wires) is not None:
        raise ValueError(
            f"`wires` must be left out, but is {config.wires!r}: what pulses have trained has no unit of "
            "conductance. Evaluate a run with --mode hwa or digital."
        )


def _placed_anew(asked: TrainConfig, placement: str) -> TrainConfig:
    """Return the configuration of a trained network on other tiles.

    Raises:
        ValueError: If there is no such placement, or nothing is put on tiles.
    """
    assert asked.model is not None
    if asked.times is None:
        raise ValueError(
            f"`placement` must be left out with --device {asked.device}, but is {placement!r}: nothing is put on "
            "tiles. Name a --device."
        )
    # Penalties belong to the training, which is over.
    over = replace(asked, soft_sharing=0.0, sleep_every=0, sleep_factor=None, write_tolerance=None)
    resolve_sharing(over, asked.model, placement)
    return replace(asked, placement=placement)


def run_report(config: ReportConfig) -> None:
    """Draw the figures of a finished run again, print a short table, and write a page to read in a browser.

    Raises:
        ValueError: If the run is not finished, or damaged.
        FileNotFoundError: If the run is missing.
    """
    folder = RunFolder.existing(config.run)
    if not folder.result_file.exists():
        raise ValueError(
            f"`run` must be finished, but {folder.path} has no result.json yet. "
            f"Finish it with `xbar resume {folder.path}`."
        )
    with folder.lock():
        folder.check_origin()
        trained = folder.read_config()
        result = Result.from_json(read_json(folder.result_file))
        record = Record.read(folder.record_file) if trained.record_every else None
        draw_learning_curve(folder.read_log(), _title_of(folder, result), folder.learning_figure)
        if result.times:
            draw_accuracy_over_time(result, folder.accuracy_figure)
        if record is not None:
            title = f"{result.model} ({result.placement}) learning on {result.device}"
            draw_dynamics(record, title, folder.dynamics_figure)
            draw_pulse_maps(record, title, folder.pulses_figure)
        page = write_run_page(folder, result)
    print(f"\n{table(result)}\n")
    if record is not None:
        print(f"{dynamics_table(record)}\n")
    elif trained.mode in LEARNS_ON_DEVICES and trained.backend != "aihwkit":
        print(
            "Nothing was recorded of the devices: let them learn with --record-every 10 for more figures.\n"
        )
    _print_paths(
        folder.result_file,
        folder.ledger_file,
        folder.learning_figure,
        folder.accuracy_figure,
        folder.dynamics_figure,
        folder.pulses_figure,
    )
    print(f"page:    {page}")


def _title_of(folder: RunFolder, result: Result) -> str:
    return folder.path.name + mark([result.did_learn])


def use_threads(threads: int) -> None:
    """Compute with this many threads."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _print_paths(result: Path, ledger: Path, *figures: Path) -> None:
    print(f"numbers: {result}")
    print(f"events:  {ledger}")
    for figure in figures:
        if figure.exists():
            print(f"figure:  {figure}")
