"""`xbar report` of a study: its page anew, from its file of numbers and its figures; of a run, the command below."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from ..commands.config import ReportConfig
from ..commands.report import run_report as report_of_run
from ..commands.report_page import PAGE
from ..drawing.html_page import write_page
from ..drawing.sections import Section, sections_from_json
from ..runs.run_folder import RunFolder
from ..support.answer import Answer
from .comparison.study import compare_runs
from .results import Results, numbers_file, read_results
from .study import Findings, how_to_repeat

# The modules whose `findings_of` reads what version 1 has left; version 2 keeps its sections.
_EARLIER: Final = {
    "compare-devices": "compare_devices.study",
    "sharing-cost": "sharing_cost.study",
    "paper": "paper.study",
    "in-situ": "in_situ.study",
    "retention": "retention.study",
    "wires-training": "wires_training.study",
    "demo": "demo.study",
}
_UNKNOWN: Final = "Written by an earlier version, which did not say which networks had learned."


def run_report(config: ReportConfig) -> Answer:
    """Write the page of a study anew; draw figures and page of a run; put several runs beside each other.

    Returns:
        The numbers of the run, of the study, or of the comparison.

    Raises:
        ValueError: If the run or study is not finished, or damaged.
        FileNotFoundError: If it is missing.
    """
    if len(config.runs) > 1:
        page = compare_runs(config.runs, config.packing)
        print(f"page: {page}")
        return page.with_suffix(".json")
    (run,) = config.runs
    folder = Path(run)
    name = study_in(folder)
    if name is None:
        return report_of_run(run, config.packing)
    if config.packing != "none":
        raise ValueError(
            f"`packing` must be left out for the folder of a study, but is {config.packing!r}: its prices are "
            f"written. Price it again, `xbar sharing-cost --from {run} --packing {config.packing}`, if it has prices."
        )
    print(f"page: {write_study_page(name, folder)}")
    return numbers_file(name, folder)


def study_in(folder: Path) -> str | None:
    """Return the name of the study that a folder holds, or None: a run keeps numbers of its studies, but is none."""
    if RunFolder(folder).config_file.is_file():
        return None
    folders = (file.parent.name for file in sorted(Path(__file__).parent.glob("*/study.py")))
    studies = (name.replace("_", "-") for name in folders)
    return next((name for name in studies if numbers_file(name, folder).is_file()), None)


def write_study_page(name: str, folder: Path) -> Path:
    """Write the page of a study into its folder.

    Args:
        name: The study.
        folder: Where its file of numbers lies.

    Returns:
        The HTML file.

    Raises:
        ValueError: If a file is damaged.
        FileNotFoundError: If one is missing.
    """
    file = numbers_file(name, folder)
    results = read_results(file, name)
    try:
        findings = _of_now(results, folder) if results.sections is not None else _of_earlier(results, folder)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"`run` must be the folder of an undamaged study, but parts of {file} are damaged: {error}. "
            "Repeat the study."
        ) from None
    path = folder / PAGE
    write_page(path, title=findings.title, summary=findings.summary, sections=findings.sections)
    return path


def _of_now(results: Results, folder: Path) -> Findings:
    sections = sections_from_json(results.sections, folder)
    title, summary = str(results.more["title"]), str(results.more["summary"])
    return Findings(title=title, summary=summary, sections=sections)


def _of_earlier(results: Results, folder: Path) -> Findings:
    module = import_module(f"{__package__}.{_EARLIER[results.study]}")
    findings_of: Callable[[Results, Path], Findings] = module.findings_of
    findings = findings_of(results, folder)
    commands = [str(row["command"]) for row in results.rows if "command" in row]
    last = how_to_repeat(results.command, commands, results.configuration, results.environment)
    sections = [Section(warnings=(_UNKNOWN,)), *findings.sections, *last]
    return Findings(title=findings.title, summary=findings.summary, sections=sections)
