"""How figures are written: formats beside PNG, width, style. Asked for once, for this process and those it starts."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

VARIABLE: Final = "XBAR_FIGURES"
WIDTH: Final = "XBAR_FIGURE_WIDTH"
STYLE: Final = "XBAR_FIGURE_STYLE"
KNOWN: Final = ("svg", "pdf", "csv")
"""Formats beside PNG; csv holds the numbers that are drawn."""
WIDTHS: Final = {"single": 89.0, "double": 183.0}
"""Of a column and of a page of journals, in mm (Nature's)."""
_NARROWEST, _WIDEST = 40.0, 1000.0  # mm

Millimetre = Annotated[float, "mm"]


def figure_formats() -> tuple[str, ...]:
    """Return the formats beside PNG that the environment variable XBAR_FIGURES names, for example "svg,pdf"."""
    return tuple(name for name in KNOWN if name in os.environ.get(VARIABLE, "").split(","))


def figure_width() -> Millimetre | None:
    """Return the width that figures shall have in print; None leaves them as they suit a screen.

    Raises:
        ValueError: If XBAR_FIGURE_WIDTH names none.
    """
    text = os.environ.get(WIDTH, "")
    return _width_of(text) if text else None


def figure_style() -> Path | None:
    """Return the user's matplotlib style file, or None.

    Raises:
        ValueError: If XBAR_FIGURE_STYLE names no file.
    """
    text = os.environ.get(STYLE, "")
    return _style_of(text) if text else None


def ask_for_formats(words: list[str]) -> list[str]:
    """Take `--format`, `--width` and `--style` out of a command line, and ask for what they name.

    Args:
        words: The command line.

    Returns:
        The command line without them.

    Raises:
        ValueError: If one names something else.
    """
    words = _take_formats(words)
    for option, variable, check in (("--width", WIDTH, _width_of), ("--style", STYLE, _style_of)):
        if option not in words:
            continue
        start = words.index(option)
        given = words[start + 1] if start + 1 < len(words) else "left out"
        checked = check(given)
        os.environ[variable] = str(checked.absolute() if isinstance(checked, Path) else given)
        words = words[:start] + words[start + 2 :]
    return words


def _take_formats(words: Sequence[str]) -> list[str]:
    if "--format" not in words:
        return list(words)
    start = words.index("--format") + 1
    end = next(
        (place for place in range(start, len(words)) if words[place] not in ("png", *KNOWN)), len(words)
    )
    if end == start:
        given = words[start] if start < len(words) else "left out"
        raise ValueError(f"`--format` must be png, svg, pdf or csv, or several of them, but is {given}.")
    os.environ[VARIABLE] = ",".join(words[start:end])
    return [*words[: start - 1], *words[end:]]


def _width_of(text: str) -> Millimetre:
    try:
        width = WIDTHS.get(text) or float(text.removesuffix("mm"))
    except ValueError:
        width = 0.0
    if not _NARROWEST <= width <= _WIDEST:
        raise ValueError(
            f"`--width` must be single (89 mm), double (183 mm) or a width of {_NARROWEST:g} to {_WIDEST:g} mm, "
            f"but is {text}. Write --width single."
        )
    return width


def _style_of(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(
            f"`--style` must be a matplotlib style file, but there is no file {text}. docs/how_to/figures.md has one "
            "to start from."
        )
    return path
