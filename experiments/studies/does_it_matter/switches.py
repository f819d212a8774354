"""The non-idealities that can be switched off one by one, and why some settings of aihwkit are none.

Every field of aihwkit's parameters of products, updates and devices is listed here, either with its ideal value or
with the reason why it has none; a test compares the lists with aihwkit's classes.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, final

from devices.aihwkit_adapter import PulseType, WeightNoiseType

# A power of two, so that the width of a step stays the same to the last bit.
_WIDER: Final = 1024.0


@final
@dataclass(frozen=True)
class Off:
    """A field that makes hardware worse than ideal.

    Attributes:
        ideal: The value without the non-ideality.
        what: The name of the non-ideality; fields of the same name are switched together.
    """

    ideal: Any
    what: str


PRODUCTS: Final[Mapping[str, Off | str]] = {
    "inp_noise": Off(0.0, "noise of the inputs"),
    "inp_res": Off(-1.0, "resolution of the DAC"),
    "inp_sto_round": Off(False, "stochastic rounding of the inputs"),
    "inp_asymmetry": Off(0.0, "asymmetry of negative inputs"),
    "out_bound": Off(math.inf, "saturation of the ADC"),
    "out_noise": Off(0.0, "noise of the outputs"),
    "out_noise_std": Off(0.0, "noise of the outputs"),
    "out_res": Off(-1.0, "resolution of the ADC"),
    "out_sto_round": Off(False, "stochastic rounding of the outputs"),
    "out_asymmetry": Off(0.0, "asymmetry of negative outputs"),
    "out_nonlinearity": Off(0.0, "nonlinearity of the outputs"),
    "out_nonlinearity_std": Off(0.0, "nonlinearity of the outputs"),
    "w_noise": Off(0.0, "noise of the weights in every product"),
    "w_noise_type": Off(WeightNoiseType.NONE, "noise of the weights in every product"),
    "ir_drop": Off(0.0, "IR drop (aihwkit's approximation)"),
    "v_offset_std": Off(0.0, "voltage offsets"),
    "r_series": Off(0.0, "series resistance"),
    "w_read_asymmetry_dtod": Off(0.0, "asymmetry of reading"),
    "is_perfect": "switches all others at once",
    "mv_type": "how a product is composed",
    "inp_bound": "the unit in which the DAC counts",
    "out_scale": "a digital factor",
    "bound_management": "a remedy",
    "noise_management": "a remedy",
    "ir_drop_g_ratio": "belongs to ir_drop",
    "slope_calibration": "a remedy",
    "v_offset_w_min": "belongs to v_offset_std",
    "max_bm_factor": "belongs to bound_management",
    "max_bm_res": "belongs to bound_management",
    "bm_test_negative_bound": "belongs to bound_management",
    "nm_thres": "belongs to noise_management",
}
"""Fields of aihwkit's IOParameters."""

UPDATES: Final[Mapping[str, Off | str]] = {
    "pulse_type": Off(PulseType.NONE_WITH_DEVICE, "chance and whole pulses of pulse trains"),
    "desired_bl": "belongs to pulse_type",
    "fixed_bl": "belongs to pulse_type",
    "res": "belongs to pulse_type",
    "x_res_implicit": "belongs to pulse_type",
    "d_res_implicit": "belongs to pulse_type",
    "d_sparsity": "belongs to pulse_type",
    "sto_round": "belongs to pulse_type",
    "update_bl_management": "a remedy",
    "update_management": "a remedy",
    "um_grad_scale": "belongs to update_management",
}
"""Fields of aihwkit's UpdateParameters."""

_LAW = "the step law itself: compare devices instead"
DEVICES: Final[Mapping[str, Off | str]] = {
    "corrupt_devices_prob": Off(0.0, "stuck devices"),
    "diffusion": Off(0.0, "diffusion of the weights"),
    "diffusion_dtod": Off(0.0, "diffusion of the weights"),
    "dw_min_dtod": Off(0.0, "spread of the step size from device to device"),
    "dw_min_std": Off(0.0, "noise of each pulse"),
    "dw_min_std_add": Off(0.0, "noise of each pulse"),
    "dw_min_std_slope": Off(0.0, "noise of each pulse"),
    "lifetime": Off(0.0, "leakage"),
    "lifetime_dtod": Off(0.0, "leakage"),
    "reset": Off(0.0, "imperfect resets"),
    "reset_dtod": Off(0.0, "imperfect resets"),
    "reset_std": Off(0.0, "imperfect resets"),
    "up_down": Off(0.0, "asymmetry of all devices"),
    "up_down_dtod": Off(0.0, "spread of the asymmetry from device to device"),
    "w_max_dtod": Off(0.0, "spread of the bounds from device to device"),
    "w_min_dtod": Off(0.0, "spread of the bounds from device to device"),
    "gamma_up_dtod": Off(0.0, "spread of the step law from device to device"),
    "gamma_down_dtod": Off(0.0, "spread of the step law from device to device"),
    "slope_up_dtod": Off(0.0, "spread of the step law from device to device"),
    "slope_down_dtod": Off(0.0, "spread of the step law from device to device"),
    "pow_gamma_dtod": Off(0.0, "spread of the step law from device to device"),
    "pow_up_down_dtod": Off(0.0, "spread of the step law from device to device"),
    "pow_up_down": Off(0.0, "asymmetry of all devices"),
    "reference_std": Off(0.0, "spread of the reference devices"),
    "write_noise_std": Off(0.0, "noise of what is read of a device"),
    "drift": "what happens after training: see the device's model of ageing",
    "construction_seed": "which devices, not how good",
    "corrupt_devices_range": "belongs to corrupt_devices_prob",
    "dw_min": _LAW,
    "dw_min_dtod_log_normal": "belongs to dw_min_dtod",
    "enforce_consistency": "belongs to the spreads",
    "perfect_bias": "makes devices better",
    "w_max": _LAW,
    "w_min": _LAW,
    "count_pulses": "counts only",
    "gamma_up": _LAW,
    "gamma_down": _LAW,
    "allow_increasing": _LAW,
    "mean_bound_reference": _LAW,
    "mult_noise": "belongs to dw_min_std",
    "apply_write_noise_on_set": "belongs to write_noise_std",
    "reverse_up": _LAW,
    "reverse_down": _LAW,
    "reverse_offset": _LAW,
    "A_up": _LAW,
    "A_down": _LAW,
    "a": _LAW,
    "b": _LAW,
    "pow_gamma": _LAW,
    "piecewise_up": _LAW,
    "piecewise_down": _LAW,
    "reference_mean": "a deliberate shift",
    "subtract_symmetry_point": "a remedy",
    "n_estimation_steps": "belongs to subtract_symmetry_point",
    "p_max": _LAW,
    "alpha": _LAW,
    "range_min": _LAW,
    "range_max": _LAW,
}
"""Fields of aihwkit's pulsed devices that keep a weight."""

