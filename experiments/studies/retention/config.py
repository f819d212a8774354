"""What `xbar retention` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import tyro

from ..options import to_json


@final
@dataclass(frozen=True, kw_only=True)
class RetentionConfig:
    """How long do chips of several devices keep their accuracy, and which drift compensation do they need?

    Puts together what `xbar train` and `xbar evaluate RUN --device DEVICE --compensation COMPENSATION` wrote into the
    folders of runs with one FCN or CNN and any seeds. Nothing is computed anew. Chips of one number and seed are the
    same devices under every compensation, so compensations are compared chip by chip. Writes retention.md, .csv,
    .json, .html and a figure.

    Examples:
      xbar retention runs/fcn_mnist-hwa-pcm-0123456789ab runs/cnn_mnist-hwa-pcm-0123456789ab --out year
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs."""
    out: Path = Path("runs/retention")
    """Folder for table, figure, page and numbers."""

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
