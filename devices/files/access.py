"""What the program reads and writes: regular files, which the manifest of their folder knows."""

from pathlib import Path
from typing import Final

from .manifest import recording, verified, verify
from .parsing import text_of
from .regular import LARGEST, check_whole, read_whole, replace_whole

_LARGEST_TEXT: Final = 256 * 2**20  # bytes


def read_regular(path: str | Path, what: str = "path", *, largest: int = LARGEST) -> bytes:
    """Read a file, and compare it with the manifest of its folder, if that has one.

    Args:
        path: The file. Links are followed; what is no regular file at their end is not opened.
        what: What errors call it: the option or argument that named it.
        largest: Number of bytes beyond which it is refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no regular file, too large, or not as it was written.
        OSError: If the system refuses to read it.
    """
    path = Path(path)
    return verified(path, lambda: read_whole(path, what, largest=largest))


def check_regular(path: str | Path, what: str = "path") -> None:
    """Refuse what `read_regular` would refuse, without holding the file in memory: who calls maps it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no regular file, or not as it was written.
        OSError: If the system refuses to read it.
    """
    check_whole(Path(path), what)
    verify(Path(path), what)


def read_text(path: str | Path, what: str = "path") -> str:
    """Read text in UTF-8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else; says what it looks like.
        OSError: If the system refuses to read it.
    """
    try:
        return text_of(read_regular(path, what, largest=_LARGEST_TEXT))
    except ValueError as error:
        if str(error).startswith("`"):
            raise
        raise ValueError(
            f"`{what}` must be text in UTF-8, but {path} is not: {error}. Save it as UTF-8."
        ) from None


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also when the machine stops in between.

    A folder with a manifest learns the file's SHA-256.

    Raises:
        ValueError: If something that is no regular file has this name: a link, a FIFO, a device, a folder.
        OSError: If the system refuses to write it; says which file, and what to do.
    """
    path = Path(path)
    with recording(path, content):
        replace_whole(path, content)