NOISE_MODELS: Final[Mapping[str, Off]] = {
    "prog_noise_scale": Off(0.0, "programming noise"),
    "drift_scale": Off(0.0, "drift"),
    "read_noise_scale": Off(0.0, "accumulated read noise"),
    "noise_scale": Off(0.0, "spread about the targets"),
}
"""Attributes of aihwkit's noise models."""


@final
@dataclass(frozen=True)
class Switch:
    """Something that can be switched off.

    Attributes:
        what: Its name.
        part: Where it is: "product", "backward product", "device model", "device", "update".
        off: Switches it off in a configuration, or in a noise model if that is the part.
    """

    what: str
    part: str
    off: Callable[[Any], None]


def switches_of(rpu_config: Any, noise_model: Any = None) -> list[Switch]:
    """Return what is switched on in a configuration of aihwkit and in the model of how devices age.

    Args:
        rpu_config: The configuration.
        noise_model: The noise model, or None.
    """
    found: list[Switch] = []
    if noise_model is not None:
        found += _of_part("device model", NOISE_MODELS, lambda model: [model], noise_model)
    parts: list[tuple[str, Mapping[str, Off | str], Callable[[Any], list[Any]]]] = [
        ("product", PRODUCTS, lambda config: [config.forward]),
        ("device", DEVICES, lambda config: list(_pulsed_devices(getattr(config, "device", None)))),
        ("update", UPDATES, lambda config: [config.update] if hasattr(config, "update") else []),
    ]
    if hasattr(rpu_config, "backward"):
        parts.insert(1, ("backward product", PRODUCTS, lambda config: [config.backward]))
    for part, table, owners in parts:
        if part == "update" and not list(_pulsed_devices(getattr(rpu_config, "device", None))):
            continue  # trained in software
        found += _of_part(part, table, owners, rpu_config)
    return found


def _of_part(
    part: str, table: Mapping[str, Off | str], owners: Callable[[Any], list[Any]], config: Any
) -> list[Switch]:
    names: dict[str, list[tuple[str, Any]]] = {}
    for field, entry in table.items():
        if isinstance(entry, Off):
            for owner in owners(config):
                if not getattr(owner, "is_perfect", False) and _is_on(owner, field, entry):
                    names.setdefault(entry.what, [])
                    if (field, entry.ideal) not in names[entry.what]:
                        names[entry.what].append((field, entry.ideal))
    return [Switch(what, part, _switch_off(owners, changes)) for what, changes in names.items()]


def _is_on(owner: Any, field: str, entry: Off) -> bool:
    value = getattr(owner, field, entry.ideal)
    if field in ("inp_res", "out_res"):
        return bool(value > 0)
    if field == "w_noise_type":  # says what kind of noise, if any
        return bool(owner.w_noise > 0 and value != entry.ideal)
    if field in ("lifetime_dtod", "diffusion_dtod"):  # relative to a mean that may be zero
        return bool(value != 0 and getattr(owner, field.removesuffix("_dtod")) != 0)
    return bool(value != entry.ideal)


def _switch_off(owners: Callable[[Any], list[Any]], changes: list[tuple[str, Any]]) -> Callable[[Any], None]:
    def off(config: Any) -> None:
        for owner in owners(config):
            for field, ideal in changes:
                if field == "out_bound":
                    _widen(owner)
                elif hasattr(owner, field):
                    setattr(owner, field, copy.copy(ideal))

    return off


def _widen(io: Any) -> None:
    """Give the ADC a range that nothing exceeds, in steps of the same width: aihwkit counts them in ranges."""
    io.out_bound *= _WIDER
    io.out_res *= _WIDER if io.out_res > 1 else 1 / _WIDER


def _pulsed_devices(device: Any) -> Iterator[Any]:
    """Return all plain devices of a device, a unit cell of several, or a digital rank update with one."""
    if device is None:
        return
    if hasattr(device, "dw_min"):
        yield device
        return
    if is_dataclass(device):
        for field in fields(device):
            value = getattr(device, field.name)
            for part in value if isinstance(value, list) else [value]:
                if is_dataclass(part):
                    yield from _pulsed_devices(part)
