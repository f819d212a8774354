"""The text of an exported file, whatever wrote it down.

Measuring stations and spreadsheets write UTF-8, with or without a byte order mark, UTF-16, or one byte for each
character (Windows-1252, of which Latin-1 is a part). Order decides, not statistics of language, as detectors of
encodings use: a table of numbers has one letter in a thousand beyond ASCII, the µ of a unit.
"""

import codecs
from pathlib import Path
from typing import Final

from ..files import read_regular

_LARGEST: Final = 256 * 2**20  # bytes
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_NO_TEXT: Final = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"%PDF": "a PDF",
}


def text_of_export(path: Path, what: str, notes: list[str]) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        what: What errors call it.
        notes: Where to say which encoding was found, if it is not plain UTF-8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text.
    """
    try:
        content = read_regular(path, what, largest=_LARGEST)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`{what}` must be a CSV file, but there is no file {path}. Correct the path."
        ) from None
    found, text = _decoded(content)
    if text is None or "\0" in text:
        looks = next((name for start, name in _NO_TEXT.items() if content.startswith(start)), "no text")
        raise ValueError(f"`{what}` must be a CSV file, but {path} is {looks}. Export it as CSV.")
    if found:
        notes.append(f"encoding {found}")
    return text


def _decoded(content: bytes) -> tuple[str, str | None]:
    """Return the name of the encoding, empty for plain UTF-8, and the text; None where it is none."""
    for mark, codec, name in _MARKS:
        if content.startswith(mark):
            try:
                return name, content.decode(codec)
            except UnicodeDecodeError:
                return name, None
    if content.startswith(tuple(_NO_TEXT)):
        return "", None
    half = content[:1000]
    for start, codec in ((1, "utf-16-le"), (0, "utf-16-be")):  # without a mark: every other byte is zero
        if len(half) > 3 and half[start::2].count(0) > 0.8 * len(half[start::2]):
            try:
                return "UTF-16", content.decode(codec)
            except UnicodeDecodeError:
                return "UTF-16", None
    try:
        return "", content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if any(byte < 9 or 13 < byte < 32 for byte in content[:4000]):
        return "", None
    return "Windows-1252 (Latin-1)", content.decode("cp1252", errors="replace")
