"""What the seed paper published: J. Ott et al., Neural Networks 126 (2020) 235-249, arXiv 1909.11483.

MNIST, up to 250 epochs of Adam, both networks as ours. Accuracies on images as they are and shifted are those of its
Table 1, medians over folds and epochs; all else was read off its plots: to about 0.005, and 0.02 for values below
0.9.
"""

from functools import cache
from typing import Final

from devices.units import Dimensionless

from ...data.augmentation import PLAIN, SWAPPED
from ..published.tables import load_table

ByStrength = dict[Dimensionless, Dimensionless]


def _of_table(network: str, measure: str) -> ByStrength:
    wanted = {"data": "mnist", "augmentation": "translation", "network": network, "measure": measure}
    keys = [(dict(cell.key), cell.published) for cell in load_table("seed-paper").cells]
    return {float(key["strength"]): value / 100 for key, value in keys if wanted.items() <= key.items()}


@cache
def published_scores() -> dict[tuple[str, str], ByStrength]:
    """Return, by network and validation images, accuracies by the part of its sides that a training image moves."""
    names = [(network, name) for network in ("fcn", "cnn") for name in (PLAIN, "translation")]
    read_off = {("fcn", SWAPPED): {0.0: 0.35}, ("cnn", SWAPPED): {0.0: 0.48}}
    return {name: _of_table(*name) for name in names} | read_off


# Mean Euclidean distance between kernels of neighbouring locations of the first layer, after 250 epochs.
DISTANCE_AT_START: Final[Dimensionless] = 0.109
DISTANCES: Final[ByStrength] = {
    0.0: 0.110,
    0.1: 0.108,
    0.2: 0.100,
    0.3: 0.091,
    0.4: 0.080,
    0.5: 0.072,
    0.9: 0.067,
}
# Part of the inputs that is absent -> plain validation accuracy of the FCN; "above 0.96" up to 0.7.
VCP: Final[ByStrength] = {0.7: 0.96, 0.9: 0.78}
EPOCHS: Final = 250
