"""From devices to the distribution that they are a sample of: mean, spread, and how sure both are.

Each device gives an estimate with a variance of its own (random effects): x_d = mean + spread xi_d + error_d. The
spread is estimated by restricted likelihood, the mean is that of all devices weighted by both variances, and its
interval is Hartung's and Knapp's (Stat. Med. 20, 3875 (2001)): Student's t with devices - 1 degrees of freedom,
scaled by how far the devices really lie apart. One device more or less weighs no more than what it says.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar
from typing_extensions import final

from ..units import Mixed
from .step_law import Values

_LEVEL: Final = 0.975


@final
@dataclass(frozen=True)
class Population:
    """The distribution of one coordinate over devices.

    Attributes:
        mean: Its mean.
        error: The mean's standard error.
        low: Lower end of the mean's 95 % interval.
        high: Its upper end.
        spread: Standard deviation over devices.
        spread_low: Lower end of its 95 % interval, from the restricted likelihood.
        spread_high: Upper end.
    """

    mean: Mixed
    error: Mixed
    low: Mixed
    high: Mixed
    spread: Mixed
    spread_low: Mixed
    spread_high: Mixed


def population(estimates: Values, variances: Values) -> Population:
    """Estimate mean and spread of what devices are a sample of.

    Args:
        estimates: (devices,) at least two.
        variances: (devices,) of the estimates' errors.
    """
    from scipy.stats import t as student  # here: it takes half a second, which `import crossbar` need not

    largest = 10 * float(np.ptp(estimates)) + 1e-12

    def unlikely(spread: Mixed) -> Mixed:
        """-2 ln of the restricted likelihood."""
        weights = 1 / (spread**2 + variances)
        mean = float((weights * estimates).sum() / weights.sum())
        return float(
            (weights * np.square(estimates - mean)).sum() - np.log(weights).sum() + math.log(weights.sum())
        )

    found = minimize_scalar(
        unlikely, bounds=(0.0, largest), method="bounded", options={"xatol": 1e-4 * largest}
    )
    spread = 0.0 if unlikely(0.0) <= found.fun else float(found.x)
    weights = 1 / (spread**2 + variances)
    mean = float((weights * estimates).sum() / weights.sum())
    freedom = len(estimates) - 1
    scatter = float((weights * np.square(estimates - mean)).sum()) / freedom
    # Devices that happen to agree better than their errors allow do not make the mean surer than the errors do.
    error = (
        math.sqrt(max(1.0, scatter) / weights.sum()) if spread == 0 else math.sqrt(scatter / weights.sum())
    )
    reach = float(student.ppf(_LEVEL, freedom)) * error
    grid = np.linspace(0.0, largest, 400)
    likely = grid[np.array([unlikely(s) for s in grid]) < unlikely(spread) + 3.841]
    low, high = (float(likely.min()), float(likely.max())) if len(likely) else (0.0, spread)
    return Population(mean, error, mean - reach, mean + reach, spread, min(low, spread), max(high, spread))
