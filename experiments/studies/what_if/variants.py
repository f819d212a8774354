"""The same device with one property better: what a device file would say then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, final

from devices.aihwkit_adapter import PulsedDevice
from devices.units import Dimensionless

Mode = Literal["in-situ", "hwa"]
Table = Mapping[str, Any]
BASE: Final = "as it is"
ALL: Final = "all of these at once"


@final
@dataclass(frozen=True, kw_only=True)
class Variant:
    """A device that differs in one property.

    Attributes:
        change: What is different, in words.
        slug: The same as part of a file's name.
        modes: What it can change: "in-situ" learning by pulses, "hwa" networks that are written and age.
        sections: The sections of its device file.
    """

    change: str
    slug: str
    modes: tuple[Mode, ...]
    sections: Mapping[str, dict[str, Any]]


@final
@dataclass(frozen=True)
class _Rule:
    """A property of [pulses], [drift] or [reads] that can be made better.

    Attributes:
        section: Where it stands.
        what: Its name; "{}" stands for by how much.
        better: The changed numbers of a section, of its numbers and a factor; empty where there is nothing to change.
        has_factor: Whether the factor says by how much; else it is done as a whole.
    """

    section: Literal["pulses", "drift", "reads"]
    what: str
    better: Callable[[Table, Dimensionless], dict[str, Any]]
    has_factor: bool = True


def _divided(*names: str) -> Callable[[Table, Dimensionless], dict[str, Any]]:
    def better(values: Table, factor: Dimensionless) -> dict[str, Any]:
        found = {name: values[name] for name in names if name in values}
        changed = {
            name: [part / factor for part in value] if isinstance(value, list) else value / factor
            for name, value in found.items()
        }
        return {name: value for name, value in changed.items() if value != found[name]}

    return better


def _multiplied(*names: str) -> Callable[[Table, Dimensionless], dict[str, Any]]:
    divided = _divided(*names)
    return lambda values, factor: divided(values, 1 / factor)


def _equal(values: Table, _: Dimensionless) -> dict[str, Any]:
    """Give pulses up and down the same mean size at every weight, as far as the law has numbers for it."""
    changed: dict[str, Any] = {name: 0.0 for name in ("up_down", "pow_up_down") if values.get(name)}
    for up, down in (("gamma_up", "gamma_down"), ("A_up", "A_down")):
        if values.get(up) != values.get(down):
            changed[up] = changed[down] = (values[up] + values[down]) / 2
    rising, falling = values.get("piecewise_up", []), values.get("piecewise_down", [])
    if rising != falling and len(rising) == len(falling):
        mean = [(a + b) / 2 for a, b in zip(rising, falling, strict=True)]
        changed["piecewise_up"] = changed["piecewise_down"] = mean
    return changed


def _more_linear(values: Table, factor: Dimensionless) -> dict[str, Any]:
    """Let steps depend less on the weight; soft bounds have no number for that but their range."""
    if "A_up" in values:  # exponential: gamma is the rate, A how much of it there is
        return _divided("A_up", "A_down")(values, factor)
    changed = _divided("gamma_up", "gamma_down", "pow_gamma")(values, factor)
    for name in ("piecewise_up", "piecewise_down"):
        nodes = values.get(name)
        if nodes is not None and max(nodes) > min(nodes):
            mean = sum(nodes) / len(nodes)
            changed[name] = [mean + (node - mean) / factor for node in nodes]
    return changed


_RULES: Final = (
    _Rule("pulses", "noise of a step {}", _divided("dw_min_std", "dw_min_std_add", "dw_min_std_slope")),
    _Rule("pulses", "size of a step {} (more states)", _divided("dw_min")),
    _Rule("pulses", "up and down equal", _equal, has_factor=False),
    _Rule(
        "pulses",
        "spread of up against down, device to device, {}",
        _divided("up_down_dtod", "pow_up_down_dtod"),
    ),
    _Rule("pulses", "dependence of a step on the weight {}", _more_linear),
    _Rule(
        "pulses",
        "spread of that dependence, device to device, {}",
        _divided("gamma_up_dtod", "gamma_down_dtod", "slope_up_dtod", "slope_down_dtod", "pow_gamma_dtod"),
    ),
    _Rule("pulses", "spread of the step size, device to device, {}", _divided("dw_min_dtod")),
    _Rule("pulses", "spread of the bounds, device to device, {}", _divided("w_max_dtod", "w_min_dtod")),
    _Rule("pulses", "range {}, steps as they are", _multiplied("w_max", "w_min")),
    _Rule("pulses", "noise of what is written {}", _divided("write_noise_std")),
    _Rule("pulses", "diffusion {}", _divided("diffusion")),
    _Rule("pulses", "lifetime against leakage {}", _multiplied("lifetime")),
    _Rule("pulses", "stuck devices {}", _divided("corrupt_devices_prob")),
    _Rule("drift", "programming noise {}", _divided("programming_noise")),
    _Rule("drift", "exponent of drift {}", _divided("exponent")),
    _Rule("drift", "spread of the exponents {}", _divided("exponent_spread")),
    _Rule("drift", "noise that gathers over time {}", _divided("read_noise")),
    _Rule("reads", "noise of a reading {}", _divided("noise")),
)
_MODES: Final[Mapping[str, tuple[Mode, ...]]] = {
    "pulses": ("in-situ",),
    "drift": ("hwa",),
    "reads": ("in-situ", "hwa"),
}
_TIMES: Final = ("range", "lifetime")


def variants_of(
    content: Table, pulsed: PulsedDevice | None, factors: Sequence[Dimensionless]
) -> list[Variant]:
    """Return the device as it is, with each of its properties better by each factor, and with all at once.

    Properties that are as good as can be are left out, and so are those that its step law does not have.

    Args:
        content: What its file says.
        pulsed: aihwkit's device, which has also the numbers that the file leaves to defaults; None if it has no
            [pulses].
        factors: By how much; below 1 makes it worse. 2 halves a noise and doubles a range.
    """
    values = {
        "pulses": {} if pulsed is None else {f.name: getattr(pulsed, f.name) for f in fields(pulsed)},
        "drift": dict(content.get("drift", {})),
        "reads": dict(content.get("reads", {})),
    }
    here = {
        name: dict(content[name]) for name in ("conductance", "pulses", "drift", "reads") if name in content
    }
    modes: tuple[Mode, ...] = (*(("in-situ",) if pulsed else ()), *(("hwa",) if "drift" in content else ()))
    found = [Variant(change=BASE, slug="as-it-is", modes=modes, sections=here)]
    for number, factor in enumerate(factors):
        combined = {name: dict(table) for name, table in values.items()}
        for rule in _RULES:
            changed = rule.better(values[rule.section], factor)
            if not changed:
                continue
            if rule.has_factor or number == 0:
                text = rule.what.format(_by(rule.what, factor))
                found.append(_variant(text, here, {rule.section: changed}, modes))
            combined[rule.section].update(rule.better(combined[rule.section], factor))
        every = {
            name: {key: value for key, value in table.items() if value != values[name][key]}
            for name, table in combined.items()
        }
        text = ALL if len(factors) == 1 else f"{ALL}, by {factor:g}"
        found.append(_variant(text, here, {name: table for name, table in every.items() if table}, modes))
    return found


def _by(what: str, factor: Dimensionless) -> str:
    times = factor if what.startswith(_TIMES) else 1 / factor
    return f"x {times:g}" if times >= 1 else f"/ {1 / times:g}"


def _variant(
    change: str, sections: Mapping[str, Table], changed: Mapping[str, Table], modes: tuple[Mode, ...]
) -> Variant:
    slug = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in change)
    touched = {mode for name in changed for mode in _MODES[name]}
    return Variant(
        change=change,
        slug="-".join(part for part in slug.split("-") if part),
        modes=tuple(mode for mode in modes if mode in touched),
        sections={name: {**table, **changed.get(name, {})} for name, table in sections.items()},
    )
