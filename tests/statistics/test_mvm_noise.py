"""Noise of the batched analog product: against its law, and against aihwkit's C++ tiles.

Every comparison fails by chance once in a million (Z = 4.9, two-sided). Ours are seeded; aihwkit's noise is
not, and about 200 of its moments are compared, so that a run fails by chance about once in 5,000.

aihwkit draws its normal numbers from a table of 32,768, drawn once per tile: the table's own mean is off by
1 / sqrt(32768) = 0.0055 standard deviations and its standard deviation by 1 / sqrt(2 * 32768) = 0.39 %, for
all draws alike. Both are added, in quadrature, to the sampling error of aihwkit's moments.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from aihwkit.simulator.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    WeightNoiseType,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.tiles.inference import InferenceTile
from scipy import stats
from torch import Tensor

from crossbar.reading.mvm import Periphery, analog_mvm
from crossbar.reading.noise import NoiseStream

Z = 4.9
READS = 20_000
TABLE = 32_768
WEIGHT = torch.tensor(
    [
        [[0.5, -0.3, 0.2, 0.1], [-0.7, 0.4, 0.1, -0.2], [0.25, 0.5, -0.75, 1.0]],
        [[-0.1, 0.05, 0.02, 0.15], [0.6, -0.6, 0.6, 0.5], [0.9, 0.1, -0.3, 0.2]],
    ]
)
VECTOR = torch.tensor([[0.6, -0.37, 0.11, 0.83], [-0.9, 0.42, 0.05, 0.27]])
SUM = (WEIGHT @ VECTOR[:, :, None])[..., 0]  # (tiles, out)
OFF: dict[str, Any] = {
    "out_noise": 0.0,
    "inp_res": -1.0,
    "out_res": -1.0,
    "noise_management": NoiseManagementType.NONE,
    "bound_management": BoundManagementType.NONE,
}


def io_with(**changes: Any) -> IOParameters:
    return IOParameters(**{**OFF, **changes})


def frozen_spread(io: IOParameters, weight: Tensor) -> Periphery:
    tiles, out_size, in_size = weight.shape
    return Periphery(io, tiles, out_size, in_size, rng=torch.Generator().manual_seed(3))


def ours(io: IOParameters, x: Tensor, *names: str, weight: Tensor = WEIGHT) -> Tensor:
    return analog_mvm(weight, x, io, frozen_spread(io, weight), NoiseStream(0, *names))


def theirs(io: IOParameters, x: Tensor, weight: Tensor = WEIGHT) -> Tensor:
    spread = frozen_spread(io, weight).out_noise_values
    results = []
    for t, tile_weight in enumerate(weight):
        tile = InferenceTile(*tile_weight.shape, InferenceRPUConfig(forward=io))
        tile.tile.set_weights(tile_weight)
        if spread is not None:
            tile.set_forward_parameters({"out_noise_values": spread[t]})
        results.append(tile.tile.forward(x[t], False))
    return torch.stack(results)


def many_reads(x: Tensor = VECTOR) -> Tensor:
    return x[:, None, :].expand(-1, READS, -1).contiguous()


def rounding_variance(value: Tensor, step: float) -> Tensor:
    """Rounding up with the probability of the fraction f has no bias and the variance f (1 - f) steps²."""
    fraction = (value / step) % 1
    return step**2 * fraction * (1 - fraction)


@dataclass
class Law:
    settings: dict[str, Any]
    variance: Callable[[], Tensor]
    table: Callable[[], Tensor] | None = None
    """How far the mean moves for a table whose mean is off by one; the standard deviation if None."""


PASSES = {True: VECTOR.clamp(min=0), False: VECTOR.clamp(max=0)}
LAWS = {
    "output noise": Law({"out_noise": 0.2}, lambda: torch.full((2, 3), 0.04)),
    "output noise, spread": Law(
        {"out_noise": 0.2, "out_noise_std": 0.5},
        lambda: spread_of_output_noise() ** 2,
    ),
    "input noise": Law(
        {"inp_noise": 0.1}, lambda: 0.01 * WEIGHT.square().sum(2), lambda: 0.1 * WEIGHT.sum(2).abs()
    ),
    "input noise before asymmetry": Law(
        # 0.83 +- 0.001 and the like keep their sign, so that the factor acts on the noise too.
        {"inp_noise": 0.001, "inp_asymmetry": 0.5},
        lambda: 1e-6 * (WEIGHT * torch.where(VECTOR < 0, 0.5, 1.0)[:, None]).square().sum(2),
        lambda: 1e-3 * (WEIGHT * torch.where(VECTOR < 0, 0.5, 1.0)[:, None]).sum(2).abs(),
    ),
    "additive weight noise": Law(
        {"w_noise": 0.1, "w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT},
        lambda: (0.01 * VECTOR.square().sum(1, keepdim=True)).expand(2, 3),
    ),
    "PCM read noise": Law(
        {"w_noise": 0.1, "w_noise_type": WeightNoiseType.PCM_READ},
        lambda: 0.01 * (WEIGHT.abs() @ VECTOR.square()[..., None])[..., 0],
    ),
    "PCM read noise and output noise": Law(
        {"w_noise": 0.1, "w_noise_type": WeightNoiseType.PCM_READ, "out_noise": 0.1},
        lambda: 0.01 * (WEIGHT.abs() @ VECTOR.square()[..., None])[..., 0] + 0.01,
        lambda: 0.1 * (WEIGHT.abs() @ VECTOR.square()[..., None])[..., 0].sqrt() + 0.1,
    ),
    "PCM read noise of two passes": Law(
        {
            "w_noise": 0.1,
            "w_noise_type": WeightNoiseType.PCM_READ,
            "mv_type": AnalogMVType.POS_NEG_SEPARATE,
        },
        lambda: 0.01 * (WEIGHT.abs() @ VECTOR.square()[..., None])[..., 0],
        lambda: sum(0.1 * (WEIGHT.abs() @ v.square()[..., None])[..., 0].sqrt() for v in PASSES.values()),
    ),
    "output noise of two passes": Law(
        {"out_noise": 0.2, "mv_type": AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM},
        lambda: torch.full((2, 3), 0.08),
        lambda: torch.full((2, 3), 0.4),
    ),
    "output noise of a sum of two passes": Law(
        {"out_noise": 0.2, "mv_type": AnalogMVType.POS_NEG_SEPARATE}, lambda: torch.full((2, 3), 0.04)
    ),
    "stochastic DAC": Law(
        {"inp_res": 1 / 8, "inp_sto_round": True},
        lambda: (WEIGHT.square() * rounding_variance(VECTOR, 0.25)[:, None]).sum(2),
        lambda: torch.zeros(2, 3),
    ),
    "stochastic ADC": Law(
        {"out_res": 20.0, "out_bound": 3.0, "out_sto_round": True},
        lambda: rounding_variance(SUM, 0.3),
        lambda: torch.zeros(2, 3),
    ),
    "scaled back": Law(
        {"out_noise": 0.2, "noise_management": NoiseManagementType.ABS_MAX, "out_scale": 0.5},
        lambda: (0.01 * VECTOR.abs().amax(1, keepdim=True) ** 2).expand(2, 3),
    ),
}


def spread_of_output_noise() -> Tensor:
    values = frozen_spread(io_with(out_noise=0.2, out_noise_std=0.5), WEIGHT).out_noise_values
    assert values is not None
    assert values.std() > 0.02
    return values


def moments(y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and standard deviation over the reads, and the standard error of each."""
    y = y.double()
    mean, std = y.mean(1), y.std(1)
    fourth = (y - mean[:, None]).pow(4).mean(1)
    return mean, std, std / math.sqrt(READS), (fourth - std**4).clamp(min=0).sqrt() / (2 * std * READS**0.5)


