"""NeuroSim's nonlinear weight update as a step law.

    G_LTP(P) = B (1 - exp(-P / A)) + G_min,     B = (G_max - G_min) / (1 - exp(-P_max / A))

and its mirror image for LTD (Chen, Peng and Yu, IEDM 2017, doi.org/10.1109/IEDM.2017.8268337; MLP+NeuroSim 3.0,
`NonlinearWeight` of formula.cpp and `RealDevice` of Cell.cpp). One pulse moves the device by
(B + G_min - G) (1 - exp(-1 / A)): linear in G, which is aihwkit's LinearStep, exactly. Users state a label NL of the
nonlinearity in place of A. It is the largest distance of the normalised curve from a straight line over 0.099:
NeuroSim's table of A / P_max by label (documents/Nonlinearity-NormA.htm) follows this to its four digits.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from ..fitting.laws import LinearStep
from ..units import Dimensionless, Mixed
from .described import Described

NEUROSIM: Final[Mapping[str, Mixed | None]] = {
    "maxConductance": None, "minConductance": None, "maxNumLevelLTP": None, "maxNumLevelLTD": None,
    "NL_LTP": None, "NL_LTD": None, "sigmaCtoC": 0.0, "sigmaDtoD": 0.0,
}  # fmt: skip
"""NeuroSim's names (conductances in S, sigmaCtoC as a part of their range), and what holds where one is left out."""

_OF_LABEL: Final = 0.099
_LINEAR: Final = 1e-4  # label below which a curve is a straight line


def from_neurosim(given: Mapping[str, Mixed]) -> Described:
    """Translate NeuroSim's parameters of a real device.

    Args:
        given: By the names of `NEUROSIM`.

    Raises:
        ValueError: If one is missing, unknown, or has a value that no device has.
    """
    unknown = [name for name in given if name not in NEUROSIM]
    missing = [name for name, default in NEUROSIM.items() if default is None and name not in given]
    if unknown or missing:
        raise ValueError(
            f"`parameters` must be NeuroSim's {', '.join(NEUROSIM)}, but "
            f"{unknown[0] + ' is unknown' if unknown else missing[0] + ' is missing'}. Write NAME=VALUE for each."
        )
    value = {name: float(given.get(name, default or 0.0)) for name, default in NEUROSIM.items()}
    if not 0 <= value["minConductance"] < value["maxConductance"]:
        raise ValueError(
            "`minConductance` must lie below maxConductance, both in S, but does not. Exchange them?"
        )
    for name in ("NL_LTP", "NL_LTD"):
        if not abs(value[name]) <= 9:
            raise ValueError(f"`{name}` must lie in [-9, 9], but is {value[name]:g}. It is NeuroSim's label.")
    for name in ("maxNumLevelLTP", "maxNumLevelLTD"):
        if not value[name] >= 2:
            raise ValueError(
                f"`{name}` must be 2 or more, but is {value[name]:g}. It counts pulses over the range."
            )
    for name in ("sigmaCtoC", "sigmaDtoD"):
        if not value[name] >= 0:
            raise ValueError(
                f"`{name}` must be 0 or more, but is {value[name]:g}. It is a standard deviation."
            )
    # Downwards NeuroSim's usual label is negative: steps are largest at the top there.
    ways = (
        ("up", value["NL_LTP"], value["maxNumLevelLTP"]),
        ("down", -value["NL_LTD"], value["maxNumLevelLTD"]),
    )
    steps = {way: linear_step(label, levels) for way, label, levels in ways}
    law = LinearStep()
    x = [math.log(steps["up"][0]), math.log(steps["down"][0]), steps["up"][1], steps["down"][1], 1.0, -1.0]
    device, _ = law.device(np.array(x))
    mean = (steps["up"][0] + steps["down"][0]) / 2
    spread = value["sigmaDtoD"]
    device |= {
        "dw_min_std": 2 * value["sigmaCtoC"] / mean,
        "dw_min_dtod": _relative(ways, spread, 0),
        "gamma_up_dtod": _relative(ways[:1], spread, 1),
        "gamma_down_dtod": _relative(ways[1:], spread, 1),
        "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0,
    }  # fmt: skip
    return Described(
        conductance={"g_min": value["minConductance"] * 1e6, "g_max": value["maxConductance"] * 1e6},
        pulses={"law": law.file_law, **device},
        summary="NeuroSim's exponential update, which is linear in the conductance. Noise of a step from cycle to "
        "cycle in parts of the mean step; sigmaDtoD to first order, as spreads of step and slope.",
        not_modelled="Programming error, drift and read noise; pulse widths, voltages, nonlinear reads of NeuroSim."
        " The noise of steps up and down is in proportion to them, where NeuroSim has one for both.",
        source="NeuroSim parameters " + ", ".join(f"{name}={number:g}" for name, number in value.items()),
    )


def normalised_a(label: Dimensionless) -> Dimensionless:
    """Return A / P_max of a label of nonlinearity above 0."""

    def distance(a: Dimensionless) -> Dimensionless:
        b = 1 / -math.expm1(-1 / a)
        where = -a * math.log(a / b)  # the slope of the curve is 1 there
        return b * -math.expm1(-where / a) - where

    low, high = 1e-3, 1e6  # the distance falls with A
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if distance(middle) > _OF_LABEL * label else (low, middle)
    return math.sqrt(low * high)


def linear_step(label: Dimensionless, levels: Mixed) -> tuple[Dimensionless, Dimensionless]:
    """Return the step in the middle of the range, in weights from -1 to 1, and by which part it declines to its end.

    Args:
        label: Nonlinearity; below 0 steps grow.
        levels: Pulses from one end to the other.
    """
    if abs(label) < _LINEAR:
        return 2 / levels, 0.0
    a = math.copysign(normalised_a(abs(label)) * levels, label)
    ends = 2 / -math.expm1(-levels / a) - 1  # 2 B - 1
    return -math.expm1(-1 / a) * ends, 1 / ends


def _relative(
    ways: tuple[tuple[str, Dimensionless, Mixed], ...], spread: Dimensionless, place: int
) -> Dimensionless:
    """Return the relative spread of a step or its slope over devices, mean of some directions."""
    parts = []
    for _, label, levels in ways:
        low, here, high = (
            linear_step(label + shift, levels)[place] for shift in (-spread / 2, 0.0, spread / 2)
        )
        parts.append(abs(high - low) / abs(here) if here else 0.0)
    return sum(parts) / len(parts)
