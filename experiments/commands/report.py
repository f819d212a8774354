"""`xbar report`: draw the figures of a run again, and write its page."""

from devices.files import write_atomically

from ..drawing.confusion_figure import draw_confusion
from ..drawing.confusion_tables import class_sections, class_table
from ..drawing.dynamics_figures import draw_dynamics, draw_pulse_maps
from ..drawing.figures import draw_accuracy_over_time, draw_learning_curve
from ..drawing.run_tables import dynamics_table, table
from ..drawing.sections import csv_of
from ..runs.result import Result
from ..runs.run_folder import RunFolder
from ..runs.watching.record import Record
from ..support.answer import Answer
from ..support.json_files import read_json
from .report_page import write_run_page
from .train import print_paths, title_of
from .unfinished import StateOfRun, write_unfinished_page


def run_report(run: str, packing: str = "none") -> Answer:
    """Draw the figures of a run again, print a short table, and write a page to read in a browser.

    Of a run that is not finished, also while it is training, the page says how far it is.

    Args:
        run: Its folder, or its name in the folder of runs.
        packing: How kernels lie in the arrays that are priced.

    Returns:
        The file of its accuracies; before there is one, how far it is.

    Raises:
        ValueError: If the run is damaged.
        FileNotFoundError: If the run is missing.
    """
    folder = RunFolder.existing(run)
    is_in_use = folder.is_in_use()
    folder.check_origin()
    if not folder.result_file.exists():
        if packing != "none":
            raise ValueError(
                f"`packing` must be left out until the run is finished, but is {packing!r}: nothing is priced yet."
            )
        return _report_unfinished(folder, is_in_use=is_in_use)
    trained = folder.read_config()
    result = Result.from_json(read_json(folder.result_file))
    record = Record.read(folder.record_file) if trained.record_every else None
    draw_learning_curve(folder.read_log(), title_of(folder, result), folder.learning_figure, result.metric)
    if result.times:
        draw_accuracy_over_time(result, folder.accuracy_figure)
    draw_confusion(result, title_of(folder, result), folder.confusion_figure)
    if result.confusion:
        write_atomically(folder.confusion_figure.with_suffix(".csv"), csv_of(class_sections(result)).encode())
    if record is not None:
        title = f"{result.model} ({result.placement}) learning on {result.device}"
        draw_dynamics(record, title, folder.dynamics_figure)
        draw_pulse_maps(record, title, folder.pulses_figure)
    page = write_run_page(folder, result, packing)
    print(f"\n{table(result)}\n")
    if class_table(result):
        print(f"{class_table(result)}\n")
    if record is not None:
        print(f"{dynamics_table(record)}\n")
    elif trained.learns_on_devices and trained.backend != "aihwkit":
        print(
            "Nothing was recorded of the devices: let them learn with --record-every 10 for more figures.\n"
        )
    print_paths(
        folder.result_file,
        folder.ledger_file,
        folder.learning_figure,
        folder.accuracy_figure,
        folder.confusion_figure,
        folder.dynamics_figure,
        folder.pulses_figure,
    )
    print(f"page:    {page}")
    return folder.result_file


def _report_unfinished(folder: RunFolder, *, is_in_use: bool) -> Answer:
    """Say how far a run is, and write a page with what there is of it."""
    state = StateOfRun.read(folder, is_in_use=is_in_use)
    if state.log:
        draw_learning_curve(
            state.log, f"{folder.path.name}, not finished", folder.learning_figure, state.run.metric
        )
    page = write_unfinished_page(folder, state)
    print(f"{state.sentence}\npage:    {page}")
    return state.to_json()
