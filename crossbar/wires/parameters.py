"""The wires of a physical array."""

import math
from dataclasses import dataclass, fields

from typing_extensions import final

from devices.units import Ohm

from .lines import Conductance, Drivers, Sense, check_ends
from .solver import effective_conductance


@final
@dataclass(frozen=True, kw_only=True)
class WireParameters:
    """The wires of a physical array.

    Attributes:
        word_line: Resistance of a word line between neighbouring devices, and from the driver to the first.
        bit_line: Resistance of a bit line between neighbouring devices, and from the last to the sense node.
        source: Output resistance of a driver.
        sense: Input resistance of a sense amplifier.
        drivers: Word lines are driven at their left end, or at both ends.
        sensed: Bit lines are sensed at the bottom, or at both ends, whose currents are added.
    """

    word_line: Ohm = 1.0
    bit_line: Ohm = 1.0
    source: Ohm = 0.0
    sense: Ohm = 0.0
    drivers: Drivers = "left"
    sensed: Sense = "bottom"

    def __post_init__(self) -> None:
        """Refuse resistances that no wire has.

        Raises:
            ValueError: If a resistance is negative or not finite, or an end has another name.
        """
        for name in ("word_line", "bit_line", "source", "sense"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be 0 ohm or more and finite, but is {value}. Try 1 ohm.")
        check_ends(self.drivers, self.sensed)

    @classmethod
    def parse(cls, text: str) -> "WireParameters":
        """Read wires from one line of text; what is not named is as by default.

        Args:
            text: For example "word_line=1,bit_line=2.5,drivers=both".

        Raises:
            ValueError: If a name or a value is wrong.

        Example:
            >>> str(WireParameters.parse("bit_line=2.5"))
            'word_line=1,bit_line=2.5'
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, Ohm | str] = {}
        for word in text.split(","):
            name, _, value = (piece.strip() for piece in word.partition("="))
            if name not in names or name in values:
                raise ValueError(
                    f"`wires` must name each of {', '.join(names)} once at most, but has {word.strip()!r} in "
                    f"{text!r}. Write 'word_line=1,bit_line=1', in ohm."
                )
            try:
                values[name] = value if name in ("drivers", "sensed") else float(value)
            except ValueError:
                raise ValueError(
                    f"`wires` must give a number for {name}, but has {value!r}. Write '{name}=1', in ohm."
                ) from None
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Write the wires as `parse` reads them; ends as by default are left out."""
        ends = {"source": 0.0, "sense": 0.0, "drivers": "left", "sensed": "bottom"}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ",".join(
            f"{name}={value}" if isinstance(value, str) else f"{name}={value:.12g}"
            for name, value in values.items()
            if name not in ends or value != ends[name]
        )

    def effective_conductance(self, conductance: Conductance) -> Conductance:
        """Return the matrix that these wires turn an array into; see `effective_conductance`."""
        return effective_conductance(
            conductance,
            self.word_line,
            self.bit_line,
            source_resistance=self.source,
            sense_resistance=self.sense,
            drivers=self.drivers,
            sensed=self.sensed,
        )
