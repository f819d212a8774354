"""Watching a network, and counting what it makes happen on its tiles."""

from .parts import enter_wear
from .recording import record_events
from .shapes import shape_of

__all__ = ["enter_wear", "record_events", "shape_of"]
