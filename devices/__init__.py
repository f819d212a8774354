"""Memory cells: which there are, how they are written, and how they age."""

from .catalogue import catalogue, get
from .device_model import DeviceModel
from .programming import ProgrammedTiles, program
from .streams import derive_seed, generator

__all__ = ["DeviceModel", "ProgrammedTiles", "catalogue", "derive_seed", "generator", "get", "program"]
