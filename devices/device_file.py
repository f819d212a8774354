"""Device files: one's own device as a TOML file, which stands wherever the name of a device may stand.

    name = "my-reram"
    technology = "resistive memory"
    source = "our lab, wafer 7"

    [conductance]           # in µS; needed for [drift]
    g_min = 1.0
    g_max = 20.0

    [pulses]                # how pulses move it, in units of the largest weight: it can be trained in situ
    law = "SoftBounds"
    dw_min = 0.01           # and any other number that aihwkit's device of this law has

    [drift]                 # how it ages: networks can be programmed onto it
    exponent = 0.06
    exponent_spread = 0.02
    reference_time = 20.0
    programming_noise = 0.4             # or [c_0, c_1, c_2], in powers of g / g_max
    last_time = 1e6

    [reads]                 # how far one reading of it scatters
    noise = 0.05            # in µS

Only numbers and texts: nothing in a device file is executed.
"""

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from .aihwkit_adapter import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PulsedDevice,
    SinglePairConductanceConverter,
    SingleRPUConfig,
    SoftBoundsDevice,
    StateIndependentNoiseModel,
    WeightNoiseType,
)
from .device_model import DeviceModel, Kind
from .files import check_name, parse_toml, read_regular
from .times import TimeRange
from .units import Dimensionless, MicroSiemens, Mixed

LAWS: Final[Mapping[str, type[PulsedDevice]]] = {
    "ConstantStep": ConstantStepDevice,
    "LinearStep": LinearStepDevice,
    "SoftBounds": SoftBoundsDevice,
    "ExpStep": ExpStepDevice,
    "PowStep": PowStepDevice,
    "Piecewise": PiecewiseStepDevice,
}
"""Step laws that a device file can name, and aihwkit's devices that follow them."""

_LARGEST: Final = 2**20  # bytes
_TEXTS: Final = ("name", "technology", "source", "summary", "not_modelled")
_NEEDED_TEXTS: Final = ("name", "technology", "source")
_SECTIONS: Final = ("conductance", "pulses", "drift", "reads")
_CONDUCTANCE: Final = ("g_min", "g_max")
_READS: Final = ("noise",)
_COEFFICIENTS: Final = 3  # of aihwkit's polynomial of programming noise
_DRIFT: Final = {
    "exponent": None,
    "exponent_spread": 0.0,
    "reference_time": None,
    "programming_noise": 0.0,
    "read_noise": 0.0,
    "last_time": math.inf,
}
"""Numbers of the section [drift], and what holds where one is left out; None where it must not be."""


def read_device_file(path: Path | str) -> DeviceModel:
    """Read one's own device.

    Drift is a power law, g(t) = g_programmed ((t + t_0) / t_0) ** -nu, with `exponent` and `exponent_spread` the mean
    and standard deviation of nu over devices, and `reference_time` t_0 in s. `programming_noise` is the standard
    deviation of a written conductance in µS, c_0, or its polynomial c_0 + c_1 x + c_2 x ** 2 in x = g / g_max.
    `read_noise` is aihwkit's factor of the accumulated 1/f noise, `last_time` the last one that was measured, in s:
    later times count as extrapolated. `noise` of [reads] is the standard deviation of one reading in µS, for
    inference of both devices of a pair, and in training of the device that holds a weight.

    Args:
        path: The TOML file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no TOML, or a key is missing, unknown or has a value that no device has.
    """
    path = Path(path)
    try:
        content = parse_toml(read_regular(path, "device", largest=_LARGEST))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`device` must be a name or a device file, but there is no file {path}. "
            "`xbar devices` lists the names, `xbar fit-device` makes a file."
        ) from None
    except ValueError as error:
        if str(error).startswith("`"):
            raise  # no regular file
        raise ValueError(f"`device` must be a TOML file, but {path} is none: {error}. Correct it.") from None
    return _Reader(path, content).device()


def device_file(
    *,
    name: str,
    technology: str,
    source: str,
    summary: str,
    conductance: Mapping[str, MicroSiemens] | None,
    pulses: Mapping[str, Any] | None,
    drift: Mapping[str, Any] | None,
    not_modelled: str | None = None,
    reads: Mapping[str, Mixed] | None = None,
) -> str:
    """Write a device as the text of a device file.

    Args:
        name: What to call it.
        technology: The kind of memory cell.
        source: Where the numbers come from.
        summary: What is modelled.
        conductance: g_min and g_max, in µS, or None.
        pulses: The section [pulses], or None.
        drift: The section [drift], or None.
        not_modelled: What a reader should not expect from it, or None.
        reads: The section [reads], or None.
    """
    texts = {"name": name, "technology": technology, "source": source, "summary": summary}
    if not_modelled is not None:
        texts["not_modelled"] = not_modelled
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    sections = {
        "[conductance]  # in µS": conductance,
        "[pulses]  # in units of the weight that spans [-1, 1] over the conductances above": pulses,
        "[drift]  # times in s, programming_noise in µS": drift,
        "[reads]  # in µS": reads,
    }
    for header, table in sections.items():
        if table is not None:
            lines += ["", header, *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, float):
        return "inf" if math.isinf(value) else f"{value:.9g}" if value % 1 else f"{value:.1f}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


