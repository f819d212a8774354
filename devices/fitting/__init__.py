"""From a measurement of one's own device to a model of it."""

from .drift_fit import DriftFit, fit_drift
from .measurements import DriftTrace, PulseTrace, read_drift_traces, read_pulse_traces
from .pulse_fit import LawFit, Parameter, PulseFit, fit_pulse_response

__all__ = [
    "DriftFit",
    "DriftTrace",
    "LawFit",
    "Parameter",
    "PulseFit",
    "PulseTrace",
    "fit_drift",
    "fit_pulse_response",
    "read_drift_traces",
    "read_pulse_traces",
]
