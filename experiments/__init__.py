"""Data, training, evaluation, figures and the command line `xbar`.

From Python: `from experiments import accuracy_over_time, compare_devices, does_it_matter, sharing_cost, wires_study`.

Importing this package checks that `devices`, `crossbar`, `models` and `experiments` are this project's: the
names are common words, and another installed package or a file in the working folder can take their place.
"""

from importlib import import_module
from typing import Any

from .support.origin import check_package_origin

check_package_origin()

_STUDIES = ("accuracy_over_time", "compare_devices", "does_it_matter", "sharing_cost", "wires_study")


def __getattr__(name: str) -> Any:
    """Load a study when it is asked for: the command line answers `--help` without torch."""
    if name in _STUDIES:
        return getattr(import_module(".notebook", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_STUDIES]
