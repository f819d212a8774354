"""A folder of runs on a network file system: locks that other machines see, or a sentence."""

import errno
import fcntl
from pathlib import Path

import pytest

from experiments.runs.folder_lock import refuse_local_locks
from experiments.runs.run_folder import RunFolder


def mounts(tmp_path, kind, options):
    file = tmp_path / "mounts"
    place = str(tmp_path.resolve()).replace(" ", "\\040")
    file.write_text(f"disk / ext4 rw 0 0\nserver:/data {place} {kind} rw,{options} 0 0\n")
    return file


@pytest.mark.parametrize("option", ["nolock", "local_lock=flock", "local_lock=all"])
def test_locks_that_stay_on_one_machine_are_refused(tmp_path, option):
    with pytest.raises(ValueError, match=f"is mounted with {option}"):
        refuse_local_locks(tmp_path / "runs" / "one", mounts(tmp_path, "nfs4", option))


@pytest.mark.parametrize(
    ("kind", "options"), [("nfs4", "local_lock=none"), ("nfs", "vers=3"), ("ext4", "nolock")]
)
def test_others_are_not(tmp_path, kind, options):
    refuse_local_locks(tmp_path / "runs", mounts(tmp_path, kind, options))
    refuse_local_locks(tmp_path, Path("/nothing/there"))


def test_a_file_system_without_locks_gets_a_sentence(tmp_path, monkeypatch):
    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.raises(ValueError, match="must lie on a file system with locks"),
        RunFolder(tmp_path / "run").lock(),
    ):
        pass
