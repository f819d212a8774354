"""The device models that can be asked for by name, each with its source and its limits."""

from typing import get_args

from .aihwkit_adapter import (
    CustomDriftPCMLikeNoiseModel,
    HermesNoiseModel,
    PCMLikeNoiseModel,
    ReRamCMONoiseModel,
    ReRamWan2022NoiseModel,
    StateIndependentNoiseModel,
    training_presets,
)
from .closest import choose, closest
from .device_file import read_device_file
from .device_model import DeviceModel, Kind
from .times import TEN_YEARS, MeasuredTimes, TimeRange
from .training_catalogue import PCM_PULSES, SGD, TRAINING_ENTRIES
from .units import Seconds


def catalogue(kind: Kind | None = None) -> list[str]:
    """List the names of all device models.

    Args:
        kind: "inference" lists only those that know how a device ages, "training" those that know how pulses
            move it, "both" those that know both.

    Raises:
        ValueError: If there is no such kind.

    Example:
        >>> "pcm" in catalogue(), "reram-sb" in catalogue("inference")
        (True, False)
    """
    if kind is None:
        return list(_DEVICE_MODELS)
    if kind not in get_args(Kind):
        raise ValueError(
            f"`kind` must be one of {', '.join(get_args(Kind))}, but is {kind!r}. Leave it out to list all."
        )
    return [name for name, device in _DEVICE_MODELS.items() if device.kind in (kind, "both")]


def get(name: str) -> DeviceModel:
    """Look up a device model.

    Args:
        name: One of `catalogue()`, the name of aihwkit's preset, such as `"ReRamSBPreset"`, or the path of a device
            file, which ends in `.toml` (see `devices.device_file`).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no device model of this name, or the file is wrong.

    Example:
        >>> get("reram-wan2022").g_max
        40.0
        >>> get("TTv2EcRamPreset").name
        'ttv2-ecram'
    """
    if name.endswith(".toml"):
        return read_device_file(name)
    device = _DEVICE_MODELS.get(name) or _OF_AIHWKIT.get(name)
    if device is None:
        raise ValueError(f"`name` must be in the catalogue of devices, but is {name!r}. {_advice(name)}")
    return device


def _advice(wrong: str) -> str:
    known = (*_DEVICE_MODELS, *_OF_AIHWKIT)
    if not closest(wrong, known):
        return f"Ask `catalogue()` for all {len(_DEVICE_MODELS)} names, such as 'pcm' and 'reram-sb'."
    return choose(wrong, known)


_WAN_MEASURED = MeasuredTimes((1.0, 86400.0, 172800.0))
_HERMES_SOURCE = (
    "Le Gallo et al., Nature Electronics (2023), nature.com/articles/s41928-023-01010-1; "
    "Khaddam-Aljameh et al., IEEE JSSC (2022), ieeexplore.ieee.org/document/9696185; fit in aihwkit 1.1.0"
)
_NOT_MODELLED = "Temperature, endurance and stuck cells; correlation of read noise from one read to the next."

# aihwkit says no more of the fits than when drift starts. Accuracy on an array of such cells was followed for a
# day: Joshi et al., Nature Communications (2020), doi.org/10.1038/s41467-020-16108-9.
_A_DAY: Seconds = 86400.0
_PCM_MEASURED = TimeRange(0.0, _A_DAY)
# assumed: no longer than the cells above; the paper's abstract and aihwkit's fit name no end.
_HERMES_MEASURED = TimeRange(0.0, _A_DAY)
# assumed: the paper states errors until ten years, but its abstract does not tell measured from projected ones.
_CMO_MEASURED = TimeRange(1.0, _A_DAY)
# assumed: the law of `pcm`, read off at these parts of 25 µS; between them exponents are interpolated.
_DRIFT_TABLE = {
    "g_lst": [0.0, 0.25, 1.25, 2.5, 5.0, 12.5, 25.0],
    "nu_mean_lst": [0.1, 0.0958, 0.0708, 0.0601, 0.0493, 0.049, 0.049],
    "nu_std_lst": [0.045, 0.045, 0.0315, 0.0229, 0.0142, 0.008, 0.008],
}

