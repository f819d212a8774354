"""What `xbar wires` measures: a layout of a network over arrays, with wires of a resistance."""

from dataclasses import dataclass
from typing import Any, final

from devices.units import Dimensionless, Ohm

from ...support.typed_values import typed


@final
@dataclass(frozen=True)
class LayerError:
    """How far wires move the outputs of a layer, without noise: root mean squares over tiles, images and outputs.

    Attributes:
        exact: Of the change by the wires, relative to the outputs with ideal wires.
        aihwkit: Of the change by aihwkit's `ir_drop`, likewise.
        missed: Of the difference between both changes, relative to the exact one: 0 for a perfect approximation,
            1 for one as bad as none.
    """

    exact: Dimensionless
    aihwkit: Dimensionless
    missed: Dimensionless


@final
@dataclass(frozen=True)
class Point:
    """One layout of a network over arrays, and one resistance of their wires.

    Attributes:
        layout: How the network lies in arrays.
        tile_size: Word lines and bit lines of the largest array; 0 for no limit.
        ohm: Of a segment of every line.
        exact: Accuracy of each chip, computed exactly.
        aihwkit: Accuracy of each chip with aihwkit's `ir_drop`.
        errors: For each layer.
    """

    layout: str
    tile_size: int
    ohm: Ohm
    exact: list[Dimensionless]
    aihwkit: list[Dimensionless]
    errors: dict[str, LayerError]

    @classmethod
    def from_json(cls, values: Any) -> "Point":
        """Make a point from its dictionary."""
        return typed(cls, values, "a point")
