"""How far write-verify misses its targets, as a device file states it.

    sigma(g) = c_0 + c_1 x + c_2 x ** 2,     x = g / g_max, in µS

Root mean square about the target, a mean miss included: aihwkit's noise models have spreads only. The number of
coefficients is that of the lowest AICc, of the maxima of a normal likelihood.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from typing_extensions import final

from ..measurements import Layout, Writes, read_writes
from ..units import Dimensionless, MicroSiemens
from .step_law import Values

_FEWEST: Final = 10  # writes
_BINS: Final = 8
_LEAST: Final = 1e-6  # of g_max: no spread is 0 or less


@final
@dataclass(frozen=True, kw_only=True)
class WriteFit:
    """The programming error.

    Attributes:
        writes: What was measured.
        g_max: The conductance of x = 1, in µS.
        coefficients: c_0 and, where they help, c_1 and c_2; in µS.
        error: Root mean square error of all writes, in µS.
        miss: Mean of (reached - target), in µS.
        miss_error: Its standard error.
    """

    writes: Writes
    g_max: MicroSiemens
    coefficients: tuple[MicroSiemens, ...]
    error: MicroSiemens
    miss: MicroSiemens
    miss_error: MicroSiemens

    def spread(self, target: Values) -> Values:
        """Return sigma at targets in µS."""
        return _sigma(np.array(self.coefficients), target / self.g_max)

    def by_target(self) -> list[tuple[MicroSiemens, MicroSiemens, MicroSiemens, int]]:
        """Return target, mean miss, root mean square error (all in µS) and number of writes, in up to 8 bins."""
        targets, error = self.writes.targets, self.writes.reached - self.writes.targets
        levels = np.unique(targets)
        groups = [targets == level for level in levels]
        if len(levels) > _BINS:
            edges = np.quantile(targets, np.linspace(0, 1, _BINS + 1))
            place = np.clip(np.searchsorted(edges, targets, side="right") - 1, 0, _BINS - 1)
            groups = [place == number for number in range(_BINS)]
        return [
            (
                float(targets[own].mean()),
                float(error[own].mean()),
                float(np.sqrt(np.mean(error[own] ** 2))),
                int(own.sum()),
            )
            for own in groups
            if own.any()
        ]


def fit_writes(
    measured: Path | str,
    *,
    g_max: MicroSiemens | None = None,
    layout: Layout | None = None,
    notes: list[str] | None = None,
) -> WriteFit:
    """Fit the programming error by target.

    Args:
        measured: The CSV file; see `devices.measurements`.
        g_max: The largest conductance of the device, in µS; the largest target if None.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or holds too few writes, or all are exact.
    """
    # Here: it takes half a second, which `import crossbar` need not.
    from scipy.optimize import minimize

    writes = read_writes(measured, layout, notes)
    if len(writes.targets) < _FEWEST or not writes.targets.max() > 0:
        raise ValueError(
            f"`writes` must hold at least {_FEWEST} writes of targets above 0 µS, but {measured} holds "
            f"{len(writes.targets)}. Add some."
        )
    error = writes.reached - writes.targets
    overall = float(np.sqrt(np.mean(error**2)))
    if not overall > 0:
        raise ValueError(f"`writes` must miss their targets, but in {measured} none does. Check the columns.")
    top = float(writes.targets.max()) if g_max is None else g_max
    x = writes.targets / top
    known = 1.0 / overall  # of order one, for the search

    def unlikelihood(c: Values) -> Dimensionless:
        sigma = _sigma(c, x)
        # A spread that vanishes or turns negative between the targets is no spread.
        low = float(np.min(c[0] + sum(c[k] * np.linspace(0, 1, 21) ** k for k in range(1, len(c)))))
        if low <= _LEAST:
            return 1e12 * (1 + _LEAST - low)
        return float(np.sum((error * known / sigma) ** 2 + 2 * np.log(sigma)))

    best, lowest = np.array([1.0]), math.inf
    for number in range(1, min(3, len(np.unique(writes.targets))) + 1):
        start = np.concatenate([best, np.full(max(0, number - len(best)), 0.05)])[:number]
        found = minimize(
            unlikelihood, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-5, "maxiter": 4000}
        )
        n = len(error)
        criterion = 2 * number + found.fun + 2 * number * (number + 1) / max(1, n - number - 1)
        if criterion < lowest:
            best, lowest = found.x, criterion
    return WriteFit(
        writes=writes,
        g_max=top,
        coefficients=tuple(float(c) / known for c in best),
        error=overall,
        miss=float(error.mean()),
        miss_error=float(error.std(ddof=1)) / math.sqrt(len(error)),
    )


def _sigma(c: Values, x: Values) -> Values:
    return np.asarray(sum(c[k] * x**k for k in range(len(c))))