@pytest.mark.parametrize("name", LAWS)
def test_mean_and_spread(name: str) -> None:
    law = LAWS[name]
    io = io_with(**law.settings)
    expected_mean = SUM.double() * io.out_scale
    if io.inp_asymmetry:
        prepared = VECTOR * torch.where(VECTOR < 0, 1 - io.inp_asymmetry, 1.0)
        expected_mean = (WEIGHT @ prepared[..., None])[..., 0].double()
    expected_std = law.variance().double().sqrt()
    table = expected_std if law.table is None else law.table().double()
    mean, std, mean_error, std_error = moments(ours(io, many_reads()))
    rounding = 1e-6  # float32, for sums around one
    assert ((mean - expected_mean).abs() < Z * mean_error + rounding).all()
    assert ((std - expected_std).abs() < Z * std_error + rounding).all()

    their_mean, their_std, their_mean_error, their_std_error = moments(theirs(io, many_reads()))
    their_mean_error = (their_mean_error**2 + table**2 / TABLE).sqrt()
    table_std = expected_std / math.sqrt(2 * TABLE) * (table > 0)
    their_std_error = (their_std_error**2 + table_std**2).sqrt()
    assert ((mean - their_mean).abs() < Z * (mean_error**2 + their_mean_error**2).sqrt() + rounding).all()
    assert ((std - their_std).abs() < Z * (std_error**2 + their_std_error**2).sqrt() + rounding).all()


