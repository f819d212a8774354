"""LeNet-5 and a dense network for images of 28 x 28.

Sources: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
the IEEE 86 (1998) 2278, here with ReLU, mean pooling without weights and every map connected; the dense network of
784-256-128-10 with sigmoids of aihwkit's example 03.
"""

from torch import nn


def lenet() -> nn.Sequential:
    """Build LeNet-5: two convolutions and three dense layers, 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def dense() -> nn.Sequential:
    """Build the dense network, 784-256-128-10 with sigmoids, 235,146 parameters."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.Sigmoid(),
        nn.Linear(256, 128),
        nn.Sigmoid(),
        nn.Linear(128, 10),
    )
