"""Studies from Python: on a function that builds a network, or a trained one, and on arrays or datasets."""

from .result import StudyResult
from .studies import accuracy_over_time, compare_devices, does_it_matter, sharing_cost, wires_study

__all__ = [
    "StudyResult",
    "accuracy_over_time",
    "compare_devices",
    "does_it_matter",
    "sharing_cost",
    "wires_study",
]
