"""Watching a network, and counting what it makes happen on its tiles."""

from .recording import record_events
from .shapes import shape_of

__all__ = ["record_events", "shape_of"]
