"""Memory cells: which there are, how they are written, and how they age."""

from .catalogue import catalogue, get
from .characterisation import Characterisation, characterise
from .device_file import read_device_file
from .device_model import DeviceModel
from .faults import FaultMap, Faults
from .fitting import fit_drift, fit_pulse_response
from .programming import ProgrammedTiles, program
from .streams import derive_seed, generator

__all__ = [
    "Characterisation",
    "DeviceModel",
    "FaultMap",
    "Faults",
    "ProgrammedTiles",
    "catalogue",
    "characterise",
    "derive_seed",
    "fit_drift",
    "fit_pulse_response",
    "generator",
    "get",
    "program",
    "read_device_file",
]


def __dir__() -> list[str]:
    """Show the public names, and no submodules."""
    return sorted(__all__)
