"""Regular files, and no others, with one sentence for whatever the system refuses."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 16 * 2**30  # bytes
_PIECE: Final = 2**24
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_REFUSED: Final = {
    errno.ENOSPC: ("have room on its disk", "the disk is full", "Free some space, and repeat the command"),
    errno.EDQUOT: (
        "have room on its disk",
        "your quota is used up",
        "Free some space, and repeat the command",
    ),
    errno.EROFS: ("lie where you may write", "the file system is read-only", "Choose another folder"),
    errno.EACCES: (
        "be open to you",
        "you may not read or write it",
        "Change its permissions, or choose another",
    ),
    errno.EPERM: (
        "be open to you",
        "you may not read or write it",
        "Change its permissions, or choose another",
    ),
    errno.ELOOP: ("lead to a file", "it is a loop of symbolic links", "Give the file itself"),
    errno.ENAMETOOLONG: ("have a name that the system can keep", "that one is too long", "Shorten it"),
    errno.ENOENT: ("exist", "it, or its folder, does not", "Check the path"),
    errno.ENOTDIR: ("lie in a folder", "a part of its path is a file", "Check the path"),
    errno.EEXIST: ("be a folder", "a file stands in its place", "Choose another name"),
    errno.EISDIR: ("be a file", "it is a folder", "Choose another name"),
    errno.ENXIO: ("be a regular file", "it is a socket or a device", "Give a file"),
    errno.EIO: ("be readable", "the disk reports an error", "Check the disk, or restore a copy"),
}


def explain(error: OSError) -> str:
    """Say in one sentence what the system refused, which file it was, and what to do."""
    if error.errno not in _REFUSED or error.filename is None:
        return str(error)
    rule, fact, advice = _REFUSED[error.errno]
    return f"`{os.fspath(error.filename)}` must {rule}, but {fact} ({error.strerror}). {advice}."


def read_whole(path: Path, what: str, *, largest: int = LARGEST) -> bytes:
    """Read a file as `read_regular` does, without asking a manifest."""
    with _opened(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(
                f"`{what}` must be smaller than {largest:,} bytes, but {path} has {size:,}. Is it the right file?"
            )
        content: bytes = file.read()
        return content


def check_whole(path: Path, what: str) -> None:
    """Refuse what cannot be opened, or is no regular file."""
    with _opened(path, what):
        pass


def sha256_of(path: Path, what: str) -> str:
    """Return the SHA-256 of a file of any size, of which a piece at a time is held in memory."""
    with _opened(path, what) as file:
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[Any]:
    try:
        _check_kind(path.stat().st_mode, path, what)
        # Should a FIFO have taken its place meanwhile, opening it must not wait for a writer.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(number, "rb") as file:
            _check_kind(os.fstat(number).st_mode, path, what)
            yield file
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`{what}` must be an existing file, but there is no {path}. Check the path."
        ) from None
    except OSError as error:
        raise _explained(error, path) from None


def _check_kind(mode: int, path: Path, what: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise ValueError(f"`{what}` must be a regular file, but {path} is {kind}. Give a file.")


def replace_whole(path: Path, content: bytes) -> None:
    """Write a file as `write_atomically` does, without telling a manifest."""
    try:
        with contextlib.suppress(FileNotFoundError):
            _check_kind(path.lstat().st_mode, path, "path")
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.unlink(missing_ok=True)  # of a process that had the same number
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):  # what went wrong before is the news
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, path) from None


def make_folder(path: Path) -> None:
    """Make a folder, and those that it lies in.

    Raises:
        OSError: If the system refuses to make it; says which, and what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _explained(error, path) from None


def open_lock(path: Path) -> Any:
    """Open a file to lock it, without changing what it holds; makes it if need be.

    Raises:
        ValueError: If something that is no regular file has this name.
        OSError: If the system refuses to open it.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        raise _explained(error, path) from None
    try:
        _check_kind(os.fstat(file.fileno()).st_mode, path, "run")
    except ValueError:
        file.close()
        raise
    return file


def _explained(error: OSError, path: Path) -> OSError:
    if error.errno is None:
        return error
    named = type(error)(error.errno, error.strerror, str(path))
    return type(error)(explain(named))
