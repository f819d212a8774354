"""What events cost on a piece of hardware: a table of constants, each with its unit and its source.

A profile is a TOML file that an engineer can check line by line; those in `crossbar/cost/profiles` are loaded by
name, one's own by its path. Energies and times stand there in whatever unit is usual; here they are in µJ, s, µm²,
µW.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

from devices.files import check_name, parse_toml, read_regular, text_of
from devices.units import Dimensionless

Quantity = Literal["energy", "time", "area", "power", "number", "count"]
AsWritten = Annotated[float, "the constant's own unit"]
InHouseUnits = Annotated[float, "µJ, s, µm², µW or 1"]

_LARGEST: Final = 2**20  # bytes
_FOLDER: Final = Path(__file__).parent / "profiles"

UNITS: Final[Mapping[Quantity, Mapping[str, float]]] = {
    "energy": {"fJ": 1e-9, "pJ": 1e-6, "nJ": 1e-3, "uJ": 1.0},
    "time": {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    "area": {"um2": 1.0, "mm2": 1e6},
    "power": {"nW": 1e-3, "uW": 1.0, "mW": 1e3, "W": 1e6},
    "number": {"1": 1.0},
    "count": {"1": 1.0},
}
"""Units that a constant may be written in, and how many house units each is. Counts are whole, from 1 on."""

CONSTANTS: Final[Mapping[str, Mapping[str, Quantity]]] = {
    "array": {
        "word_lines": "count",  # of a physical array: its inputs
        "bit_lines": "count",  # its outputs
        "devices_per_weight": "count",  # that all have to be programmed
        "area": "area",  # with its converters and drivers
        "static_power": "power",  # that it draws whether it works or not
    },
    "product": {
        "dac_energy": "energy",  # one input, one cycle
        "adc_energy": "energy",  # one output, one cycle
        "cell_energy": "energy",  # one weight cell, all its devices, one cycle
        "input_cycles": "count",  # that an input takes: 1, or its bits where the DAC has one bit
        "cycle_time": "time",  # integration in the array, with input pulses and output conversion where they overlap
        "bit_lines_per_adc": "count",  # that share a converter, and wait for it
        "conversion_time": "time",  # one output of a shared converter
    },
    "update": {
        "update_pulse_energy": "energy",  # one device, one coincidence of word and bit line
        "line_pulse_energy": "energy",  # one pulse on one line
        "devices_per_pulse": "number",  # physical devices that a pulse of an emulated device stands for
        "slot_time": "time",  # one slot of a pulse train
        "endurance": "number",  # pulses that a device survives
    },
    "writing": {
        "programming_energy": "energy",  # one device, one programming pulse
        "programming_time": "time",  # one word line, all its devices in parallel, with settling
        "iterations": "number",  # of write-verify loops, mean; where the emulator does not run the loop itself
    },
    "movement": {
        "buffer_energy": "energy",  # one byte
        "network_energy": "energy",  # one byte, one hop
        "hops": "number",  # mean
    },
    "digital": {
        "mac_energy": "energy",  # one multiplication and addition
        "add_energy": "energy",  # one addition
    },
    "interconnect": {},  # between machines that share a training: all of it may be left out
}
"""The tables of a profile, and in each the constants and what kind of quantity they are."""


@final
@dataclass(frozen=True)
class OptionalConstant:
    """A constant that a profile may leave out.

    Attributes:
        quantity: What kind of quantity it is.
        value: What it is where it is left out, in house units.
        meaning: What that value says.
    """

    quantity: Quantity
    value: InHouseUnits
    meaning: str


OPTIONAL: Final[Mapping[str, Mapping[str, OptionalConstant]]] = {
    "array": {
        # Bit lines that hold one weight: differential columns, times the slices that its bits are spread over.
        "columns_per_weight": OptionalConstant(
            "count", 1, "one bit line holds a weight, with all its devices"
        ),
        # Converters that a transposed read, with inputs on the bit lines, takes beside the others.
        "transposed_area": OptionalConstant("area", 0, "no converters of their own for transposed reads"),
        # Where a network takes more arrays than a chip has, part of what arrays exchange leaves the chip.
        "arrays_per_chip": OptionalConstant("count", 1_000_000, "one chip holds the whole network"),
        "wake_energy": OptionalConstant("energy", 0, "not published: to wake an array costs nothing here"),
        "wake_time": OptionalConstant("time", 0, "not published: an array wakes at once here"),
    },
    "product": {
        # One product of one array, all of it, where a source does not say what lines and cells take of it. Kernels
        # that share an array and work at once pay it each.
        "operation_energy": OptionalConstant("energy", 0, "all energy is in converters and cells"),
        # Of its columns: 1 if they are subtracted or added before the converter, else as many as there are columns.
        "conversions_per_output": OptionalConstant(
            "count", 1, "the columns of a weight share one conversion"
        ),
        # Groups of bit lines that integrate one after the other, each for all cycles.
        "column_groups": OptionalConstant("count", 1, "all bit lines integrate at once"),
        # Driven lines that may carry current together; a product with more takes several passes.
        "active_lines": OptionalConstant("count", 1_000_000, "no limit on lines that are driven at once"),
    },
    "movement": {
        "link_energy": OptionalConstant("energy", 0, "what leaves a chip costs nothing more"),  # one byte
    },
    "interconnect": {
        "bit_energy": OptionalConstant("energy", 0, "what machines send each other costs no energy"),
        # Into one machine: the inverse of the bandwidth.
        "byte_time": OptionalConstant("time", 0, "machines receive at once whatever is sent"),
        "latency": OptionalConstant("time", 0, "machines do not wait for each other"),  # of one exchange
    },
}
"""Constants that a profile may leave out, and what holds then."""

_QUANTITIES: Final = {name: kind for table in CONSTANTS.values() for name, kind in table.items()} | {
    name: one.quantity for table in OPTIONAL.values() for name, one in table.items()
}
_TEXTS: Final = ("name", "description", "evidence")
_FLAG: Final = "gated_periphery"
_EVERY_CYCLE: Final = "converts_every_cycle"


@final
@dataclass(frozen=True, kw_only=True)
class Constant:
    """A number with its unit and where it comes from.

    Attributes:
        value: The number, in `unit`.
        unit: See `UNITS`.
        source: Publication and place, or "assumed: ..." and why.
        range: Smallest and largest value that can be defended, in `unit`; None where the notes state none.
    """

    value: AsWritten
    unit: str
    source: str
    range: tuple[AsWritten, AsWritten] | None = None

    @property
    def factors(self) -> tuple[Dimensionless, Dimensionless] | None:
        """The ends of the range relative to the value, or None without a range or with a value of 0."""
        if self.range is None or self.value == 0:
            return None
        return self.range[0] / self.value, self.range[1] / self.value


@final
@dataclass(frozen=True, kw_only=True)
class HardwareProfile:
    """Energies, times, areas and sizes of a piece of hardware. `profile["adc_energy"]` is in house units: µJ.

    Attributes:
        name: A short name.
        description: What the hardware is.
        evidence: How far its numbers can be trusted: measured, simulated, projected.
        gated_periphery: Whether converters of lines that hold no weight stay off. Else every product costs as
            much as one of the whole array, and idle arrays draw the power of all their lines.
        converts_every_cycle: Whether outputs are converted in every cycle of an input, and added digitally; else
            once for each input, after the last cycle.
        constants: By name; see `CONSTANTS` and `OPTIONAL`.
    """

    name: str
    description: str
    evidence: str
    gated_periphery: bool
    converts_every_cycle: bool = True
    constants: Mapping[str, Constant]

    def __getitem__(self, name: str) -> InHouseUnits:
        constant = self.constants[name]
        return constant.value * UNITS[_QUANTITIES[name]][constant.unit]

    def count(self, name: str) -> int:
        """Return a constant that is a whole number."""
        return round(self.constants[name].value)

    def uncertain(self) -> dict[str, tuple[Dimensionless, Dimensionless]]:
        """Return the constants that have a range: its ends, relative to the value."""
        factors = {name: constant.factors for name, constant in self.constants.items()}
        return {name: ends for name, ends in factors.items() if ends is not None}

    def scaled(self, constant: str, factor: Dimensionless) -> "HardwareProfile":
        """Return the profile with one constant multiplied.

        Raises:
            ValueError: If there is no such constant, or it cannot be multiplied by that.
        """
        if constant not in self.constants:
            raise ValueError(
                f"`constant` must be one of {', '.join(self.constants)}, but is {constant!r}. Choose one of those."
            )
        before = self.constants[constant]
        value = before.value * factor
        problem = _problem(value, _QUANTITIES[constant])
        if problem is not None:
            raise ValueError(
                f"`factor` must leave {constant} {problem}, but makes it {value:g}. Choose another one."
            )
        source = f"{factor:g} times {before.value:g} {before.unit}: {before.source}"
        changed = Constant(value=value, unit=before.unit, source=source)
        return replace(self, constants={**self.constants, constant: changed})

    def to_toml(self) -> str:
        """Return the text of a file that `load_profile` reads."""
        lines = [f"{key} = {_quoted(getattr(self, key))}" for key in _TEXTS]
        lines.append(f"{_FLAG} = {str(self.gated_periphery).lower()}")
        lines.append(f"{_EVERY_CYCLE} = {str(self.converts_every_cycle).lower()}")
        for table, names in CONSTANTS.items():
            lines += ["", f"[{table}]"]
            for name in (*names, *OPTIONAL.get(table, ())):
                one = self.constants[name]
                ends = "" if one.range is None else f"range = [{one.range[0]!r}, {one.range[1]!r}], "
                entry = (
                    f"value = {one.value!r}, unit = {_quoted(one.unit)}, {ends}source = {_quoted(one.source)}"
                )
                lines.append(f"{name} = {{ {entry} }}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, file: str = "the profile") -> "HardwareProfile":
        """Read a profile.

        Args:
            text: In TOML.
            file: What errors call it.

        Raises:
            ValueError: If it is no TOML, or a key is missing, unknown, or holds what it may not; says which.
        """
        try:
            content = parse_toml(text.encode())
        except ValueError as problem:
            raise ValueError(f"{file}: it must be TOML, but is not: {problem}. Correct that line.") from None
        may_lack = frozenset({_EVERY_CYCLE, *(table for table, names in CONSTANTS.items() if not names)})
        _check_keys(content, {*_TEXTS, _FLAG, *CONSTANTS} - may_lack, file, "", optional=may_lack)
        texts: dict[str, str] = {}
        for key in _TEXTS:
            texts[key] = _text(content[key], file, key)
        rule = check_name(texts["name"])
        if rule is not None:
            raise _wrong(file, "name", rule, texts["name"], "It becomes part of the names of files.")
        content.setdefault(_EVERY_CYCLE, True)
        for flag in (_FLAG, _EVERY_CYCLE):
            if not isinstance(content[flag], bool):
                raise _wrong(file, flag, "true or false", content[flag], "Write one of the two.")
        constants = {}
        for table, names in CONSTANTS.items():
            content.setdefault(table, {})
            if not isinstance(content[table], dict):
                raise _wrong(file, table, "a table", content[table], f"Begin it with [{table}].")
            optional = OPTIONAL.get(table, {})
            _check_keys(content[table], set(names), file, f"{table}.", optional=frozenset(optional))
            for name, quantity in {**names, **{name: one.quantity for name, one in optional.items()}}.items():
                entry = content[table].get(name)
                constants[name] = (
                    _left_out(optional[name])
                    if entry is None
                    else _read_constant(entry, quantity, file, f"{table}.{name}")
                )
        return cls(
            gated_periphery=content[_FLAG],
            converts_every_cycle=content[_EVERY_CYCLE],
            constants=constants,
            **texts,
        )


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the package."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """Load a profile that comes with the package, or one's own.

    Args:
        name_or_path: A name (see `profile_names`), or the path of a TOML file.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file holds what it may not; says which key, and what it must be.

    Example:
        >>> from crossbar import load_profile
        >>> profile = load_profile("hermes-pcm")
        >>> profile.constants["adc_energy"].unit, profile.count("word_lines")
        ('pJ', 256)
    """
    file = _FOLDER / f"{name_or_path}.toml" if str(name_or_path) in profile_names() else Path(name_or_path)
    try:
        if file.is_dir():
            raise FileNotFoundError
        content = read_regular(file, "profile", largest=_LARGEST)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`profile` must be one of {', '.join(profile_names())}, or a TOML file, but there is no {name_or_path}. "
            "Correct the name or the path."
        ) from None
    try:
        text = text_of(content)
    except ValueError as error:
        raise ValueError(f"{file}: it must be text in UTF-8, but {error}. Is it a TOML file?") from None
    return HardwareProfile.from_toml(text, str(file))


def _left_out(one: OptionalConstant) -> Constant:
    unit = next(unit for unit, house in UNITS[one.quantity].items() if house == 1)
    return Constant(value=one.value, unit=unit, source=f"left out: {one.meaning}")


def _read_constant(entry: Any, quantity: Quantity, file: str, key: str) -> Constant:
    if not isinstance(entry, dict):
        raise _wrong(file, key, "a constant", entry, 'Write { value = ..., unit = "...", source = "..." }.')
    _check_keys(entry, {"value", "unit", "source"}, file, f"{key}.", optional=frozenset({"range"}))
    value = _number(entry["value"], quantity, file, f"{key}.value")
    unit = entry["unit"]
    if not isinstance(unit, str) or unit not in UNITS[quantity]:
        names = ", ".join(UNITS[quantity])
        raise _wrong(
            file, f"{key}.unit", f"a unit of {quantity} ({names})", unit, "Convert the value to one of them."
        )
    source = _text(entry["source"], file, f"{key}.source")
    if "range" not in entry:
        return Constant(value=value, unit=unit, source=source)
    ends = entry["range"]
    if not isinstance(ends, list) or len(ends) != 2:
        raise _wrong(file, f"{key}.range", "[smallest, largest]", ends, "Write two numbers.")
    low, high = (_number(end, quantity, file, f"{key}.range") for end in ends)
    if not low <= value <= high:
        raise _wrong(file, f"{key}.range", f"around the value, {value:g}", ends, "Widen it.")
    return Constant(value=value, unit=unit, source=source, range=(low, high))


def _number(value: Any, quantity: Quantity, file: str, key: str) -> AsWritten:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(file, key, "a number", value, "Write it without quotes.")
    problem = _problem(value, quantity)
    if problem is not None:
        raise _wrong(file, key, problem, value, "Correct it.")
    return value


def _problem(value: AsWritten, quantity: Quantity) -> str | None:
    """Return what a number of that kind must be, if it is not."""
    if quantity == "count" and not (math.isfinite(value) and value >= 1 and value == round(value)):
        return "a whole number from 1 on"
    return None if math.isfinite(value) and value >= 0 else "0 or more, and finite"


def _text(value: Any, file: str, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(
            file, key, "text, and not empty", value, 'Say it in words, or write "assumed: " and why.'
        )
    return value


def _check_keys(
    table: Mapping[str, Any],
    expected: set[str],
    file: str,
    prefix: str,
    optional: frozenset[str] = frozenset(),
) -> None:
    for key in sorted(table.keys() - expected - optional):
        known = ", ".join(sorted(expected | optional))
        raise ValueError(
            f"{file}: `{prefix}{key}` must be one of {known}, but is unknown. Correct or remove it."
        )
    for key in sorted(expected - table.keys()):
        raise ValueError(f"{file}: `{prefix}{key}` must be given, but is missing. Add it.")


def _wrong(file: str, key: str, rule: str, value: Any, advice: str) -> ValueError:
    return ValueError(f"{file}: `{key}` must be {rule}, but is {value!r}. {advice}")


def _quoted(text: str) -> str:
    """Write a TOML string; JSON's escapes are TOML's, but for one character that JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
