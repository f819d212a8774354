"""CrossSim's lookup tables of steps as a polygon.

Two text files, dG_increasing.txt and dG_decreasing.txt: a line of heading, conductances in S, cumulative
probabilities, then for each probability a line of steps dG in S (CrossSim 2.0, examples/lookup_table_generation). The
mean at each conductance is that of the distribution; its spread becomes one ratio to the step.
"""

from pathlib import Path
from typing import Final

import numpy as np

from ..files import read_text
from ..fitting.polygon_laws import PiecewiseStep
from ..fitting.step_law import Values
from .described import Described

_LEAST: Final = 1e-6  # of the weight's range: no step is 0 or less


def from_crosssim(increasing: Path | str, decreasing: Path | str) -> Described:
    """Translate a pair of lookup tables.

    Args:
        increasing: The file of pulses that raise the conductance.
        decreasing: Of those that lower it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is no such table, they have other conductances, or steps go the wrong way.
    """
    (g, up, up_spread), (other, down, down_spread) = (_table(Path(path)) for path in (increasing, decreasing))
    if len(g) != len(other) or not np.allclose(g, other, rtol=1e-6):
        raise ValueError(
            f"`tables` must have the same conductances, but {increasing} and {decreasing} do not. Give a pair."
        )
    down = -down
    if not (up.mean() > 0 and down.mean() > 0):
        raise ValueError(
            f"`tables` must raise and lower the conductance, but on average {increasing} or {decreasing} does not. "
            "Give the increasing one first."
        )
    law = PiecewiseStep()
    half = (g[-1] - g[0]) / 2
    where = np.linspace(g[0], g[-1], law.nodes)
    nodes = [np.maximum(np.interp(where, g, sizes) / half, _LEAST) for sizes in (up, down)]
    device, notes = law.device(np.array([*nodes[0], *nodes[1], 1.0, -1.0]))
    ratio = float(np.sqrt((up_spread**2 + down_spread**2).sum() / (up**2 + down**2).sum()))
    lowest = min(float(up.min()), float(down.min()))
    zero = (
        ""
        if lowest > 0
        else " Mean steps in the wrong direction, where the tables have any, are taken for none."
    )
    return Described(
        conductance={"g_min": float(g[0]) * 1e6, "g_max": float(g[-1]) * 1e6},
        pulses={
            "law": law.file_law, **device, "dw_min_std": ratio,
            "dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0,
        },
        summary=" ".join([f"Mean steps of a CrossSim lookup table at {law.nodes} conductances.", *notes]) + zero,
        not_modelled="How the spread of steps depends on the conductance, and the shape of their distribution: "
        f"normal with {ratio:.2g} of the step. Spread over devices. Programming error, drift, read noise.",
        source=f"CrossSim lookup tables {Path(increasing).name}, {Path(decreasing).name}",
    )  # fmt: skip


def _table(path: Path) -> tuple[Values, Values, Values]:
    """Return conductances, mean steps and their spread; in S."""
    lines = [line for line in read_text(path, "tables").splitlines() if line.strip()]
    try:
        rows = [np.array([float(cell) for cell in line.split(",")]) for line in lines[1:]]
        g, cdf, steps = rows[0], rows[1], np.array(rows[2:])
        if (
            steps.shape != (len(cdf), len(g))
            or len(g) < 2
            or not (np.diff(g) > 0).all()
            or (np.diff(cdf) < 0).any()
        ):
            raise ValueError
        if not all(np.isfinite(own).all() for own in (g, cdf, steps)) or not cdf[-1] > cdf[0]:
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError(
            f"`tables` must hold a heading, conductances, probabilities and a line of steps for each of them, but "
            f"{path} does not. Give CrossSim's dG_increasing.txt and dG_decreasing.txt."
        ) from None
    part = (np.diff(cdf) / (cdf[-1] - cdf[0]))[:, None]
    low, high = steps[:-1], steps[1:]  # steps go linearly between two probabilities
    mean = (part * (low + high) / 2).sum(axis=0)
    square = (part * (low**2 + low * high + high**2) / 3).sum(axis=0)
    return g, mean, np.sqrt(np.maximum(0.0, square - mean**2))
