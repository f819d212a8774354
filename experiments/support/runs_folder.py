"""Where run folders lie when nobody says otherwise."""

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "XBAR_RUNS"


def runs_folder() -> Path:
    """Return the folder of the environment variable XBAR_RUNS, or `runs` in the working folder."""
    return Path(os.environ.get(VARIABLE) or "runs")