_ENTRIES = (
    DeviceModel(
        name="pcm",
        technology="phase-change memory",
        kind="both",
        source="Nandakumar et al., IEEE ICECS (2019), ieeexplore.ieee.org/document/8964852; pulses: Nandakumar "
        f"et al., Frontiers in Neuroscience (2020), {PCM_PULSES}; measured for a day: "
        "Joshi et al., Nature Communications (2020), doi.org/10.1038/s41467-020-16108-9; fits in aihwkit 1.1.0",
        summary="Differential pair. Programming noise polynomial in the target, power-law drift from 20 s "
        "with an exponent of its own for each device, accumulated 1/f read noise. In training, one-way devices "
        "that pulses only raise, checked from time to time, and written anew where they are nearly full.",
        not_modelled=_NOT_MODELLED,
        algorithm=SGD,
        aihwkit_name="PCMPreset",
        g_max=25.0,
        measured_times=_PCM_MEASURED,
        build=lambda device: PCMLikeNoiseModel(g_max=device.g_max),
        build_training=training_presets.PCMPreset,
    ),
    DeviceModel(
        name="pcm-custom-drift",
        technology="phase-change memory",
        source="the same as of pcm; a drift of one's own: N. Li et al., Advanced Electronic Materials (2023), "
        "doi.org/10.1002/aelm.202201190; model in aihwkit 1.1.0",
        summary="As pcm, with drift exponents interpolated in a table over conductance, which a noise model takes "
        "as `custom_drift_model`. The table here is pcm's own law at seven conductances (assumed).",
        not_modelled=_NOT_MODELLED,
        g_max=25.0,
        measured_times=_PCM_MEASURED,
        build=lambda device: CustomDriftPCMLikeNoiseModel(
            {column: list(values) for column, values in _DRIFT_TABLE.items()}, g_max=device.g_max
        ),
    ),
    DeviceModel(
        name="pcm-hermes",
        technology="phase-change memory",
        source=f"{_HERMES_SOURCE}; programming of two devices: Vasilopoulos et al., IEEE TED (2023), "
        "ieeexplore.ieee.org/document/10281389",
        summary="IBM's HERMES chip, two devices in parallel for each sign. Programming noise polynomial in "
        "the target, power-law drift from 300 s, accumulated 1/f read noise. Taken as measured for a day (assumed).",
        not_modelled=f"{_NOT_MODELLED} Both devices of a sign are taken to drift alike, at worst.",
        g_max=20.7,
        measured_times=_HERMES_MEASURED,
        build=lambda device: HermesNoiseModel(num_devices=2, g_max=device.g_max),
    ),
    DeviceModel(
        name="pcm-hermes-single",
        technology="phase-change memory",
        source=_HERMES_SOURCE,
        summary="IBM's HERMES chip, one device for each sign. Programming noise polynomial in the target, "
        "power-law drift from 200 s, accumulated 1/f read noise. Taken as measured for a day (assumed).",
        not_modelled=_NOT_MODELLED,
        g_max=10.35,
        measured_times=_HERMES_MEASURED,
        build=lambda device: HermesNoiseModel(num_devices=1, g_max=device.g_max),
    ),
    DeviceModel(
        name="reram-wan2022",
        technology="resistive memory (HfOx)",
        source="Wan et al., Nature (2022), nature.com/articles/s41586-022-04992-8; "
        "spread estimated from its figures in aihwkit 1.1.0",
        summary="Differential pair. Spread about the target at 1 s, 1 day and 2 days after programming; a "
        "device keeps its rank in the spread. Short-term read noise of 1 % in every matrix-vector product.",
        not_modelled=f"{_NOT_MODELLED} Any time but the three measured ones.",
        # The spread was fitted for 40 µS and aihwkit does not rescale it to its own default of 25 µS.
        g_max=40.0,
        valid_times=_WAN_MEASURED,
        measured_times=_WAN_MEASURED,
        short_term_noise=0.01,
        build=lambda device: ReRamWan2022NoiseModel(g_max=device.g_max),
    ),
    DeviceModel(
        name="reram-cmo",
        technology="resistive memory (conductive metal oxide on HfOx)",
        source="Falcone et al., arXiv:2502.04524 (2025); fit in aihwkit 1.1.0",
        summary="A single device for each weight, written until within 0.2 % of its target (10 to 100 nS of "
        "noise). Relaxation in the logarithm of time, 1/f read noise. Short-term read noise of 1 % in every "
        "matrix-vector product. Taken as measured for a day (assumed).",
        not_modelled=f"{_NOT_MODELLED} Times between the write and 1 s.",
        # The window that aihwkit's fit was made for.
        g_max=88.199997,
        g_min=9.0,
        valid_times=TimeRange(1.0, TEN_YEARS),
        measured_times=_CMO_MEASURED,
        short_term_noise=0.01,
        # Named, because aihwkit's default (2e-2) is no key of its table, which is in percent.
        build=lambda device: ReRamCMONoiseModel(g_max=device.g_max, g_min=device.g_min, acceptance_range=0.2),
    ),
    DeviceModel(
        name="state-independent",
        technology="none",
        source="assumed: the defaults of aihwkit 1.1.0, for which it names no measurement",
        summary="Differential pair. Programming noise of 0.2 µS for every target, power-law drift from 20 s with "
        "an exponent of 0.1 ± 0.05 whatever the conductance, accumulated 1/f read noise.",
        not_modelled=f"{_NOT_MODELLED} Any device that was measured.",
        # aihwkit's default; no device was measured, so that every time is an extrapolation.
        g_max=25.0,
        measured_times=TimeRange(0.0, 0.0),
        build=lambda device: StateIndependentNoiseModel(g_max=device.g_max),
    ),
    DeviceModel(
        name="ideal",
        technology="none",
        source="assumed: a device that holds exactly what is written, to tell its effects from all others",
        summary="No programming noise, no drift, no read noise. Converters and wires stay as they are.",
        not_modelled="Everything that happens in a device.",
        g_max=25.0,
        short_term_noise=0.0,
        build=lambda device: StateIndependentNoiseModel(
            g_max=device.g_max, prog_noise_scale=0.0, drift_scale=0.0, read_noise_scale=0.0
        ),
    ),
)
_DEVICE_MODELS = {device.name: device for device in (*_ENTRIES, *TRAINING_ENTRIES)}
_OF_AIHWKIT = {
    device.aihwkit_name: device for device in _DEVICE_MODELS.values() if device.aihwkit_name is not None
}
