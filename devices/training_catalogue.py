"""The devices that pulses train, one entry for each preset of aihwkit and some more.

An entry is a device under a learning rule: `reram-sb` is the device under plain SGD, `reram-sb-2` a unit cell
of two of them, `tiki-taka-reram-sb` a pair of them under Tiki-Taka.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from typing_extensions import final

from .aihwkit_adapter import SingleRPUConfig, training_presets
from .device_model import DeviceModel, TrainingConfig

SGD = "SGD"
PCM_PULSES = "doi.org/10.3389/fnins.2020.00406"
_PARALLEL_UPDATE = "Gokmen and Vlasov, Frontiers in Neuroscience (2016), doi.org/10.3389/fnins.2016.00333"
_ARRAYS = "Gong, Rasch et al., IEEE IEDM (2022), ieeexplore.ieee.org/document/10019569"
_NOT_MODELLED = "Drift, read noise and retention after training; temperature, endurance."


@final
@dataclass(frozen=True, kw_only=True)
class _Device:
    """A memory cell that pulses move.

    Attributes:
        aihwkit_name: What aihwkit's presets of it have in their names.
        technology: The kind of memory cell.
        source: The publication behind the numbers.
        summary: Its step law and what is special about it.
    """

    aihwkit_name: str
    technology: str
    source: str
    summary: str


@final
@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A learning rule, and how presets and entries that use it are called.

    Attributes:
        algorithm: Its name in plain words.
        pattern: The name of an entry, with the device's in place of `{}`.
        preset: The name of aihwkit's preset, likewise.
        summary: What it does.
        source: The publication that introduced it.
    """

    algorithm: str
    pattern: str
    preset: str
    summary: str
    source: str


_DEVICES = {
    "reram-es": _Device(
        aihwkit_name="ReRamES",
        technology="resistive memory",
        source="Gong et al., Nature Communications (2018), doi.org/10.1038/s41467-018-04485-1",
        summary="Step exponential in the weight, strong write noise.",
    ),
    "reram-sb": _Device(
        aihwkit_name="ReRamSB",
        technology="resistive memory",
        source="loose fit to Gong et al., Nature Communications (2018), doi.org/10.1038/s41467-018-04485-1",
        summary="Step linear in the weight and zero at its bounds, strong write noise, symmetry point at zero.",
    ),
    "capacitor": _Device(
        aihwkit_name="Capacitor",
        technology="capacitor",
        source="Li et al., Symposium on VLSI Technology (2018), ieeexplore.ieee.org/document/8510648",
        summary="Step nearly constant; leaks with a lifetime of a million mini-batches (assumed in aihwkit).",
    ),
    "ecram": _Device(
        aihwkit_name="EcRam",
        technology="electrochemical memory (lithium)",
        source="Tang et al., IEEE IEDM (2018), ieeexplore.ieee.org/document/8614551",
        summary="Step linear in the weight, symmetry point shifted to zero.",
    ),
    "ecram-mo": _Device(
        aihwkit_name="EcRamMO",
        technology="electrochemical memory (metal oxide)",
        source="Kim et al., IEEE IEDM (2019), ieeexplore.ieee.org/document/8993463",
        summary="Step linear in the weight, small and noisy, symmetry point shifted to zero.",
    ),
    "idealized": _Device(
        aihwkit_name="Idealized",
        technology="none",
        source="Rasch, Gokmen and Haensch, IEEE Design and Test (2019), arXiv:1906.02698",
        summary="Constant and, but for device-to-device spread, symmetric steps, 10,000 across the range.",
    ),
    "gokmen-vlasov": _Device(
        aihwkit_name="GokmenVlasov",
        technology="none",
        source=_PARALLEL_UPDATE,
        summary="Constant steps, 1,250 across the range: the specification that a device was once asked to meet.",
    ),
    "pcm": _Device(
        aihwkit_name="PCM",
        technology="phase-change memory",
        source=f"Nandakumar et al., Frontiers in Neuroscience (2020), {PCM_PULSES}",
        summary="Pair of one-way devices that pulses only raise, written anew where they are nearly full.",
    ),
}
# aihwkit offers these two with plain SGD and with mixed precision only.
_COMPARED = tuple(name for name in _DEVICES if name not in ("gokmen-vlasov", "pcm"))

