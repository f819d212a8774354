"""What `xbar verify` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, final

import tyro

_OPEN_INT: Final = tyro.conf.arg(metavar="INT", help_behavior_hint="")


@final
@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Compute the small reference numbers of the README anew, on this machine, and say whether they hold.

    Each number is computed by this installation and compared with where it comes from: aihwkit's own C++ tiles, a
    circuit law, a published figure, or the README's table of the demo. Tolerances follow from the float format, the
    digits that were published, or the sample. The exit code is 0 if all hold.

    About three minutes on two cores; half a minute with --quick, which leaves out the trainings.

    Examples:
      xbar verify
      xbar verify --quick
    """

    quick: bool = False
    """Leave out the trainings."""
    threads: Annotated[int | None, _OPEN_INT] = None
    """Threads to compute with."""
    out: Path = Path("runs/verify")
    """Folder for verify.json, and the folders of the runs that are made."""

    def __post_init__(self) -> None:
        """Refuse a number of threads below one.

        Raises:
            ValueError: If so.
        """
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"`threads` must be 1 or more, but is {self.threads}. Give a larger number.")
