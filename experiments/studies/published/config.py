"""What `xbar published` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, final

import tyro

from ...support.options.open_options import OPEN_INT, OPEN_PATH
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json
from .reproductions.reproduction import Scale
from .tables import table_names

_FROM: Final = tyro.conf.arg(name="from", metavar="[PATH ...]")


@final
@dataclass(frozen=True, kw_only=True)
class PublishedConfig:
    """Do the tables of other papers come out here?

    Computes published tables with their own settings, and judges every cell by a rule that was written
    before: agrees, differs and by how much, or not run.

    learning-rules: weight errors of SGD, Tiki-Taka v2, chopped Tiki-Taka v2 and AGAD where the reference is wrong.
    learning-rules-lenet: the errors of LeNet on MNIST then; needs --data-dir. soft-bounds: MNIST on soft bounds,
    where SGD must fail and Tiki-Taka must not; needs --data-dir. seed-paper: the tables of Ott et al. (2020) on
    shifted, turned and noisy images; needs --data-dir. anchors: aihwkit's own LeNet; needs --data-dir. chip-bill:
    the bill of a chip for an image; what it learned is not computed.

    Finished pieces are not repeated: it can be stopped at any time and started again.

    --scale smoke: minutes, shows that everything runs; no cell is judged. --scale laptop: fewer epochs, folds and
    repeats, which the verdicts say. --scale paper: the published settings, hours; what is finished at laptop scale
    fills its gaps.

    Examples:
      xbar published learning-rules
      xbar published learning-rules --scale paper --only "batched, 20 states"
      xbar published seed-paper --scale laptop --data-dir data --from runs/paper-1a2b3c
      xbar published soft-bounds --scale paper --data-dir data --only "tau 0.7"
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Tables, by name; all if none is given."""
    scale: Scale = "smoke"
    """How much is trained."""
    only: tuple[str, ...] = ()
    """Do only pieces whose name contains one of these; what is finished of the others still counts."""
    from_: Annotated[tuple[Path, ...], _FROM] = ()
    """Earlier studies, which fill gaps: of this command, whose pieces are not at hand; of `xbar paper` on MNIST, or
    their tables (paper.md), what they found digitally, for seed-paper. Verdicts say with which training."""
    look: bool = False
    """Do nothing; show what is finished, and list the pieces that are not."""
    data_dir: str = "data"
    """Folder of MNIST, as torchvision lays it out."""

    jobs: Annotated[int | None, OPEN_INT] = None
    """Pieces at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each piece."""
    runs: Path = field(default_factory=runs_folder)
    """Folder for what pieces leave behind."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table and page. (default: runs/published- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse names of no table, and values that no study could use.

        Raises:
            ValueError: If there is one.
        """
        refuse_doubles(self, ("names", "only"), may_be_empty=("names", "only"))
        refuse_below_one(self, ("jobs", "threads"))
        for name in self.names:
            if name not in table_names():
                raise ValueError(
                    f"`names` must be of {', '.join(table_names())}, but one is {name!r}. Choose from these."
                )

    def resolved(self) -> "PublishedPlan":
        """Return what is done, with what the defaults stand for."""
        return planned(PublishedPlan, self, f"published-{self.scale}", names=self.names or table_names())


@final
@dataclass(frozen=True, kw_only=True)
class PublishedPlan:
    """What `xbar published` does: a wish in which nothing is left open.

    The fields are those of `PublishedConfig`, whose help says what they mean.
    """

    names: tuple[str, ...]
    scale: Scale
    only: tuple[str, ...]
    from_: tuple[Path, ...]
    look: bool
    data_dir: str
    jobs: int
    threads: int
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
