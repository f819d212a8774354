"""Random numbers of the compiled loops: distributions, tails, and independence of draws and of streams.

Everything is seeded. With other seeds every comparison would fail by chance once in a million (Z = 4.9, two-sided, or
p < 1e-6); about 150 numbers are compared.
"""

import math
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy import stats

from devices.pulsed.random_numbers import (
    mix,
    normal,
    popcount,
    start,
    sums_of_bits,
    trailing_zeros,
    uniform,
    word,
)

Z = 4.9
P_VALUE = 1e-6
SEEDS = (0, 1, 2**62 - 1)


@njit  # type: ignore[untyped-decorator]
def normals(seed: Any, streams: Any, n: Any) -> Any:
    drawn = np.empty((streams, n))
    for stream in range(streams):
        state = start(seed, stream)
        for k in range(n):
            state, drawn[stream, k] = normal(state)
    return drawn


@njit  # type: ignore[untyped-decorator]
def uniforms(seed: Any, streams: Any, n: Any) -> Any:
    drawn = np.empty((streams, n))
    for stream in range(streams):
        state = start(seed, stream)
        for k in range(n):
            state, drawn[stream, k] = uniform(state)
    return drawn


@njit  # type: ignore[untyped-decorator]
def words(seed: Any, n: Any) -> Any:
    drawn = np.empty(n, np.uint64)
    state = start(seed, 0)
    for k in range(n):
        state, drawn[k] = word(state)
    return drawn


@njit  # type: ignore[untyped-decorator]
def bits_of(value: Any) -> Any:
    return popcount(np.uint64(value)), trailing_zeros(np.uint64(value))


@njit  # type: ignore[untyped-decorator]
def mixed(value: Any) -> Any:
    return mix(np.uint64(value))


