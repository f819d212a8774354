"""From a measurement of one's own device to a model of it."""

from ..measurements import DriftTrace, PulseTrace, read_drift_traces, read_pulse_traces
from .drift_fit import DriftFit, fit_drift
from .law_fit import LawFit, Parameter
from .predictive_check import PredictedTrace, PredictiveCheck, predictive_check
from .pulse_fit import FREE_LAW_NAMES, PulseFit, fit_pulse_response, fit_traces
from .read_fit import ReadFit, fit_reads
from .write_fit import WriteFit, fit_writes

__all__ = [
    "FREE_LAW_NAMES",
    "DriftFit",
    "DriftTrace",
    "LawFit",
    "Parameter",
    "PredictedTrace",
    "PredictiveCheck",
    "PulseFit",
    "PulseTrace",
    "ReadFit",
    "WriteFit",
    "fit_drift",
    "fit_pulse_response",
    "fit_reads",
    "fit_traces",
    "fit_writes",
    "predictive_check",
    "read_drift_traces",
    "read_pulse_traces",
]
