"""The reference numbers of `xbar verify`: what is computed, what it must be, and why."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from crossbar import AnalogLinear, TileArray, convert_to_analog, load_profile, price, solve_crossbar
from crossbar.aihwkit.adapter import StandardHWATrainingPreset
from crossbar.network.event_recording import record_events
from devices import get, program
from devices.streams import generator
from models import build, initialise

from ..runs.emergent_sharing import sharing_of
from ..runs.options.config import TrainConfig
from ..runs.result import Result

_SEED: Final = 0


@final
@dataclass(frozen=True)
class Check:
    """One number.

    Attributes:
        name: What it is.
        source: Where the expected value comes from.
        expected: The value that it must have.
        tolerance: How far from it the measured value may lie, either way, and why.
        why: What the tolerance follows from.
        measure: Computes it.
    """

    name: str
    source: str
    expected: float
    tolerance: float
    why: str
    measure: Callable[[], float]


def quick_checks() -> Iterator[Check]:
    """Return the checks that train nothing."""
    yield Check(
        "analog product, noise off: largest difference from aihwkit's C++ tiles, in steps of the ADC",
        "aihwkit 1.1.0, one real tile for each of ours",
        0.0,
        0.0,
        "bit for bit",
        _product,
    )
    yield Check(
        "FCN on tiles without non-idealities: largest difference from the digital network",
        "torch",
        0.0,
        1e-5,
        "float32, sums of 512",
        _digital,
    )
    yield Check(
        "64 x 64 array with 1 and 2 ohm wires: largest difference of currents, relative",
        "scipy's sparse LU of Kirchhoff's laws",
        0.0,
        1e-10,
        "float64, condition number near 1e6",
        _wires,
    )
    yield Check(
        "programming noise of PCM at 12.5 uS, in uS",
        "Nandakumar et al. (2020), polynomial in aihwkit 1.1.0",
        _published_noise(0.5),
        5 * _published_noise(0.5) / (2 * 100_000) ** 0.5,
        "100,000 devices, five standard errors: once in a million",
        _programming_noise,
    )
    yield Check(
        "energy efficiency of a 256 x 256 product, HERMES profile, in TOPS/W",
        "Le Gallo et al., Nature Electronics (2023): 9.76",
        9.76,
        0.0976,
        "published to 1 %",
        _efficiency,
    )
    yield Check(
        "distance between neighbouring kernels of the MNIST FCN before training",
        "Ott et al. (2020): 0.109; sqrt(2/169) for independent kernels",
        (2 / 169) ** 0.5,
        0.01 * (2 / 169) ** 0.5,
        "288 entries, 968 rings",
        lambda: sharing_of(_network("fcn_mnist"))["local1"]["euclidean 1"],
    )


def training_checks(train: Callable[[TrainConfig], Result]) -> Iterator[Check]:
    """Return the checks of what `xbar train` ends like: hardware-aware training, programming, a year of drift.

    Args:
        train: Trains as `xbar train`; runs that are finished are not repeated.
    """
    source = "The first hour, `xbar train`"
    # Another processor sums in another order, and a training enlarges the last digit to some images of 359.
    image = 1 / 359
    demo = TrainConfig()

    def accuracy(time: int, compensation: str) -> float:
        return statistics.fmean(chip[time] for chip in train(demo).accuracy[compensation])

    for name, expected, tolerance, measure in (
        ("digital, the same weights", 0.978, 4 * image, lambda: train(demo).digital_accuracy),
        ("5 chips after a day, one factor per layer", 0.974, 4 * image, lambda: accuracy(2, "global")),
        ("5 chips after a year, one factor per layer", 0.972, 4 * image, lambda: accuracy(4, "global")),
        ("5 chips after a year, not compensated", 0.897, 0.045, lambda: accuracy(4, "none")),
    ):
        yield Check(
            f"digits FCN on PCM, {name}: accuracy",
            source,
            expected,
            tolerance,
            "three standard deviations of the chips" if tolerance == 0.045 else "four test images of 359",
            measure,
        )


def _network(name: str) -> Any:
    network = build(name)
    initialise(network, _SEED)
    return network


@torch.no_grad()
def _product() -> float:
    config = StandardHWATrainingPreset()
    config.forward.out_noise = config.forward.w_noise = 0.0
    arrays = [TileArray(8, 32, 64, config, seed=_SEED, backend=b) for b in ("batched", "aihwkit")]
    rng = generator(_SEED, "verify", "product")
    weight = torch.randn(8, 32, 64, generator=rng)
    x = 2 * torch.rand(8, 50, 64, generator=rng) - 1
    outputs = []
    for array in arrays:
        array.set_kernels(weight)
        outputs.append(array.eval()(x))
    step = config.forward.out_res * 2 * config.forward.out_bound
    scale = arrays[0].scales()[:, None, :] * 3.0
    return float(((outputs[0] - outputs[1]) / (step * scale)).abs().max())


@torch.no_grad()
def _digital() -> float:
    network = _network("fcn_digits").eval()
    config = StandardHWATrainingPreset()
    config.forward.is_perfect = True
    config.pre_post.input_range.enable = False
    analog = convert_to_analog(network, config).eval()
    x = torch.rand(64, 1, 8, 8, generator=generator(_SEED, "verify", "digital"))
    return float((analog(x) - network(x)).abs().max())


def _wires() -> float:
    n, word, bit = 64, 1.0, 2.0
    rng = np.random.default_rng(_SEED)
    g = rng.uniform(2.5e-6, 1e-4, (n, n))
    v = rng.uniform(0, 0.2, (4, n))
    on_word, on_bit = np.arange(2 * n * n).reshape(2, n, n)
    links = [
        (on_word, on_bit, g),
        (on_word[:-1], on_word[1:], np.full((n - 1, n), 1 / word)),
        (on_bit[:, :-1], on_bit[:, 1:], np.full((n, n - 1), 1 / bit)),
    ]
    a, b, c = (np.concatenate([np.ravel(link[k]) for link in links]) for k in range(3))
    ends = np.concatenate([on_word[0], on_bit[:, -1]])
    to_ends = np.repeat([1 / word, 1 / bit], n)
    rows, columns = np.concatenate([a, b, a, b, ends]), np.concatenate([a, b, b, a, ends])
    matrix = coo_matrix((np.concatenate([c, c, -c, -c, to_ends]), (rows, columns))).tocsc()
    injected = np.zeros((2 * n * n, len(v)))
    injected[on_word[0]] = v.T / word
    expected = splu(matrix).solve(injected)[on_bit[:, -1]].T / bit
    got = solve_crossbar(torch.tensor(g), torch.tensor(v), word, bit).numpy()
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def _published_noise(relative: float) -> float:
    """Return the deviation of a written device in uS; `relative` is its target over the largest, 25 uS."""
    return -1.1731 * relative**2 + 1.9650 * relative + 0.2635


def _programming_noise() -> float:
    model = get("pcm").noise_model()
    weight = torch.full((1, 400, 251), 0.5)
    weight[:, :, 0] = 1.0  # spans the range of the tile
    tiles = program(model, weight, seed=_SEED)
    return float((tiles.g_programmed[0] - tiles.g_target[0])[:, :, 1:].std())


@torch.no_grad()
def _efficiency() -> float:
    layer = AnalogLinear(256, 256, bias=False).eval()
    with record_events(layer) as ledger:
        layer(torch.zeros(1, 256))
    bill = price(ledger, load_profile("hermes-pcm").scaled("static_power", 0))
    return 2 * 256 * 256 / bill.analog_only * 1e-6
