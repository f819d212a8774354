"""From a measurement of one's own device to a model of it."""

from .drift_fit import DriftFit, fit_drift
from .law_fit import LawFit, Parameter
from .measurements import DriftTrace, PulseTrace, read_drift_traces, read_pulse_traces
from .predictive_check import PredictedTrace, PredictiveCheck, predictive_check
from .pulse_fit import FREE_LAW_NAMES, PulseFit, fit_pulse_response, fit_traces

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
    "fit_drift",
    "fit_pulse_response",
    "fit_traces",
    "predictive_check",
    "read_drift_traces",
    "read_pulse_traces",
]
