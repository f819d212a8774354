"""Mixed precision: the gradient is added up in digital, and whole steps of it are written to the devices."""

from .cells import MixedPrecision

__all__ = ["MixedPrecision"]
