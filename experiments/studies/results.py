"""The file of numbers that every study leaves: one schema with a version, which also reads what earlier ones left.

    format         "crossbar-emulator study 2"
    study          name of the study
    command        the line that repeats it
    configuration  what was asked for
    environment    versions, commit, machine
    rows           one entry for each run or measurement
    failed         runs that broke off, and why
    sections       what is told: texts, tables, names of figures
    ...            whatever else a study counts

Version 1 had no name, no version and no sections, and called the configuration "config" or "configuration"; some of
its studies called their rows "points" or "accuracy". It did not say which networks had learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from ..drawing.sections import Section, sections_to_json
from ..support.json_files import read_json, write_json

FORMAT: Final = "crossbar-emulator study 2"
_OF_VERSION_1: Final = ("crossbar-emulator sharing-cost 1", None)
_ROWS_OF_VERSION_1: Final = ("rows", "points", "accuracy")
_KNOWN: Final = (
    "format", "study", "command", "configuration", "environment", "rows", "failed", "sections",
)  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class Results:
    """What a study's file of numbers holds.

    Attributes:
        study: Name of the study.
        command: The line that repeats it; empty where an earlier version did not say.
        configuration: What was asked for.
        environment: Versions, commit, machine.
        rows: One entry for each run or measurement.
        failed: Runs that broke off, and why.
        sections: What is told, as `sections_from_json` reads it; None in version 1.
        more: What else the study counted.
    """

    study: str
    command: str
    configuration: Mapping[str, Any]
    environment: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    failed: Mapping[str, str]
    sections: Any
    more: Mapping[str, Any]


def numbers_file(study: str, folder: Path) -> Path:
    """Return where the numbers of a study lie in its folder."""
    return folder / f"{study.replace('-', '_')}.json"


def write_results(
    path: Path,
    *,
    study: str,
    command: str,
    configuration: Mapping[str, Any],
    environment: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    failed: Mapping[str, str],
    sections: Sequence[Section],
    more: Mapping[str, Any],
) -> None:
    """Write a study's file of numbers; figures are named as seen from its folder."""
    content = {
        "format": FORMAT,
        "study": study,
        "command": command,
        "configuration": dict(configuration),
        "environment": dict(environment),
        **more,
        "rows": list(rows),
        "failed": dict(failed),
        "sections": sections_to_json(sections, path.parent),
    }
    write_json(path, content)


def read_results(path: Path, study: str) -> Results:
    """Read a study's file of numbers, of this version or of an earlier one.

    Args:
        path: The file.
        study: The study that it is expected of.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of something else, or damaged.
    """
    content: Any = read_json(path)
    kind = content.get("format") if isinstance(content, dict) else ""
    rows = (
        next((content[name] for name in _ROWS_OF_VERSION_1 if name in content), None) if kind != "" else None
    )
    if (kind != FORMAT and kind not in _OF_VERSION_1) or not isinstance(rows, list):
        raise ValueError(
            f"`run` must be the folder of a study, but {path} is something else. Repeat the study."
        )
    if content.get("study", study) != study:
        raise ValueError(f"`run` must be the folder of {study}, but {path} is that of {content['study']}.")
    configuration = content.get("configuration", content.get("config", {}))
    parts = {"configuration": configuration, "environment": content.get("environment", {})}
    parts["failed"] = content.get("failed", {})
    if not all(isinstance(part, dict) for part in (*parts.values(), *rows)):
        raise ValueError(
            f"`run` must be an undamaged study, but parts of {path} are damaged. Repeat the study."
        )
    old = ("config", "points", "accuracy") if kind != FORMAT else ()
    return Results(
        study=study,
        command=str(content.get("command", "")),
        rows=rows,
        sections=content.get("sections"),
        more={name: value for name, value in content.items() if name not in (*_KNOWN, *old)},
        **parts,
    )
