"""A run's copies of a user's own files, and the question whether to execute them again.

The originals may change, or lie elsewhere later. A copy is executed as if it lay where it came from, so that it finds
its neighbours and its data.
"""

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from devices.files import make_folder, read_regular, write_atomically

from ...data.user_function import ORIGINS, as_function, origin_entry, read_origins, write_origins
from ..run import Run

_OPTIONS: Final = ("model", "data")


@final
@dataclass(frozen=True)
class OwnFiles:
    """The copies in one run's folder, one folder for each option that names a function.

    Attributes:
        path: The run's folder.
    """

    path: Path

    @property
    def origins(self) -> Path:
        """Where the copies came from, and their SHA-256."""
        return self.path / ORIGINS

    def _folder(self, option: str) -> Path:
        return self.path / f"own_{option}"

    def keep(self, run: Run) -> None:
        """Copy the files that a run's network and data come from."""
        entries = {}
        for option in _OPTIONS:
            function = as_function(getattr(run, option), option)
            if function is not None:
                folder = self._folder(option)
                make_folder(folder)
                write_atomically(folder / function.file.name, function.read())
                entries[folder.name] = origin_entry(function)
        if entries:
            write_atomically(self.origins, write_origins(entries))

    def as_kept(self, run: Run) -> Run:
        """Return a run whose functions are those of the copies.

        Raises:
            ValueError: If a copy is gone.
        """
        for option in _OPTIONS:
            function = as_function(getattr(run, option), option)
            if function is None:
                continue
            copy = self._folder(option) / function.file.name
            if not copy.is_file():
                raise ValueError(f"its copy of {function.file.name} is gone: {copy}. Bring it back")
            spec = f"{copy}:{function.name}"
            run = replace(run, model=spec) if option == "model" else replace(run, data=spec)
        return run

    def admit(self, *, trust: bool) -> None:
        """Say which copies are about to be executed; refuse those that were changed; see `RunFolder`."""
        if not self.origins.is_file():
            return
        for folder, entry in read_origins(self.origins).items():
            copy = self.path / folder / entry["file"]
            option = folder.removeprefix("own_")
            is_changed = hashlib.sha256(read_regular(copy, option)).hexdigest() != entry["sha256"]
            if is_changed and not trust:
                raise ValueError(
                    f"`trust` must be given to execute {copy}, which makes the {option} of this run, but is left "
                    f"out: the file has been changed since the training (SHA-256 {entry['sha256'][:12]}...). Read "
                    "it; give --trust if it may run, or copy the original there."
                )
            print(f"Executing your file {copy}{', changed since the training' if is_changed else ''}.")

    def clear(self) -> None:
        """Delete the copies."""
        for option in _OPTIONS:
            shutil.rmtree(self._folder(option), ignore_errors=True)
