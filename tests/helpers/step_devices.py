"""Devices of every step law, as aihwkit describes them."""

from typing import Any

from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)

QUIET = {"dw_min_std": 0.0, "construction_seed": 11}
"""No noise from cycle to cycle, and every tile drawn alike."""

# Weights that mean nothing beyond the bounds of their own steps: a burst may be sent in one go.
LINEAR = ("constant", "linear", "soft bounds", "soft bounds, reference")
OTHERS = ("exponential", "power", "power, reference", "piecewise")


def step_devices(*names: str, **settings: Any) -> dict[str, PulsedDevice]:
    """Return devices by name, one for each step law at least; all if none is named.

    Args:
        names: Which ones.
        settings: What all of them have in common; `QUIET` if nothing is said.
    """
    common = settings or QUIET
    wide = {"w_max": 2.0, "w_min": -2.0, "w_max_dtod": 0.1, "w_min_dtod": 0.1}
    four_nodes = {"piecewise_up": [1.0, 0.8, 0.6, 0.3], "piecewise_down": [0.4, 0.8, 1.0, 1.2]}
    devices = {
        "constant": ConstantStepDevice(**common),
        "linear": LinearStepDevice(gamma_up=0.3, gamma_down=0.2, **common),
        "linear, additive": LinearStepDevice(gamma_up=0.3, gamma_down=0.2, mult_noise=False, **common),
        "linear, own bounds, growing": LinearStepDevice(
            gamma_up=-0.3, gamma_down=0.2, allow_increasing=True, mean_bound_reference=False, **common
        ),
        "soft bounds": SoftBoundsDevice(**common),
        "soft bounds, reversed": SoftBoundsDevice(reverse_up=True, reverse_down=True, **common),
        "soft bounds, pulses": SoftBoundsPmaxDevice(**common),
        "soft bounds, reference": SoftBoundsReferenceDevice(
            subtract_symmetry_point=True,
            reference_std=0.05,
            slope_up_dtod=0.1,
            slope_down_dtod=0.1,
            **common,
        ),
        "soft bounds, reference, mult": SoftBoundsReferenceDevice(
            mult_noise=True, reference_std=0.05, **common
        ),
        "exponential": ExpStepDevice(**common),
        "exponential, steep": ExpStepDevice(
            a=-0.5, b=-0.5, A_up=-1.18, A_down=-0.08, gamma_up=5, gamma_down=5, **common
        ),
        "power": PowStepDevice(pow_gamma=1.5, **common),
        "power, reference": PowStepReferenceDevice(
            **{"pow_gamma": 0.8, "reference_std": 0.05, **wide, **common}
        ),
        "piecewise, one node": PiecewiseStepDevice(piecewise_up=[0.8], piecewise_down=[1.2], **common),
        "piecewise, two nodes": PiecewiseStepDevice(
            piecewise_up=[1.5, 0.5], piecewise_down=[0.4, 1.2], **common
        ),
        "piecewise": PiecewiseStepDevice(**four_nodes, **common),
    }
    return {name: devices[name] for name in names or devices}
