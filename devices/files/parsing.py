"""Text, JSON, TOML and numpy archives as plain data, refused with a reason where they are something else."""

import contextlib
import io
import json
import math
import sys
import zipfile
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DEEPEST: Final = 50  # our own files nest less than ten deep
_LARGEST_INTEGER: Final = 2**63 - 1
_LARGEST_ARCHIVE: Final = 8 * 2**30  # bytes, unpacked: a small archive can hold any number of zeros
_BEGINNINGS: Final = {
    b"\x1f\x8b": "a compressed file (gzip)",
    b"PK\x03\x04": "a zip archive (.npz, .xlsx)",
    b"\xff\xfe\0\0": "text in UTF-32",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x89PNG": "a picture (PNG)",
    b"%PDF": "a PDF",
}
_WIDE: Final = ("UTF-32-LE", "UTF-32-BE", "UTF-16-LE", "UTF-16-BE")
# Windows-1252 leaves these without a character; bytes of Latin-1 below 0xa0 are control characters.
_UNUSED_IN_WINDOWS: Final = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def text_of(content: bytes) -> str:
    """Decode UTF-8, with or without a mark at its beginning.

    Raises:
        ValueError: If it is something else; says what it looks like.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"it looks like {_looks_like(content)}") from None
    if "\0" in text:
        raise ValueError(f"it looks like {_looks_like(content)}")
    return text


def _looks_like(content: bytes) -> str:
    for beginning, what in _BEGINNINGS.items():
        if content.startswith(beginning):
            return what
    for encoding in _WIDE if 0 in content else ():
        with contextlib.suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if sum(letter.isprintable() or letter in "\t\r\n" for letter in text) > 0.9 * len(text):
                return f"text in {encoding[:6]}"
    high = {byte for byte in content if byte >= 0x80}
    if any(byte < 0x20 and byte not in b"\t\r\n\f" for byte in content) or high & _UNUSED_IN_WINDOWS:
        return "no text but binary data"
    return "text in Windows-1252" if any(byte < 0xA0 for byte in high) else "text in Latin-1"


def parse_json(content: bytes | str) -> Any:
    """Read JSON: finite numbers, no key twice, no deep nesting.

    Raises:
        ValueError: If it is something else; says why.
    """
    text = text_of(content) if isinstance(content, bytes) else content
    try:
        values = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_plain(values)
    return values


def parse_toml(content: bytes) -> dict[str, Any]:
    """Read TOML: no deep nesting, integers that a computer can count to.

    Raises:
        ValueError: If it is something else; says why.
    """
    try:
        values = tomllib.loads(text_of(content).replace("\r\n", "\n"))
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_plain(values, allows_infinity=True)
    return values


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Read all arrays of a numpy archive; no pickled objects.

    Raises:
        ValueError: If it is something else; says why.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _LARGEST_ARCHIVE:
                raise ValueError("unpacked it would fill the memory")
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # numpy and zipfile stumble in many ways over damaged bytes
        raise ValueError(f"it is no whole numpy archive ({' '.join(str(error).split())[:100]})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds the number {name}, which JSON does not have")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("it holds a key twice")
    return values


def _too_deep() -> str:
    return f"it nests more than {_DEEPEST} tables or lists"


def _check_plain(values: object, *, allows_infinity: bool = False) -> None:
    level: list[Any] = [values]
    for _ in range(_DEEPEST):
        for value in level:
            if type(value) is int and abs(value) > _LARGEST_INTEGER:
                raise ValueError("it holds an integer of more than 19 digits")
            if isinstance(value, float) and not allows_infinity and not math.isfinite(value):
                raise ValueError("it holds a number beyond 1.8e308")
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise ValueError(_too_deep())


def _parts(value: object) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
