"""Units of conductances and times, from headers and options: everything becomes µS and s."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import final

from ..units import MicroSiemens, Mixed, Volts
from .traces import Values

_PREFIXES: Final = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_TIMES: Final = {
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hours": 3600.0, "d": 86400.0, "days": 86400.0,
}  # fmt: skip
_UNIT: Final = re.compile(
    r"(?P<prefix>[fpnumkMG]?)(?P<base>S|A|Ohm|ohm|OHM|V)(?:@(?P<voltage>[0-9.,]+(?:e-?\d+)?)(?P<milli>m?)V)?"
)
_IN_HEADER: Final = re.compile(r"^(?P<name>.*?)[\s_]*[\[(/]\s*(?P<unit>[^\])/]+?)\s*[\])]?\s*$")
_AFTER_NAME: Final = re.compile(r"^(?P<name>.+?)(?:[\s_]+(?:in[\s_]+)?)(?P<unit>[A-Za-z]{1,5})$")
_LOWEST, _HIGHEST = (
    1e-4,
    1e5,
)  # µS: a memory cell's median conductance lies far inside, 0.1 nS to 0.1 S; assumed
_USUAL: Final = (1e-2, 1e3)  # µS, of the cells that are published; assumed

UNIT_RULE: Final = (
    "nS, uS, mS, S, ohm, kohm, Mohm, or a current at its read voltage, such as A@0.1V or nA@0.2V"
)


@final
@dataclass(frozen=True)
class Unit:
    """The unit of a conductance, or of what it is computed from.

    Attributes:
        base: "S", "A" or "Ohm".
        factor: Of the prefix.
        voltage: At which a current was read; None if it is not stated.
        text: As it was written.
    """

    base: str
    factor: Mixed
    voltage: Volts | None
    text: str

    @property
    def is_whole(self) -> bool:
        """Whether a conductance follows."""
        return self.base != "A" or self.voltage is not None

    def to_micro_siemens(self, values: Values) -> Values:
        """Convert what was measured; a resistance of 0 has no conductance and becomes infinite."""
        if self.base == "S":
            return values * (self.factor * 1e6)
        if self.base == "A":
            assert self.voltage is not None
            return values * (self.factor * 1e6) / self.voltage
        with np.errstate(divide="ignore"):
            return np.asarray(1e6 / (values * self.factor))


def unit_of(text: str) -> Unit | None:
    """Read a unit; None if it is none of a conductance, a resistance or a current."""
    plain = text.strip().replace("\N{GREEK SMALL LETTER MU}", "u").replace("\N{MICRO SIGN}", "u")
    plain = (
        plain.replace("\N{GREEK CAPITAL LETTER OMEGA}", "Ohm").replace("\N{OHM SIGN}", "Ohm").replace(" ", "")
    )
    found = _UNIT.fullmatch(plain)
    if found is None or found["base"] == "V" or (found["voltage"] and found["base"] != "A"):
        return None
    voltage = None
    if found["voltage"]:
        voltage = float(found["voltage"].replace(",", ".")) * (1e-3 if found["milli"] else 1.0)
        if not 0 < voltage < math.inf:
            return None
    base = "Ohm" if found["base"].lower() == "ohm" else found["base"]
    return Unit(base, _PREFIXES[found["prefix"]], voltage, text.strip())


def asked_unit(text: str | None) -> Unit | None:
    """Read the unit that a user states.

    Raises:
        ValueError: If it is none, or a current without the voltage.
    """
    if text is None:
        return None
    unit = unit_of(text)
    if unit is None or not unit.is_whole:
        raise ValueError(f"`unit` must be {UNIT_RULE}, but is {text!r}. Correct it.")
    return unit


def split_header(header: str) -> tuple[str, str]:
    """Split a header such as "G [nS]", "G/nS", "g_nS" or "G nS" into name and unit, which may be empty."""
    found = _IN_HEADER.match(header) or None
    if found is not None and found["name"]:
        return found["name"].strip(), found["unit"]
    found = _AFTER_NAME.match(header)
    if found is not None and (
        unit_of(found["unit"]) or found["unit"] in _TIMES or found["unit"] in ("V", "mV")
    ):
        return found["name"].strip(), found["unit"]
    return header.strip(), ""


def seconds_of(unit: str) -> Mixed | None:
    """Return how many seconds a unit of time has; None if it is none. No unit means seconds."""
    unit = unit.strip().replace("\N{GREEK SMALL LETTER MU}", "u").replace("\N{MICRO SIGN}", "u")
    return 1.0 if not unit else _TIMES.get(unit, _TIMES.get(unit.lower()))


def doubt_of(conductance: Values, unit: Unit | None, is_stated: bool) -> str | None:
    """Say why conductances cannot be those of a memory cell; None if they can.

    Args:
        conductance: In µS.
        unit: From which they were computed; None for none.
        is_stated: Whether a user or a header states the unit.
    """
    median = float(np.median(np.abs(conductance))) if len(conductance) else 0.0
    if _LOWEST <= median <= _HIGHEST or (not is_stated and conductance.min() < -0.05 * np.ptp(conductance)):
        return None  # the second: arbitrary units, which have no range
    told = "µS, as no unit is stated" if unit is None else unit.text
    likely = (
        []
        if is_stated
        else [
            name
            for name, factor in (("nS", 1e-3), ("mS", 1e3), ("S", 1e6))
            if _USUAL[0] <= median * factor <= _USUAL[1]
        ]
    )
    advice = (
        f"Is it {' or '.join(likely)}? Then give --unit {likely[-1]}"
        if likely
        else "Check the unit, and state it by --unit"
    )
    return f"its median is {_short(median)} µS (taken as {told}). {advice}."


def _short(value: MicroSiemens) -> str:
    return f"{value:.3g}"


def is_time(units: Sequence[str]) -> bool:
    """Say whether all of some texts are units of time."""
    return all(seconds_of(unit) is not None for unit in units)
