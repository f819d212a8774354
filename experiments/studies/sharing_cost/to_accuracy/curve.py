"""A priced curve: validation accuracy against energy, time and wear, while devices learn; and where it reaches what.

An accuracy is reached at the first measurement that is not below it; nothing is interpolated, so what it cost is
known to the distance of two measurements. The best accuracy is found by patience: the curve is followed until
`PATIENCE` measurements in a row have not raised the highest so far by more than `LEAST_GAIN`, and the best is the
highest by then. A curve that ends before may still have risen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from crossbar import EventLedger
from crossbar.cost.bill import Bill
from devices.units import Dimensionless, MicroJoules, Seconds

from ....runs.watching.curve import Measurement

TARGETS: Final = (90.0, 95.0, 97.0)
"""Accuracies in per cent."""
PATIENCE: Final = 20  # of some 40: at a falling rate an accuracy may rest for long and rise in the end
LEAST_GAIN: Final = 0.001


@final
@dataclass(frozen=True, kw_only=True)
class PricedCurve:
    """Validation accuracy while devices learn, and what it took until then; of each measurement one value.

    Attributes:
        steps: Training steps.
        accuracy: Fraction of the validation images; of another metric its value.
        energy_uJ: µJ, of all steps so far; the passes over the validation images take none.
        seconds: s, one layer after another.
        wear: Share of the pulses that a device survives which the most stressed one has received; empty if nothing is
            known of that.
    """

    steps: list[int]
    accuracy: list[Dimensionless]
    energy_uJ: list[MicroJoules]
    seconds: list[Seconds]
    wear: list[Dimensionless]

    def __post_init__(self) -> None:
        numbers = {len(values) for values in (self.steps, self.accuracy, self.energy_uJ, self.seconds)}
        if len(numbers) > 1 or len(self.wear) not in (0, *numbers) or any(a > 1 for a in self.accuracy):
            raise ValueError("a curve must have a value of each kind for every measurement, but has not")


@final
@dataclass(frozen=True, kw_only=True)
class Reached:
    """Where a curve reaches an accuracy.

    Attributes:
        accuracy: That of the measurement.
        steps: Training steps until then.
        energy_uJ: µJ.
        seconds: s.
        wear: Share of a device's life; None if nothing is known of that.
        is_end: Whether the curve ended before patience did: it may still have risen.
    """

    accuracy: Dimensionless
    steps: int
    energy_uJ: MicroJoules
    seconds: Seconds
    wear: Dimensionless | None
    is_end: bool = False


def priced_curve(
    measurements: Sequence[Measurement], bill_of: Callable[[EventLedger], Bill]
) -> PricedCurve | None:
    """Price the events of every measurement.

    Args:
        measurements: Those of a training.
        bill_of: Prices a ledger.

    Returns:
        The curve; None of a training in software, during which nothing happened on a chip.
    """
    ledgers = [one.ledger for one in measurements]
    if not measurements or None in ledgers:
        return None
    bills = [bill_of(ledger) for ledger in ledgers if ledger is not None]
    lives = [bill.steps_to_end_of_life for bill in bills]
    wear = [bill.steps / life for bill, life in zip(bills, lives, strict=True) if life is not None]
    return PricedCurve(
        steps=[one.step for one in measurements],
        accuracy=[one.accuracy for one in measurements],
        energy_uJ=[bill.with_digital for bill in bills],
        seconds=[bill.sequential for bill in bills],
        wear=wear if len(wear) == len(bills) else [],
    )


def until(curve: PricedCurve, accuracy: Dimensionless) -> Reached | None:
    """Return where a curve first reaches an accuracy; None if it does not.

    Example:
        >>> curve = PricedCurve(
        ...     steps=[1, 2, 3], accuracy=[0.5, 0.9, 0.8], energy_uJ=[1.0, 2.0, 3.0], seconds=[1.0] * 3, wear=[]
        ... )
        >>> until(curve, 0.8).energy_uJ, until(curve, 0.95)
        (2.0, None)
    """
    place = next((i for i, value in enumerate(curve.accuracy) if value >= accuracy), None)
    return None if place is None else _at(curve, place)


def until_best(curve: PricedCurve) -> Reached:
    """Return where a curve is at its best, by patience.

    Example:
        >>> curve = PricedCurve(
        ...     steps=[1, 2, 3], accuracy=[0.5, 0.9, 0.8], energy_uJ=[1.0, 2.0, 3.0], seconds=[1.0] * 3, wear=[]
        ... )
        >>> best = until_best(curve)
        >>> best.steps, best.is_end
        (2, True)
    """
    best = counted = 0  # the highest, and the last that was a gain
    for place, value in enumerate(curve.accuracy):
        if value > curve.accuracy[counted] + LEAST_GAIN:
            counted = place
        if value > curve.accuracy[best]:
            best = place
        if place - counted >= PATIENCE:
            return _at(curve, best)
    return _at(curve, best, is_end=True)


def front(
    curves: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> list[tuple[float, float, int]]:
    """Return the Pareto front of several curves: the points for which nothing cheaper is as accurate.

    Args:
        curves: Of each the costs and the accuracies.

    Returns:
        (cost, accuracy, number of the curve), from the cheapest to the most accurate.

    Example:
        >>> front([([1, 3], [0.5, 0.9]), ([2, 4], [0.4, 0.95])])
        [(1, 0.5, 0), (3, 0.9, 0), (4, 0.95, 1)]
    """
    points = [
        (cost, accuracy, number)
        for number, (costs, accuracies) in enumerate(curves)
        for cost, accuracy in zip(costs, accuracies, strict=True)
    ]
    found: list[tuple[float, float, int]] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or point[1] > found[-1][1]:
            found.append(point)
    return found


def _at(curve: PricedCurve, place: int, *, is_end: bool = False) -> Reached:
    return Reached(
        accuracy=curve.accuracy[place],
        steps=curve.steps[place],
        energy_uJ=curve.energy_uJ[place],
        seconds=curve.seconds[place],
        wear=curve.wear[place] if curve.wear else None,
        is_end=is_end,
    )