def test_read_noise_comes_before_saturation_and_output_noise_after() -> None:
    # Strong saturation squeezes what comes before it, by more than its slope at the mean: aihwkit is the law.
    io = io_with(out_nonlinearity=24.0, w_noise=0.3, w_noise_type=WeightNoiseType.PCM_READ, out_noise=0.02)
    mean, std, mean_error, std_error = moments(ours(io, many_reads()))
    their_mean, their_std, their_mean_error, their_std_error = moments(theirs(io, many_reads()))
    table = their_std / math.sqrt(TABLE)
    assert ((mean - their_mean).abs() < Z * (mean_error**2 + their_mean_error**2 + 2 * table**2).sqrt()).all()
    assert ((std - their_std).abs() < Z * (std_error**2 + their_std_error**2 + table**2).sqrt()).all()
    unshaped = io_with(w_noise=0.3, w_noise_type=WeightNoiseType.PCM_READ, out_noise=0.02)
    assert (std < 0.7 * moments(ours(unshaped, many_reads()))[1]).all()


def test_noise_is_normal() -> None:
    for changes in ({"out_noise": 0.2}, {"inp_noise": 0.1}, LAWS["PCM read noise"].settings):
        y = ours(io_with(**changes), many_reads())[1, :, 2]
        z = (y - SUM[1, 2]) / y.std()
        # Scaled by its own spread the test is conservative; it fails by chance in less than one of 1e6.
        assert stats.kstest(z.numpy(), "norm").pvalue > 1e-6


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


NOISES = {
    "output": {"out_noise": 0.2},
    "read": LAWS["PCM read noise"].settings,
    "additive": LAWS["additive weight noise"].settings,
    "input": {"inp_noise": 0.1},
    "DAC": LAWS["stochastic DAC"].settings,
    "ADC": LAWS["stochastic ADC"].settings,
}


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_independent_between_tiles_vectors_and_outputs(name: str) -> None:
    io = io_with(**NOISES[name])
    y = ours(io, many_reads())
    limit = Z / math.sqrt(READS)
    for i in range(3):
        for k in range(3):
            assert abs(correlation(y[0, :, i], y[1, :, k])) < limit
            for t in range(2):
                for lag in (1, 2):
                    assert abs(correlation(y[t, lag:, i], y[t, :-lag, k])) < limit * 1.001
    # What scatters before the array reaches all outputs, weighted; what comes after is each output's own.
    scatter = torch.eye(4).expand(2, 4, 4)
    if name == "DAC":
        scatter = torch.diag_embed(rounding_variance(VECTOR, 0.25))
    covariance = WEIGHT @ scatter @ WEIGHT.transpose(1, 2)
    for t in range(2):
        for i in range(3):
            for k in range(i):
                shared = float(covariance[t, i, k] / (covariance[t, i, i] * covariance[t, k, k]).sqrt())
                expected = shared if name in ("input", "DAC") else 0.0
                # For normal numbers the error is largest at correlation 0; the rounding of four inputs has
                # lighter tails than that.
                assert abs(correlation(y[t, :, i], y[t, :, k]) - expected) < limit


