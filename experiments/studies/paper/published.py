"""What the seed paper published: J. Ott et al., Neural Networks 126 (2020) 235-249, arXiv 1909.11483.

Read off its plots: to about 0.005, and 0.02 for values below 0.9. MNIST, up to 250 epochs of Adam, both networks as
ours.
"""

from typing import Final

from devices.units import Dimensionless

from ...data.augmentation import PLAIN, SWAPPED

ByStrength = dict[Dimensionless, Dimensionless]

# Training images shifted by up to a part of their sides -> accuracy on the validation images of the name.
SCORES: Final[dict[tuple[str, str], ByStrength]] = {
    ("fcn", PLAIN): {0.0: 0.990, 0.1: 0.993, 0.2: 0.993, 0.99: 0.974},
    ("cnn", PLAIN): {0.0: 0.991, 0.1: 0.994, 0.2: 0.994, 0.99: 0.987},
    ("fcn", "translation"): {0.0: 0.38, 0.1: 0.83, 0.2: 0.985, 0.4: 0.985},
    ("cnn", "translation"): {0.0: 0.37, 0.1: 0.86, 0.2: 0.99, 0.4: 0.99},
    ("fcn", SWAPPED): {0.0: 0.35},
    ("cnn", SWAPPED): {0.0: 0.48},
}
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
