"""Files as users write them: networks and data that nothing here has seen before."""

import numpy as np

NETWORKS = """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=2)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.conv2(torch.relu(self.norm1(self.conv1(x)))) + self.skip(x))


def build(input_shape, num_classes):
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 4, 3), nn.ReLU(), Block(4, 6, 2), nn.Flatten(), nn.Dropout(0.1),
        nn.LazyLinear(num_classes),
    )


def small(num_classes=4):
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 5, num_classes))


def table():
    return nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 1))


def signal(input_shape, num_classes):
    return nn.Sequential(
        nn.Conv1d(input_shape[0], 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * (input_shape[1] - 4), num_classes)
    )


class Tokens(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.table = nn.Embedding(9, 8)
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.out = nn.Linear(12, classes)

    def forward(self, x):
        return self.out(self.lstm(self.table(x))[0])


def tokens(num_classes):
    return Tokens(num_classes)


class Recurrent(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.table = nn.Embedding(9, 8)
        self.gru = nn.GRU(8, 12, batch_first=True, bidirectional=True)
        self.encoder = nn.TransformerEncoderLayer(24, 2, 16, batch_first=True)
        self.lstm = nn.LSTM(24, 10, num_layers=2, batch_first=True)
        self.kept = nn.LSTM(10, 6, batch_first=True, proj_size=4)
        self.out = nn.Linear(4, classes)

    def forward(self, x):
        x = self.encoder(self.gru(self.table(x))[0])
        return self.out(self.kept(self.lstm(x)[0])[0])


def recurrent(num_classes):
    return Recurrent(num_classes)


def analog():
    from crossbar import AnalogLinear
    from devices import get

    config = get("pcm").rpu_config(weight_noise=0.05)
    return nn.Sequential(nn.Flatten(), AnalogLinear(2 * 9 * 7, 4, rpu_config=config))


def needs(width):
    return nn.Linear(width, 2)


def nothing():
    return "a network"


def stops():
    return nn.Linear(3, undefined)


def other_inputs():
    return nn.Sequential(nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(10, 4))


def other_outputs():
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 9 * 7, 7))
"""


def write_networks(folder):
    """Write a file of networks; returns its path as a text."""
    file = folder / "my_network.py"
    file.write_text(NETWORKS)
    return str(file)


def write_blobs(folder, number=120, classes=4, seed=0):
    """Write images of 2 x 9 x 7 with a bright place for each class: easy, but not linearly trivial."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % classes
    inputs = rng.normal(0, 0.3, (number, 2, 9, 7)).astype(np.float32)
    for image, label in zip(inputs, labels, strict=True):
        image[label % 2, 2 * (label // 2) : 2 * (label // 2) + 3, 1:5] += 1.5
    np.savez(folder / "blobs.npz", inputs=inputs, labels=labels)
    return str(folder / "blobs.npz")


def write_table(folder, number=240, seed=0):
    """Write a table of five numbers with a target that depends on three of them."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(number, 5)).astype(np.float32)
    targets = (np.tanh(inputs[:, 0]) + 0.5 * inputs[:, 1] - inputs[:, 2]).astype(np.float32)
    np.savez(folder / "table.npz", inputs=inputs, targets=targets)
    return str(folder / "table.npz")


def write_signals(folder, number=120, seed=0):
    """Write signals of 40 samples at one of three frequencies."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    phase = rng.uniform(0, 6, (number, 1, 1))
    inputs = np.sin(np.arange(40)[None, None] * (labels[:, None, None] + 1) * 0.35 + phase)
    np.savez(folder / "signals.npz", inputs=inputs.astype(np.float32), labels=labels)
    return str(folder / "signals.npz")


def write_tokens(folder, number=120, seed=0):
    """Write sequences of tokens, with a class for each position: the token's rest by three."""
    inputs = np.random.default_rng(seed).integers(0, 9, (number, 10))
    np.savez(folder / "tokens.npz", inputs=inputs, labels=inputs % 3)
    return str(folder / "tokens.npz")
