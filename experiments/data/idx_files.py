"""The files of MNIST and Fashion-MNIST: two zero bytes, a type, the number of dimensions, their sizes, the values."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from devices.files import read_regular

_UNSIGNED_BYTE: Final = 8
_COMPRESSED: Final = b"\x1f\x8b"


def read_idx(path: Path, dimensions: int) -> "np.ndarray[Any, Any]":
    """Read an array of unsigned bytes.

    Args:
        path: The file, not compressed.
        dimensions: How many it must have: 3 for images, 1 for labels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else, or not all of it.
    """
    content = read_regular(path, "data_dir")
    if content.startswith(_COMPRESSED):
        raise _wrong(path, "it is compressed (gzip)", "Unpack it with `gunzip`")
    header = 4 * (1 + dimensions)
    if content[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]) or len(content) < header:
        raise _wrong(path, "its first bytes are those of something else", "Fetch it anew")
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    number = 1
    for size in sizes:
        number *= size
    if len(content) - header != number:
        what = f"it holds {len(content) - header:,} bytes for {' x '.join(map(str, sizes))} values"
        raise _wrong(path, what, "Fetch it anew")
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def _wrong(path: Path, problem: str, advice: str) -> ValueError:
    return ValueError(
        f"`data_dir` must hold whole files of the data set, but {path} is none: {problem}. {advice}."
    )
