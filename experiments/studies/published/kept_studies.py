"""What kept studies of `xbar paper` say about the seed paper's tables: their files of numbers, or their tables."""

import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devices.units import Dimensionless

from ..paper.config import PRESETS
from ..results import numbers_file, read_results
from .tables import Key, key_of

# How log.jsonl calls what the paper measures.
MEASURES: Final = {
    "training": "accuracy",
    "plain": "validation_accuracy",
    "translation": "validation_translation",
}
_STUDY: Final = "paper"
_HEAD: Final = "| learned | network | shifts | plain | translation |"

Judged = dict[Key, tuple[Dimensionless, str]]
"""By key: a value in %, and how it was trained."""


def from_paper(place: Path) -> Judged:
    """Read what a study found digitally on MNIST.

    Its file of numbers gives medians over seeds and epochs, as the paper has them; its table, where only that was
    kept, the means of the last epoch.

    Args:
        place: Folder of the study, or its paper.md.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If it holds no such study, or none of MNIST with shifted images.
    """
    if place.suffix == ".md":
        return _of_table(place)
    results = read_results(numbers_file(_STUDY, place), _STUDY)
    configuration = results.configuration
    if configuration.get("data") != "mnist" or configuration.get("augment", "translation") != "translation":
        raise ValueError(
            f"`from_` must name studies of MNIST with shifted images, but {place} is one of "
            f"{configuration.get('data')}. Leave it out."
        )
    histories: dict[tuple[Dimensionless, str], list[Any]] = {}
    for row in results.rows:
        point = row["point"]
        setting = point["setting"]
        is_theirs = setting["mode"] == "digital" and not setting["is_control"] and not point["vcp"]
        if is_theirs and point["network"] in ("fcn", "cnn"):
            histories.setdefault((point["strength"], point["network"]), []).append(row["history"])
    found: Judged = {}
    for (strength, network), runs in histories.items():
        for measure, name in MEASURES.items():
            value = statistics.median(entry[name] for run in runs for entry in run)
            key = key_at("translation", strength, network, measure)
            said = (
                f"xbar paper: {len(runs[0])} epochs, {configuration['schedule']} rate, {_splits(len(runs))}"
            )
            found[key] = (100 * value, said)
    return found


def key_at(augmentation: str, strength: Dimensionless, network: str, measure: str) -> Key:
    """Return the key of a cell of MNIST."""
    return key_of(
        {
            "data": "mnist",
            "augmentation": augmentation,
            "strength": strength,
            "network": network,
            "measure": measure,
        }
    )


def _of_table(file: Path) -> Judged:
    lines = file.read_text(encoding="utf-8").splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith(_HEAD)]
    command = lines[0] if lines else ""
    if not heads or "xbar paper" not in command:
        raise ValueError(
            f"`from_` must name a table of `xbar paper` with its command above, but {file} holds none. "
            "Give the folder of the study."
        )
    scale = _option(command, "scale") or "smoke"
    if _option(command, "data") not in (None, "mnist") or scale == "smoke":
        raise ValueError(
            f"`from_` must name studies of MNIST, but {file} is one of another set. Leave it out."
        )
    presets: Mapping[str, Any] = PRESETS[scale]  # type: ignore[index]
    epochs = _option(command, "epochs") or presets["epochs"]
    seeds = re.search(r"--seeds((?: \d+)+)", command)
    splits = _splits(len(seeds[1].split()) if seeds else len(presets["seeds"]))
    found: Judged = {}
    for line in lines[heads[0] + 2 :]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 5:
            break
        learned, network, strength, *scores = cells
        if learned != "digital":
            continue
        for measure, score in zip(("plain", "translation"), scores, strict=False):
            key = key_at("translation", float(strength), network.lower(), measure)
            found[key] = (
                float(score.split()[0]),
                f"xbar paper: last of {epochs} epochs, falling rate, {splits}",
            )
    return found


def _option(command: str, name: str) -> str | None:
    found = re.search(rf"--{name} (\S+)", command)
    return None if found is None else found[1].strip("`")


def _splits(number: int) -> str:
    return f"{number} split" + "s" * (number > 1)
