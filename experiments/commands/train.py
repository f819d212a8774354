"""`xbar train`: do a run, or go on with it, and print what came out."""

import sys
from contextlib import nullcontext
from pathlib import Path

from crossbar import load_model
from crossbar.distributed import communication

from ..data.chance import mark
from ..data.datasets import DataSplit, Facts, is_own
from ..data.user_function import label_of
from ..drawing.figures import draw_accuracy_over_time, draw_learning_curve
from ..drawing.run_tables import table
from ..runs.evaluation import evaluate
from ..runs.ledger_file import RunEvents
from ..runs.options.config import TrainConfig
from ..runs.options.defaults import digital_reference, resolve, rules_of
from ..runs.rates.tuned import say_other_length
from ..runs.result import Result
from ..runs.run import Run
from ..runs.run_data import images_of, refuse_too_many
from ..runs.run_folder import RunFolder
from ..runs.run_network import make_model
from ..runs.team.launching import joined, started_by_torchrun
from ..runs.team.memory import use_memory
from ..runs.team.threads import use_threads
from ..runs.team.training_together import begin_together, follow, keep, train_in_processes
from ..runs.training import train
from ..support.answer import Answer
from ..support.environment import describe_environment
from ..support.interruption import Interruption
from ..support.json_files import read_json, write_json
from ..support.torch_devices import check_torch_device


def run_train(wish: TrainConfig) -> Answer:
    """Train as asked; continue the run if it was interrupted, show it if it is finished.

    Returns:
        The file of the accuracies.

    Raises:
        ValueError: If the wish cannot be run.
        FileNotFoundError: If the data are missing.
        RunInterrupted: If the user stopped it.
    """
    with joined() if started_by_torchrun() else nullcontext():
        return _run_train(wish)


def _run_train(wish: TrainConfig) -> Answer:
    data = images_of(wish)
    run = resolve(wish, data.facts)
    if communication.rank() > 0:
        follow(run, RunFolder.of(run), data)
        sys.exit(0)  # the first process says what came out
    refuse_too_many(wish, data)
    say_what_is_own(run, data.facts)
    if wish.tuned is not None:
        say_other_length(wish.tuned, run.epochs, len(data.train))
    return run_with_reference(run, RunFolder.of(run), data)


def run_with_reference(run: Run, folder: RunFolder, data: DataSplit) -> Path:
    """Do a run, after its digital reference if it has one, and print the result.

    Returns:
        The file of the accuracies.

    Raises:
        ValueError: If the run's torch device is not there.
    """
    check_torch_device(run.torch_device)
    reference_accuracy = None
    if run.reference:
        print("First the same network, trained digitally.")
        digital = digital_reference(run, data.facts)
        reference_accuracy = _run(digital, RunFolder.of(digital), data).digital_accuracy
    result = _run(run, folder, data)
    print(f"\n{table(result, reference_accuracy)}\n")
    print_paths(folder.result_file, folder.ledger_file, folder.accuracy_figure, folder.learning_figure)
    return folder.result_file


def _run(run: Run, folder: RunFolder, data: DataSplit) -> Result:
    """Do whatever of a run is not done yet, and return its result."""
    use_threads(run.threads)
    how = f"xbar resume {folder.path}"
    with folder.lock(), use_memory(run.memory), Interruption(how) as interruption:
        if run.force:
            folder.clear()
        folder.check_origin()
        if folder.result_file.exists():
            begin_together(trains=False)
            print(f"{folder.path} is finished; `xbar train` with its options and --force would repeat it.")
            return Result.from_json(read_json(folder.result_file))
        fingerprint = data.fingerprint()
        if not folder.config_file.exists():
            folder.start(run, {**describe_environment(run.threads), "data": fingerprint})
        else:
            folder.check_data(fingerprint)
            folder.say_where_it_goes_on()
        if folder.model_file.exists():
            begin_together(trains=False)
            model = load_model(folder.model_file, make_model(run, facts=data.facts)).eval()
        elif run.processes > 1 and communication.processes() == 1:
            train_in_processes(run, folder, interruption, fingerprint)
            model = load_model(folder.model_file, make_model(run, facts=data.facts)).eval()
        else:
            begin_together(trains=True)
            model = train(run, data, folder, interruption, fingerprint=fingerprint)
            keep(model, folder)
        trained = RunEvents.read(folder.ledger_file)
        result, events = evaluate(run, model, data, interruption)
        RunEvents(trained.training, events).write(folder.ledger_file)
        draw_learning_curve(folder.read_log(), title_of(folder, result), folder.learning_figure, run.metric)
        if result.times:
            draw_accuracy_over_time(result, folder.accuracy_figure)
        # Last: this file is the mark of a finished run.
        write_json(folder.result_file, result.to_json())
        return result


def say_what_is_own(run: Run, facts: Facts) -> None:
    """Say what data and network of one's own are like, and which of the run's values are defaults by a rule."""
    if is_own(run.data):
        print(f"{label_of(run.data, 'data')}: {facts.images:,} training examples, {facts}.")
    rules = rules_of(run, facts)
    if rules:
        print(f"By rule (see docs/how_to/own_networks.md): {'; '.join(rules)}.")


def title_of(folder: RunFolder, result: Result) -> str:
    """Return what figures call a run: its folder's name, marked if its network did not learn."""
    return folder.path.name + mark([result.did_learn])


def print_paths(result: Path, ledger: Path, *figures: Path) -> None:
    """Say where the numbers, the events and those of the figures that exist lie."""
    print(f"numbers: {result}")
    print(f"events:  {ledger}")
    for figure in figures:
        if figure.exists():
            print(f"figure:  {figure}")
