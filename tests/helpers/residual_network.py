"""A residual network and images of five shapes, in files as a user writes them."""

import numpy as np

NETWORK = """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Identity() if inputs == outputs and stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.skip(x))


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.stage1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.stage2 = Block(8, 16, 2)
        self.stage3 = Block(16, 32, 2)
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.head(x.mean(dim=(2, 3)))


def build(input_shape, num_classes):
    return Net(input_shape[0], num_classes)
"""


def write_residual_network(folder):
    """Write the file of the network; returns its path as a text."""
    file = folder / "my_resnet.py"
    file.write_text(NETWORK)
    return str(file)


def write_shapes(folder, number, seed=7):
    """Write images of 3 x 24 x 24 with a disc, ring, bar, column or chequered square somewhere in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(number) % 5)
    inputs = rng.normal(0, 0.35, (number, 3, 24, 24)).astype(np.float32)
    y, x = np.mgrid[:24, :24]
    for image, label in zip(inputs, labels, strict=True):
        dy, dx = (side - place for side, place in zip((y, x), rng.integers(7, 17, 2), strict=True))
        distance = np.hypot(dy, dx)
        shape = (
            distance < 5,
            abs(distance - 5) < 1.5,
            (abs(dy) < 2) & (abs(dx) < 7),
            (abs(dx) < 2) & (abs(dy) < 7),
            (abs(dy) < 5) & (abs(dx) < 5) & ((y + x) % 2 == 0),
        )[label]
        image[:, shape] += np.array([[1.2], [0.8], [0.4]])
    np.savez(folder / "shapes.npz", inputs=inputs, labels=labels)
    return str(folder / "shapes.npz")
