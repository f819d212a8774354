"""Pulsed devices: how they are fabricated, how pulses move them, and how they forget."""

from .device_array import DeviceArray, law_of
from .laws import Law
from .pulse_trains import PulseTrains, draw_trains
from .update import Engine, Polarity, apply_trains, pulsed_update

__all__ = [
    "DeviceArray",
    "Engine",
    "Law",
    "Polarity",
    "PulseTrains",
    "apply_trains",
    "draw_trains",
    "law_of",
    "pulsed_update",
]