_PLAIN = _Rule(
    algorithm=SGD,
    pattern="{}",
    preset="{}Preset",
    summary="All devices of a tile are updated in parallel by stochastic pulse trains.",
    source=_PARALLEL_UPDATE,
)
_TWO, _FOUR = (
    _Rule(
        algorithm=SGD,
        pattern=f"{{}}-{count}",
        preset=f"{{}}{count}Preset",
        summary=f"{word} devices for every weight; each update goes to one of them, chosen at random.",
        source=_PARALLEL_UPDATE,
    )
    for count, word in ((2, "Two"), (4, "Four"))
)
_MIXED_PRECISION = _Rule(
    algorithm="mixed precision",
    pattern="mixed-precision-{}",
    preset="MixedPrecision{}Preset",
    summary="Gradients are summed up digitally; whole steps are handed on to the devices.",
    source=f"Nandakumar et al., Frontiers in Neuroscience (2020), {PCM_PULSES}",
)
_CHOPPED = "Rasch, Carta, Fagbohungbe and Gokmen (2023), arXiv:2303.04721"
_TRANSFERRING = (
    _Rule(
        algorithm="Tiki-Taka v1",
        pattern="tiki-taka-{}",
        preset="TikiTaka{}Preset",
        summary="A fast array gathers the gradient and is read column by column to update a slow one.",
        source="Gokmen and Haensch, Frontiers in Neuroscience (2020), doi.org/10.3389/fnins.2020.00103",
    ),
    _Rule(
        algorithm="Tiki-Taka v2",
        pattern="ttv2-{}",
        preset="TTv2{}Preset",
        summary="As Tiki-Taka v1, with a digital buffer between the fast and the slow array.",
        source="Gokmen, Frontiers in Artificial Intelligence (2021), doi.org/10.3389/frai.2021.699148",
    ),
    _Rule(
        algorithm="chopped Tiki-Taka v2",
        pattern="chopped-ttv2-{}",
        preset="ChoppedTTv2{}Preset",
        summary="As Tiki-Taka v2, with signs that flip at random, so that offsets of the fast array cancel.",
        source=_CHOPPED,
    ),
    _Rule(
        algorithm="AGAD",
        pattern="agad-{}",
        preset="AGAD{}Preset",
        summary="As chopped Tiki-Taka v2, with the offset of the fast array estimated while it learns.",
        source=_CHOPPED,
    ),
)


def _entry(device: str, rule: _Rule) -> DeviceModel:
    cell = _DEVICES[device]
    preset = rule.preset.format(cell.aihwkit_name)
    return _training_model(
        name=rule.pattern.format(device),
        cell=cell,
        rule=rule,
        aihwkit_name=preset,
        build=getattr(training_presets, preset),
    )


def _training_model(
    *, name: str, cell: _Device, rule: _Rule, aihwkit_name: str, build: Callable[[], TrainingConfig]
) -> DeviceModel:
    sources = (cell.source,) if cell.source == rule.source else (cell.source, f"learning rule: {rule.source}")
    return DeviceModel(
        name=name,
        technology=cell.technology,
        kind="training",
        source="; ".join((*sources, "settings of aihwkit 1.1.0")),
        summary=f"{cell.summary} {rule.summary}",
        not_modelled=_NOT_MODELLED,
        algorithm=rule.algorithm,
        aihwkit_name=aihwkit_name,
        g_max=None,
        g_min=None,
        valid_times=None,
        build_training=build,
    )


def _measured_array(device_name: str) -> SingleRPUConfig:
    """Put a device for which aihwkit has no preset under plain SGD, as its presets do."""
    return SingleRPUConfig(
        device=getattr(training_presets, device_name)(),
        forward=training_presets.PresetIOParameters(),
        backward=training_presets.PresetIOParameters(),
        update=training_presets.PresetUpdateParameters(),
    )


def _measured_arrays() -> Iterator[DeviceModel]:
    for name, device_name, material in (
        ("reram-array-om", "ReRamArrayOMPresetDevice", "optimized material"),
        ("reram-array-hfo2", "ReRamArrayHfO2PresetDevice", "baseline HfO2"),
    ):
        cell = _Device(
            aihwkit_name=device_name,
            technology=f"resistive memory ({material})",
            source=_ARRAYS,
            summary="Step linear in the weight and zero at its bounds, spreads as measured on an array, symmetry "
            "point subtracted up to 5 % of the range. Stuck devices are left out.",
        )
        build = partial(_measured_array, device_name)
        yield _training_model(name=name, cell=cell, rule=_PLAIN, aihwkit_name=device_name, build=build)


TRAINING_ENTRIES = (
    # Plain SGD on `pcm` stands in the main catalogue, because that device also has a model of how it ages.
    *(_entry(device, _PLAIN) for device in _DEVICES if device != "pcm"),
    *_measured_arrays(),
    *(_entry(device, rule) for rule in (_TWO, _FOUR) for device in _COMPARED),
    *(_entry(device, rule) for rule in _TRANSFERRING for device in _COMPARED),
    *(_entry(device, _MIXED_PRECISION) for device in _DEVICES),
)
