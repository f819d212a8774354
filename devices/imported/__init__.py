"""Devices as other programs describe them, in the terms of a device file."""

from .described import Described
from .from_aihwkit import from_aihwkit
from .from_crosssim import from_crosssim
from .from_neurosim import NEUROSIM, from_neurosim

__all__ = ["NEUROSIM", "Described", "from_aihwkit", "from_crosssim", "from_neurosim"]