class _Reader:
    """Turns the content of a file into a device, and says where it is wrong."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self._path, self._content = path, content

    def device(self) -> DeviceModel:
        content = self._content
        self._only(content, (*_TEXTS, *_SECTIONS), "")
        for name in _NEEDED_TEXTS:
            if name not in content:
                raise self._wrong(name, "be given", "missing", f'Write {name} = "...".')
        texts = {name: content[name] for name in _TEXTS if name in content}
        for name, text in texts.items():
            if not isinstance(text, str) or not text.strip():
                raise self._wrong(name, "be a text", repr(text), 'Put it between "quotation marks".')
        problem = check_name(texts["name"])
        if problem is not None:
            raise self._wrong("name", f"be {problem}", repr(texts["name"]), "Shorten or correct it.")
        tables = {name: self._table(name) for name in _SECTIONS}
        if tables["pulses"] is None and tables["drift"] is None:
            raise self._wrong(
                "[pulses] or [drift]", "be given", "missing", "Say how pulses move it or how it ages."
            )
        g_min, g_max = self._conductances(tables["conductance"])
        pulses = None if tables["pulses"] is None else self._pulses(tables["pulses"])
        drift = None if tables["drift"] is None else self._drift(tables["drift"])
        if drift is not None and g_max is None:
            raise self._wrong("[conductance]", "be given with [drift]", "missing", "Write g_max in µS.")
        noise = None
        if tables["reads"] is not None:
            if g_max is None:
                raise self._wrong("[conductance]", "be given with [reads]", "missing", "Write g_max in µS.")
            noise = self._reads(tables["reads"]) / (g_max - g_min)
        kind: Kind = "both" if pulses and drift else "training" if pulses else "inference"
        return DeviceModel(
            name=texts["name"],
            technology=texts["technology"],
            source=texts["source"],
            summary=texts.get("summary", f"Device file {self._path.name}."),
            not_modelled=texts.get("not_modelled", "What the device file does not state."),
            kind=kind,
            algorithm=None if pulses is None else "SGD",
            g_min=g_min if g_max is not None else None,
            g_max=g_max,
            valid_times=TimeRange() if drift else None,
            measured_times=TimeRange(0.0, drift["last_time"]) if drift else None,
            # Both devices of a pair are read; in training one device spans -1 to 1.
            short_term_noise=None if noise is None else math.sqrt(2) * noise,
            build=None if drift is None else lambda device: _noise_model(device, drift),
            build_training=None if pulses is None else lambda: _training_config(*pulses, 2 * (noise or 0.0)),
        )

    def _conductances(self, table: dict[str, Any] | None) -> tuple[MicroSiemens, MicroSiemens | None]:
        if table is None:
            return 0.0, None
        self._only(table, _CONDUCTANCE, "conductance.")
        numbers = {name: self._number(f"conductance.{name}", value) for name, value in table.items()}
        g_min, g_max = numbers.get("g_min", 0.0), numbers.get("g_max")
        if g_max is None:
            raise self._wrong("conductance.g_max", "be given", "missing", "Write it in µS.")
        if not 0 <= g_min < g_max:
            raise self._wrong(
                "conductance.g_min", f"lie in [0, g_max) = [0, {g_max:g}) µS", f"{g_min:g}", "Exchange them?"
            )
        return g_min, g_max

    def _pulses(self, table: dict[str, Any]) -> tuple[type[PulsedDevice], dict[str, Any]]:
        law = str(table.get("law"))
        if law not in LAWS:
            raise self._wrong("pulses.law", f"be one of {', '.join(LAWS)}", repr(law), "Choose one.")
        device = LAWS[law]()
        known = [field.name for field in fields(device) if _is_number_like(getattr(device, field.name))]
        self._only(table, ("law", *known), "pulses.")
        values: dict[str, Any] = {}
        for name, value in table.items():
            if name == "law":
                continue
            if isinstance(getattr(device, name), bool):
                if not isinstance(value, bool):
                    raise self._wrong(f"pulses.{name}", "be true or false", repr(value), "Correct it.")
                values[name] = value
            elif isinstance(getattr(device, name), list):
                if not isinstance(value, list) or not value:
                    raise self._wrong(f"pulses.{name}", "be a list of numbers", repr(value), "Correct it.")
                values[name] = [self._number(f"pulses.{name}", number) for number in value]
            else:
                values[name] = self._number(f"pulses.{name}", value)
        dw_min = values.get("dw_min", device.dw_min)
        if not dw_min > 0:
            raise self._wrong("pulses.dw_min", "be above 0", f"{dw_min:g}", "It is the size of a step.")
        w_min, w_max = values.get("w_min", device.w_min), values.get("w_max", device.w_max)
        if not w_min < 0 < w_max:
            raise self._wrong(
                "pulses.w_min and w_max",
                "lie on both sides of 0",
                f"{w_min:g} and {w_max:g}",
                "Correct them.",
            )
        return LAWS[law], values

    def _reads(self, table: dict[str, Any]) -> MicroSiemens:
        self._only(table, _READS, "reads.")
        if "noise" not in table:
            raise self._wrong("reads.noise", "be given", "missing", "Write it in µS.")
        noise = self._number("reads.noise", table["noise"])
        if noise < 0:
            raise self._wrong("reads.noise", "be 0 or more", f"{noise:g}", "Correct it.")
        return noise

    def _drift(self, table: dict[str, Any]) -> dict[str, Any]:
        self._only(table, tuple(_DRIFT), "drift.")
        values: dict[str, Any] = {}
        for name, default in _DRIFT.items():
            if name == "programming_noise" and isinstance(table.get(name), list):
                values[name] = self._polynomial(f"drift.{name}", table[name])
            elif name in table:
                values[name] = self._number(f"drift.{name}", table[name], finite=name != "last_time")
            elif default is None:
                raise self._wrong(
                    f"drift.{name}", "be given", "missing", "See the documentation of device files."
                )
            else:
                values[name] = default
        for name in ("exponent_spread", "programming_noise", "read_noise"):
            if not isinstance(values[name], list) and values[name] < 0:
                raise self._wrong(f"drift.{name}", "be 0 or more", f"{values[name]:g}", "Correct it.")
        if not values["reference_time"] > 0:
            raise self._wrong(
                "drift.reference_time", "be above 0 s", f"{values['reference_time']:g}", "Correct it."
            )
        if values["last_time"] < 0:  # 0: nothing was measured later than the write
            raise self._wrong("drift.last_time", "be 0 s or more", f"{values['last_time']:g}", "Correct it.")
        return values

    def _polynomial(self, name: str, values: list[Any]) -> list[MicroSiemens]:
        if not 1 <= len(values) <= _COEFFICIENTS:
            raise self._wrong(
                name, f"have 1 to {_COEFFICIENTS} coefficients", f"{len(values)} of them", "Correct it."
            )
        numbers = [self._number(name, value) for value in values]
        lowest = min(sum(c * (i / 50) ** k for k, c in enumerate(numbers)) for i in range(51))
        if lowest < 0:
            raise self._wrong(
                name, "be 0 µS or more from 0 to g_max", f"{lowest:.3g} µS at the lowest", "Correct it."
            )
        return numbers

    def _table(self, name: str) -> dict[str, Any] | None:
        table = self._content.get(name)
        if table is not None and not isinstance(table, dict):
            raise self._wrong(name, "be a section", repr(table), f"Write [{name}] and its keys below it.")
        return table

    def _only(self, table: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for name in table:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                advice = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
                raise self._wrong(prefix + name, "be a key of device files", "unknown", advice)

    def _number(self, name: str, value: Any, *, finite: bool = True) -> Mixed:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "be a number", repr(value), "Leave out quotation marks and units.")
        if math.isnan(value) or (finite and math.isinf(value)):
            raise self._wrong(name, "be finite", repr(value), "Correct it.")
        return float(value)

    def _wrong(self, name: str, rule: str, value: str, advice: str) -> ValueError:
        return ValueError(f"`{name}` in {self._path} must {rule}, but is {value}. {advice}")


def _is_number_like(value: object) -> bool:
    return isinstance(value, int | float | list)  # bool is an int


def _training_config(
    device_class: type[PulsedDevice], values: dict[str, Any], read_noise: Dimensionless
) -> SingleRPUConfig:
    rpu_config = SingleRPUConfig(device=device_class(**values))
    if read_noise > 0:
        for io in (rpu_config.forward, rpu_config.backward):
            io.w_noise, io.w_noise_type = read_noise, WeightNoiseType.ADDITIVE_CONSTANT
    return rpu_config


def _noise_model(device: DeviceModel, drift: dict[str, Any]) -> StateIndependentNoiseModel:
    noise = drift["programming_noise"]
    return StateIndependentNoiseModel(
        SinglePairConductanceConverter(g_max=device.g_max, g_min=device.g_min),
        prog_coeff=([*noise, 0.0, 0.0] if isinstance(noise, list) else [noise, 0.0, 0.0])[:_COEFFICIENTS],
        drift_nu_mean=drift["exponent"],
        drift_nu_std=drift["exponent_spread"],
        t_0=drift["reference_time"],
        read_noise_scale=drift["read_noise"],
    )
