"""What `xbar wires-training` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import tyro

from ..options import to_json


@final
@dataclass(frozen=True, kw_only=True)
class WiresTrainingConfig:
    """Does it help to train with the wires that a chip will have?

    Puts together what `xbar wires` wrote into the folders of runs, of any networks and seeds, some trained with
    `--wires`: accuracy against wire resistance, by network and training. Nothing is computed anew. Writes
    wires_training.md, .csv, .json, .html and a figure.

    Examples:
      xbar wires-training runs/fcn_mnist-hwa-pcm-0123456789ab runs/fcn_mnist-hwa-pcm-ba9876543210 --out wires
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs for which `xbar wires` was called."""
    out: Path = Path("runs/wires-training")
    """Folder for table, figure, page and numbers."""

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
