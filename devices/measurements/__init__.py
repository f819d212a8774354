"""Measurements of one's own devices, read as measuring stations export them."""

from .layout import ROLES, Layout, layout_of, refuse_unused
from .other_files import read_drift_traces, read_repeated_reads, read_writes
from .pulse_files import read_pulse_traces
from .traces import DriftTrace, PulseTrace, RepeatedReads, Writes

__all__ = [
    "ROLES",
    "DriftTrace",
    "Layout",
    "PulseTrace",
    "RepeatedReads",
    "Writes",
    "layout_of",
    "read_drift_traces",
    "read_pulse_traces",
    "read_repeated_reads",
    "read_writes",
    "refuse_unused",
]