class TestWords:
    def test_the_mixing_function_is_splitmix64(self) -> None:
        # First outputs for seed 1234567: Vigna, splitmix64.c, as listed in Rosetta Code, "Pseudo-random
        # numbers/Splitmix64".
        state, increment = 1234567, 0x9E3779B97F4A7C15
        outputs = []
        for _ in range(5):
            state = (state + increment) % 2**64
            outputs.append(int(mixed(np.uint64(state))))
        assert outputs == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]

    def test_bits_are_counted(self) -> None:
        for value in (1, 2, 0b1011000, 2**63, 2**64 - 1, 2**40 + 2**33):
            ones, zeros = bits_of(np.uint64(value))
            assert ones == bin(value).count("1")
            assert zeros == (value & -value).bit_length() - 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_every_bit_is_set_half_of_the_time_and_independent_of_the_others(self, seed: int) -> None:
        n = 100_000
        drawn = words(np.uint64(seed), n)
        bits = (drawn[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        signs = 2.0 * bits - 1.0
        assert np.abs(signs.mean(axis=0)).max() < Z / math.sqrt(n)
        # 2,016 pairs of bits of a word and 4,096 of neighbouring words: 6 standard deviations, once in 80,000 seeds.
        together = signs.T @ signs / n - np.eye(64)
        assert np.abs(together).max() < 6 / math.sqrt(n)
        assert np.abs(signs[1:].T @ signs[:-1] / n).max() < 6 / math.sqrt(n)


def unmixed(bits: int) -> int:
    """Undo splitmix64's mixing, step by step: shifts by 31, 27, 30, products with the inverse factors."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        z = bits
        for _ in range(64 // shift):
            z = bits ^ (z >> shift)
        bits = z * pow(factor, -1, 2**64) % 2**64
    return bits


@njit  # type: ignore[untyped-decorator]
def one_uniform(state: Any) -> Any:
    return uniform(state)


class TestUniform:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_it_is_uniform_between_zero_and_one(self, seed: int) -> None:
        drawn = uniforms(np.uint64(seed), 100, 10_000)
        assert drawn.min() > 0.0
        assert drawn.max() < 1.0
        assert stats.kstest(drawn.ravel(), "uniform").pvalue > P_VALUE
        # Also where few are: 100 of a million lie below 1e-4, and above 1 - 1e-4.
        for tail in ((drawn < 1e-4).sum(), (drawn > 1 - 1e-4).sum()):
            assert abs(tail - 100) < Z * 10

    @pytest.mark.parametrize(("bits", "nearly"), [(0, 0.0), (2**64 - 1, 1.0)], ids=["smallest", "largest"])
    def test_the_smallest_and_largest_numbers_have_a_logarithm(self, bits: int, nearly: float) -> None:
        """The counter whose mixing gives no bit at all, or every bit."""
        state = np.uint64((unmixed(bits) - 0x9E3779B97F4A7C15) % 2**64)
        _, drawn = one_uniform(state)
        assert 0.0 < drawn <= 1.0
        assert abs(drawn - nearly) <= 2.0**-53
        assert math.isfinite(math.log(drawn))


class TestNormal:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_moments(self, seed: int) -> None:
        n = 2_000_000
        drawn = normals(np.uint64(seed), 1, n)[0]
        # Standard errors of the mean, variance, third and fourth moment of a standard normal number.
        for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs((drawn**power).mean() - expected) < Z * math.sqrt(variance / n)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_distribution(self, seed: int) -> None:
        drawn = normals(np.uint64(seed), 1, 2_000_000)[0]
        assert stats.kstest(drawn, "norm").pvalue > P_VALUE
        # The layers of the ziggurat, each in its own bin: errors in one of 256 would show here.
        edges = stats.norm.ppf(np.linspace(0, 1, 1001))
        observed = np.histogram(drawn, edges)[0]
        assert stats.chisquare(observed).pvalue > P_VALUE

    def test_tails(self) -> None:
        n = 20_000_000
        drawn = np.concatenate([normals(np.uint64(seed), 1, n // 4)[0] for seed in range(4)])
        # 3.65 is where the lowest layer of the ziggurat ends and another method begins.
        for edge in (2.0, 3.0, 3.6, 3.7, 4.0, 4.5, 5.0):
            for tail in ((drawn > edge).sum(), (drawn < -edge).sum()):
                expected = n * stats.norm.sf(edge)
                assert stats.poisson.sf(tail - 1, expected) > P_VALUE / 2
                assert stats.poisson.cdf(tail, expected) > P_VALUE / 2
        beyond = np.abs(drawn[np.abs(drawn) > 3.6541528853610088])
        law = stats.truncnorm(3.6541528853610088, np.inf)
        assert stats.kstest(beyond, law.cdf).pvalue > P_VALUE

    def test_numbers_of_one_stream_do_not_depend_on_one_another(self) -> None:
        n = 1_000_000
        drawn = normals(np.uint64(3), 1, n + 10)[0]
        for lag in (1, 2, 3, 10):
            for power in (1, 2):
                first, second = drawn[:n] ** power, drawn[lag : n + lag] ** power
                correlation = np.corrcoef(first, second)[0, 1]
                assert abs(correlation) < Z / math.sqrt(n)


class TestStreams:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("draw", [normals, uniforms], ids=["normal", "uniform"])
    def test_neighbouring_streams_are_independent(self, draw: Any, seed: int) -> None:
        # Rows of devices have neighbouring numbers: 200 rows of 5,000 draws each.
        drawn = draw(np.uint64(seed), 200, 5000)
        drawn = (drawn - drawn.mean()) / drawn.std()
        for distance in (1, 2, 7, 64):
            for lag in (0, 1):  # a stream that is another one, shifted by one draw, would show at the lag
                first, second = drawn[distance:, lag:], drawn[:-distance, : 5000 - lag]
                assert abs((first * second).mean()) < Z / math.sqrt(first.size)
                # Pair by pair, too; 7 standard deviations: some 1,600 pairs, once in 10**9 seeds.
                assert np.abs((first * second).mean(axis=1)).max() < 7 / math.sqrt(first.shape[1])

    @pytest.mark.parametrize("seed", SEEDS)
    def test_first_draws_of_streams_are_normal(self, seed: int) -> None:
        drawn = normals(np.uint64(seed), 100_000, 2)
        for position in range(2):
            assert stats.kstest(drawn[:, position], "norm").pvalue > P_VALUE
        assert abs(np.corrcoef(drawn.T)[0, 1]) < Z / math.sqrt(100_000)
        neighbours = np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]
        assert abs(neighbours) < Z / math.sqrt(100_000)

    def test_neighbouring_seeds_give_other_streams(self) -> None:
        drawn = np.stack([normals(np.uint64(seed), 1, 100_000)[0] for seed in range(20)])
        correlations = np.corrcoef(drawn) - np.eye(20)
        assert np.abs(correlations).max() < 6 / math.sqrt(100_000)  # 190 pairs

    def test_no_two_streams_of_two_seeds_meet(self) -> None:
        # 2 * 50,000 first words of 64 bits coincide by chance once in 10**9 tries.
        firsts = np.concatenate([uniforms(np.uint64(seed), 50_000, 1)[:, 0] for seed in (5, 6)])
        assert len(np.unique(firsts)) == len(firsts)


class TestSumsOfBits:
    """What stands in for normal numbers where 8 or 16 are drawn at a time."""

    N = 512

    def drawn(self, seed: int, keys: int = 2_000) -> Any:
        keys_ = words(np.uint64(seed), keys)
        numbers = np.empty((keys, self.N), np.float32)
        for row, key in zip(numbers, keys_, strict=True):
            sums_of_bits(row, key)
        return numbers.astype(np.float64)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_moments(self, seed: int) -> None:
        values = self.drawn(seed).ravel()
        n = len(values)
        assert abs(values.mean()) < Z / math.sqrt(n)
        assert abs(values.var() - 1) < Z * math.sqrt(2 / n)
        assert abs((values**3).mean()) < Z * math.sqrt(15 / n)
        # 32 bits and a uniform number have the excess kurtosis -(32 / 8 + 1 / 120) / (8 + 1 / 12)**2.
        assert abs((values**4).mean() - 3 + (4 + 1 / 120) / (8 + 1 / 12) ** 2) < Z * math.sqrt(96 / n)
        assert np.abs(values).max() < 5.81

    def test_the_distribution_is_continuous_and_close_to_the_normal_one(self) -> None:
        values = np.sort(self.drawn(3).ravel())
        # The kurtosis moves the distribution function by 0.0013 at most.
        distance = np.abs(stats.norm.cdf(values) - np.arange(1, len(values) + 1) / len(values)).max()
        assert distance < 0.0015 + 2.7 / math.sqrt(len(values))  # Kolmogorov: once in a million
        assert np.diff(values).max() < 0.5
        assert len(np.unique(values)) > 0.9 * len(values)

    def test_neighbours_and_keys_are_independent(self) -> None:
        values = self.drawn(4)
        # Linear and of squares; along a row, and from key to key: 2,000 keys of 512 numbers.
        for numbers in (values, values**2 - 1):
            spread = numbers.std() ** 2
            for axis in (0, 1):
                for lag in (1, 2, 8, 16, 64):
                    one, other = (
                        np.moveaxis(numbers, axis, 0)[part] for part in (slice(lag, None), slice(-lag))
                    )
                    assert abs((one * other).mean() / spread) < Z / math.sqrt(one.size)
        means = values.mean(axis=0) * math.sqrt(len(values))
        assert np.abs(means).max() < 5.5  # 512 places
        assert np.array_equal(self.drawn(4, 3), values[:3])
