"""Pulsed devices: how they are fabricated, how pulses move them, and how they forget."""

from .aihwkit_copy import from_hidden, to_hidden
from .device_array import DeviceArray, law_of
from .fabrication import fabricate, granularity_of
from .faulty import break_, is_faulty
from .laws import Law
from .pulse_trains import PulseTrains, draw_trains
from .retention import decay_, diffuse_, drift_, reset_
from .update import Engine, Polarity, apply_trains, count_lines, pulsed_update
from .write_verify import WriteCounts, WriteVerify, send_pulses, write_verify

__all__ = [
    "DeviceArray",
    "Engine",
    "Law",
    "Polarity",
    "PulseTrains",
    "WriteCounts",
    "WriteVerify",
    "apply_trains",
    "break_",
    "count_lines",
    "decay_",
    "diffuse_",
    "draw_trains",
    "drift_",
    "fabricate",
    "from_hidden",
    "granularity_of",
    "is_faulty",
    "law_of",
    "pulsed_update",
    "reset_",
    "send_pulses",
    "to_hidden",
    "write_verify",
]
