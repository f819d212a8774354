"""The lock of a run's folder, which keeps out other programs, on other machines too where several see it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devices.files import open_lock

_MOUNTS: Final = Path("/proc/mounts")
_LOCAL: Final = ("nolock", "local_lock=flock", "local_lock=all")


@contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Lock a file until the block, or the process, ends; say whether that was possible, or another has locked it.

    Args:
        file: In a folder that exists; made if need be.

    Raises:
        ValueError: If locks there would not keep out others.
    """
    refuse_local_locks(file.parent)
    with open_lock(file) as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        except OSError as error:
            raise ValueError(
                f"`out` must lie on a file system with locks, but that of {file.parent} gives none "
                f"({error.strerror}). Start its lock daemon, or put the folder of runs elsewhere."
            ) from None
        else:
            is_free = True
        yield is_free


def refuse_local_locks(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Refuse a folder on a network file system whose locks other machines do not see.

    Runs are locked with `flock`. Linux hands such a lock on to the server of an NFS (version 3 with its lock daemon,
    and 4), unless that was mounted with `nolock`, `local_lock=flock` or `local_lock=all`: then two machines would do
    one run at the same time, and neither notice.

    Args:
        folder: Where files are locked.
        mounts: What the system says about its file systems; where it says nothing, nothing is refused.

    Raises:
        ValueError: If so.
    """
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return
    here = folder.absolute().resolve()
    above = {str(here), *map(str, here.parents)}
    found = [words for words in lines if len(words) >= 4 and _plain(words[1]) in above]
    if not found:
        return
    _, place, kind, options = max(enumerate(found), key=lambda item: (len(_plain(item[1][1])), item[0]))[1][
        :4
    ]
    local = [option for option in options.split(",") if option in _LOCAL]
    if kind.startswith("nfs") and local:
        raise ValueError(
            f"`out` must lie where locks keep out other machines, but {_plain(place)} is mounted with {local[0]}. "
            "Mount it without, or put the folder of runs elsewhere."
        )


def _plain(place: str) -> str:
    """Return a path as it is: the system writes blanks as \\040."""
    return place.replace("\\040", " ").replace("\\011", "\t")