@pytest.mark.parametrize("name", NOISES)
def test_streams_and_reads_are_independent_and_repeatable(name: str) -> None:
    io, x, periphery = io_with(**NOISES[name]), many_reads(), frozen_spread(io_with(**NOISES[name]), WEIGHT)

    def read(stream: NoiseStream) -> Tensor:
        return analog_mvm(WEIGHT, x, io, periphery, stream)

    stream = NoiseStream(0, "conv1")
    first, second = read(stream), read(stream)
    again = read(NoiseStream(0, "conv1"))
    other_name, other_seed = read(NoiseStream(0, "conv2")), read(NoiseStream(1, "conv1"))
    assert torch.equal(first, again)
    limit = Z / math.sqrt(READS)
    for other in (second, other_name, other_seed):
        for t in range(2):
            for i in range(3):
                assert abs(correlation(first[t, :, i], other[t, :, i])) < limit


def test_zero_vectors_give_exactly_zero_and_only_these() -> None:
    io = io_with(
        out_noise=0.2,
        w_noise=0.1,
        w_noise_type=WeightNoiseType.ADDITIVE_CONSTANT,
        noise_management=NoiseManagementType.ABS_MAX,
    )
    x = many_reads()[:, :100].clone()
    x[0, ::2] = 0.0
    for y in (ours(io, x), theirs(io, x)):
        assert y[0, ::2].eq(0).all()
        assert y[0, 1::2].ne(0).any(1).all()
        assert y[1].ne(0).any(1).all()


def test_zero_vectors_scatter_where_the_word_lines_are_noisy() -> None:
    io = io_with(inp_noise=0.1, out_noise=0.05, noise_management=NoiseManagementType.ABS_MAX)
    x = torch.zeros(2, READS, 4)
    expected = (0.01 * WEIGHT.square().sum(2) + 0.05**2).double().sqrt()
    for y, table in ((ours(io, x), 0.0), (theirs(io, x), 1 / math.sqrt(2 * TABLE))):
        _, std, _, error = moments(y)
        assert ((std - expected).abs() < Z * (error**2 + (table * expected) ** 2).sqrt()).all()


def test_every_repetition_of_bound_management_draws_new_noise() -> None:
    # The sum is zero and the noise as large as the bound: a read passes with probability p whatever the
    # reduction, so that rounds 1, 2, 4, 8 and 16 are reached by chance. Were the noise kept, the first clip
    # would clip for ever and P(16) would be 1 - p.
    weight, x = torch.tensor([[[1.0, -1.0]]]), torch.ones(1, READS, 2)
    io = io_with(
        out_noise=1.0,
        out_bound=1.0,
        inp_res=126.0,
        noise_management=NoiseManagementType.ABS_MAX,
        bound_management=BoundManagementType.ITERATIVE,
    )
    p = math.erf(1 / math.sqrt(2))
    inside = 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / p  # variance of what passes
    never = (1 - p) ** 5
    square = sum(p * (1 - p) ** k * 4**k * inside for k in range(5)) + never * 256
    for y, table in ((ours(io, x, weight=weight), 0.0), (theirs(io, x, weight), 1 / math.sqrt(TABLE))):
        squares = y.double().square().flatten()
        error = math.hypot(float(squares.std()) / math.sqrt(READS), 2 * table * square)
        assert abs(float(squares.mean()) - square) < Z * error
        clipped = float((y.abs() == 16).double().mean())
        # A table's p is off by at most its own sampling error, which five rounds multiply by five.
        relative = 5 * math.sqrt((1 - p) * p) * table / (1 - p)
        error = math.hypot(math.sqrt(never / READS), relative * never)
        assert abs(clipped - never) < Z * error
    y = ours(io, x, weight=weight)[0, :, 0]
    assert abs(correlation(y[1:], y[:-1])) < Z / math.sqrt(READS) * 1.001
