"""How far readings of an untouched device scatter.

The noise of one reading is half the mean square of successive differences (von Neumann et al., Annals of Mathematical
Statistics 12, 1941), which drift and slow fluctuations hardly reach; what the readings scatter beyond it is slow.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from typing_extensions import final

from ..measurements import Layout, RepeatedReads, read_repeated_reads
from ..units import Dimensionless, MicroSiemens
from .step_law import Values

_RARE: Final = 0.01  # probability by chance from which on a correlation is mentioned


@final
@dataclass(frozen=True, kw_only=True)
class ReadFit:
    """The noise of readings.

    Attributes:
        series: What was measured.
        levels: Mean conductance of each series, in µS.
        noises: Noise of a reading in each, in µS.
        noise: Root mean square over all, in µS; of a reading.
        error: Its standard error.
        slow: Scatter beyond it, in µS: drift and slow fluctuation.
        growth: Exponent p of noise as level ** p, and the probability to see such a trend by chance.
    """

    series: tuple[RepeatedReads, ...]
    levels: Values
    noises: Values
    noise: MicroSiemens
    error: MicroSiemens
    slow: MicroSiemens
    growth: tuple[Dimensionless, Dimensionless]

    @property
    def depends_on_conductance(self) -> bool:
        """Whether readings are noisier at other conductances, which a device file does not state."""
        return self.growth[1] < _RARE


def fit_reads(
    measured: Path | str, *, layout: Layout | None = None, notes: list[str] | None = None
) -> ReadFit:
    """Fit the noise of readings.

    Args:
        measured: The CSV file; see `devices.measurements`.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or all readings of each device are equal.
    """
    # Here: it takes half a second, which `import crossbar` need not.
    from scipy.stats import linregress

    series = read_repeated_reads(measured, layout, notes)
    white = np.array([float(np.mean(np.diff(own.conductances) ** 2)) / 2 for own in series])
    total = np.array([float(own.conductances.var(ddof=1)) for own in series])
    counts = np.array([len(own.conductances) - 1 for own in series], dtype=np.float64)
    variance = float((white * counts).sum() / counts.sum())
    if not variance > 0:
        raise ValueError(
            f"`reads` must scatter, but in {measured} all are equal. Check the column and its digits."
        )
    levels = np.array([float(own.conductances.mean()) for own in series])
    usable = (levels > 0) & (white > 0)
    growth = (0.0, 1.0)
    if usable.sum() > 3 and np.ptp(levels[usable]) > 0:
        line = linregress(np.log(levels[usable]), np.log(white[usable]) / 2)
        growth = (float(line.slope), float(line.pvalue))
    return ReadFit(
        series=tuple(series),
        levels=levels,
        noises=np.sqrt(white),
        noise=math.sqrt(variance),
        error=math.sqrt(variance)
        * math.sqrt(0.75 / counts.sum()),  # of successive differences: 3 / (2 n), halved
        slow=math.sqrt(max(0.0, float((total * counts).sum() / counts.sum()) - variance)),
        growth=growth,
    )
