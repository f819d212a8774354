"""Pairs of devices that only go up, and how they are refreshed when they have filled up."""

from .cells import OneSidedCells
from .inverted import invert_

__all__ = ["OneSidedCells", "invert_"]
