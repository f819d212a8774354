"""For which constants of a hardware profile the ranking of the sharing schemes flips.

Energy is linear in each constant c of a profile, all others held: E(f) = a + b f, where f is the factor on c. So two
prices, at f = 1 and f = 2, give the line of a scheme exactly, and the lines of two schemes cross at one factor.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, final

from devices.units import Dimensionless

# Two schemes closer than that are not ranked: seeds alone move their energies by about as much.
TIE: Final[Dimensionless] = 0.02


@final
@dataclass(frozen=True)
class Line:
    """Energy against the factor on one constant: `fixed` + `scaled` x factor, µJ."""

    fixed: float
    scaled: float

    @classmethod
    def through(cls, at_one: float, at_two: float) -> "Line":
        """Return the line through the energies at factor 1 and factor 2."""
        return cls(2 * at_one - at_two, at_two - at_one)

    def at(self, factor: Dimensionless) -> float:
        """Return the energy at a factor."""
        return self.fixed + self.scaled * factor


@final
@dataclass(frozen=True)
class Flip:
    """Two schemes of which another one is cheaper beyond a factor.

    Attributes:
        device: Name of the memory cell.
        mechanism: How the devices got their weights.
        work: "training step" or "inference".
        constant: What is scaled.
        factor: Where the two cost the same.
        cheaper_below: The scheme that costs less below that factor.
        cheaper_above: The one that costs less above it.
        is_clear: Whether the two differ by more than `TIE` at both ends of the range.
    """

    device: str
    mechanism: str
    work: str
    constant: str
    factor: Dimensionless
    cheaper_below: str
    cheaper_above: str
    is_clear: bool


def crossing(first: Line, second: Line, low: Dimensionless, high: Dimensionless) -> Dimensionless | None:
    """Return the factor in [low, high] at which two lines cross; None if they do not, or run together."""
    slope = first.scaled - second.scaled
    # Lines that differ by rounding alone have no crossing worth a name.
    size = max(abs(line.at(high)) for line in (first, second))
    if abs(slope) * high <= 1e-9 * size:
        return None
    factor = (second.fixed - first.fixed) / slope
    return factor if low <= factor <= high else None


def flips(
    lines: Mapping[str, Line],
    *,
    device: str,
    mechanism: str,
    work: str,
    constant: str,
    low: Dimensionless,
    high: Dimensionless,
) -> list[Flip]:
    """Find all pairs of schemes whose order changes while one constant is scaled from low to high.

    Args:
        lines: The line of each scheme.
        device: For the entries.
        mechanism: For the entries.
        work: For the entries.
        constant: For the entries.
        low: Smallest factor.
        high: Largest factor.
    """
    found = []
    for (name, line), (other_name, other) in combinations(lines.items(), 2):
        factor = crossing(line, other, low, high)
        if factor is None:
            continue
        is_first_below = line.scaled > other.scaled  # the steeper one loses above
        below, above = (name, other_name) if is_first_below else (other_name, name)
        is_clear = all(_differ(line.at(end), other.at(end)) for end in (low, high))
        found.append(Flip(device, mechanism, work, constant, factor, below, above, is_clear))
    return found


def _differ(first: float, second: float) -> bool:
    return abs(first - second) > TIE * max(abs(first), abs(second))


def ranking(lines: Mapping[str, Line], factor: Dimensionless) -> list[str]:
    """Return the schemes from the cheapest to the dearest at a factor."""
    return sorted(lines, key=lambda name: lines[name].at(factor))


def mean_line(energies: Sequence[tuple[float, float]]) -> Line:
    """Return the mean line of several seeds, each given by its energies at factors 1 and 2."""
    count = len(energies)
    return Line.through(sum(one for one, _ in energies) / count, sum(two for _, two in energies) / count)


def lines_of(groups: Mapping[str, Iterable[Callable[[Dimensionless], float]]]) -> dict[str, Line]:
    """Price each run of each scheme at factors 1 and 2.

    Args:
        groups: For each scheme, a function from factor to energy for each of its runs.
    """
    return {
        scheme: mean_line([(price(1.0), price(2.0)) for price in prices]) for scheme, prices in groups.items()
    }
