"""The manifest of a folder: the SHA-256 of each file that was written there, compared whenever one is read.

A folder without the file manifest.json has none, and nothing is compared. In a folder with one a file is written in
this order: the manifest learns the new digest beside the old one; the file is replaced; the manifest forgets the old
digest. Wherever the power fails, the file is one that the manifest knows. (A digest in each file instead would change
every format, and could not tell a file that is missing, or another run's.)
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .parsing import parse_json
from .regular import read_whole, replace_whole, sha256_of

MANIFEST: Final = "manifest.json"
_FORMAT: Final = "crossbar-emulator manifest 1"
_LARGEST: Final = 16 * 2**20
_DIGITS: Final = frozenset("0123456789abcdef")
_ADVICE: Final = "Restore a copy of it, or start over with --force; a study is simply repeated."

Digests = dict[str, list[str]]
"""By file: its SHA-256, or two while it is replaced."""


def begin_manifest(folder: Path) -> None:
    """Give a folder a manifest that knows no file yet."""
    with _alone_in(folder):
        _write(folder, {})


def adopt(folder: Path, files: Iterable[Path]) -> None:
    """Give a folder a manifest that takes files as they are."""
    with _alone_in(folder):
        _write(folder, {file.name: [sha256_of(file, "run")] for file in files})


def listed(folder: Path) -> list[str]:
    """Return the names of the files that a folder's manifest knows; none without a manifest.

    Raises:
        ValueError: If the manifest is damaged.
    """
    return sorted(_read(folder) or {})


def is_listed(path: Path) -> bool | None:
    """Say whether the manifest of its folder knows a file; None without a manifest.

    Raises:
        ValueError: If the manifest is damaged.
    """
    digests = _read(path.parent)
    return None if digests is None else path.name in digests


def remove(path: Path) -> None:
    """Delete a file, if it exists, and let the manifest forget it."""
    path.unlink(missing_ok=True)
    if not (path.parent / MANIFEST).exists():
        return
    with _alone_in(path.parent):
        digests = _read(path.parent) or {}
        if digests.pop(path.name, None) is not None:
            _write(path.parent, digests)


@contextmanager
def recording(path: Path, content: bytes) -> Iterator[None]:
    """Let the manifest of its folder, if there is one, know what the block writes to a file."""
    folder = path.parent
    if not (folder / MANIFEST).exists():
        yield
        return
    with _alone_in(folder):
        digests, digest = _read(folder) or {}, _sha256(content)
        before = digests.get(path.name, [])
        if len(before) > 1:  # a power failure stopped us here before
            before = [known for known in before if known == _digest_of(path)]
        if before != [digest]:
            _write(folder, {**digests, path.name: [digest, *before]})
        yield
        if before and before != [digest]:
            _write(folder, {**digests, path.name: [digest]})


def verified(path: Path, read: Callable[[], bytes]) -> bytes:
    """Return what `read` reads of a file, if its folder's manifest agrees.

    Raises:
        ValueError: If it is not as it was written, or the manifest is damaged.
    """
    content = read()
    if _agrees(path, _sha256(content)):
        return content
    with _alone_in(path.parent):  # perhaps it was just being replaced
        content = read()
        if _agrees(path, _sha256(content)):
            return content
    raise _damaged(path)


def verify(path: Path, what: str) -> None:
    """Compare a file of any size with the manifest of its folder, without holding it in memory.

    Raises:
        ValueError: If it is not as it was written, or the manifest is damaged.
    """
    if not is_listed(path) or _agrees(path, sha256_of(path, what)):
        return
    with _alone_in(path.parent):
        if _agrees(path, sha256_of(path, what)):
            return
    raise _damaged(path)


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"`run` must hold an undamaged {path.name}, but {path} is damaged: its SHA-256 is not the one in {MANIFEST}. "
        f"{_ADVICE}"
    )


def _agrees(path: Path, digest: str) -> bool:
    digests = _read(path.parent) or {}
    return path.name not in digests or digest in digests[path.name]


def _read(folder: Path) -> Digests | None:
    path = folder / MANIFEST
    try:
        content = read_whole(path, "run", largest=_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        values = parse_json(content)
        return _checked(values)
    except ValueError as error:
        raise ValueError(
            f"`run` must hold an undamaged {MANIFEST}, but {path} is damaged: {error}. {_ADVICE}"
        ) from None


def _checked(values: Any) -> Digests:
    if not isinstance(values, dict) or values.keys() != {"format", "files", "sha256"}:
        raise ValueError("it has other keys")
    digests = values["files"]
    if values["format"] != _FORMAT or not isinstance(digests, dict):
        raise ValueError("it is of another format")
    if values["sha256"] != _of_all(digests):
        raise ValueError("its own SHA-256 is another one")
    for name, known in digests.items():
        if not _is_name(name) or not isinstance(known, list) or not known or not all(map(_is_digest, known)):
            raise ValueError(f"its entry {name!r} is none of a file")
    return digests


def _is_name(text: str) -> bool:
    return text not in ("", ".", "..") and not {"/", "\0"} & set(text)


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= _DIGITS


def _write(folder: Path, digests: Digests) -> None:
    content = {"format": _FORMAT, "files": dict(sorted(digests.items())), "sha256": _of_all(digests)}
    text = json.dumps(content, indent=1, ensure_ascii=True)
    replace_whole(folder / MANIFEST, f"{text}\n".encode())


def _of_all(digests: Digests) -> str:
    return _sha256(json.dumps(digests, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str | None:
    try:
        return sha256_of(path, "run")
    except FileNotFoundError:
        return None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the manifest within the block, where the file system can lock a folder."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # NFS cannot; there only the lock of the run keeps others out
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
