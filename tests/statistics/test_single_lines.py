"""Pulses that are drawn for one line alone follow the law of trains: binomial, independent slots, shared lines.

A train of L slots holds n pulses with the binomial probability; a device receives one where both of its lines pulse.
So devices on one line of probability q, with p and r across, receive L q p and L q r pulses on average, and share the
slots of that line: their covariance is L p r q (1 - q). Two-sided; Z = 4.9 and p = 1e-6, some 150 numbers compared.
"""

from math import sqrt
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy import stats

from devices.aihwkit_adapter import PulseType, UpdateParameters
from devices.pulsed.engines.lines import draw_line, writing_of
from devices.pulsed.random_numbers import popcount, start
from devices.pulsed.slots import draw_word

Z, P_VALUE = 4.9, 1e-6
TRAINS = 200_000


@njit  # type: ignore[untyped-decorator]
def words(p: Any, length: Any, trains: Any) -> Any:
    drawn, state = np.empty(trains, np.uint64), start(np.uint64(7), 0)
    for k in range(trains):
        state, drawn[k] = draw_word(state, p, length)
    return drawn


@njit  # type: ignore[untyped-decorator]
def lines(gradients: Any, is_column: Any, rate: Any, writing: Any, trains: Any, sent: Any) -> Any:
    pulses, state = np.zeros((trains, len(gradients)), np.int32), start(np.uint64(9), 0)
    for k in range(trains):
        state, _ = draw_line(state, is_column, gradients, rate, writing, pulses[k], sent)
    return pulses


@njit  # type: ignore[untyped-decorator]
def counts(drawn: Any) -> Any:
    return np.array([popcount(word) for word in drawn])


@pytest.mark.parametrize("length", [1, 7, 31, 64])
@pytest.mark.parametrize("p", [1e-6, 0.013, 0.25, 0.3, 0.5, 0.77, 1 - 2.0**-20])
def test_a_train_holds_a_binomial_number_of_pulses(p: float, length: int) -> None:
    p = float(np.float32(p))
    drawn = counts(words(np.float32(p), length, TRAINS)).astype(np.int64)
    expected = TRAINS * stats.binom.pmf(np.arange(length + 1), length, p)
    seen = np.bincount(drawn, minlength=length + 1)
    # Numbers that are rare are taken together.
    is_rare = expected < 10
    groups = [(seen[~is_rare], expected[~is_rare]), ([seen[is_rare].sum()], [expected[is_rare].sum()])]
    seen, expected = (np.concatenate([group[k] for group in groups]) for k in (0, 1))
    is_there = expected > 0.5
    assert seen[~is_there].sum() < 10
    statistic = ((seen - expected)[is_there] ** 2 / expected[is_there]).sum()
    assert stats.chi2.sf(statistic, max(is_there.sum() - 1, 1)) > P_VALUE


@pytest.mark.parametrize("p", [0.25, 0.6])
def test_slots_are_independent_and_alike(p: float) -> None:
    length = 9
    drawn = words(np.float32(p), length, TRAINS)
    assert int(drawn.max()) < 2**length
    slots = (drawn[:, None] >> np.arange(length, dtype=np.uint64)) & np.uint64(1)
    p, std = float(np.float32(p)), sqrt(p * (1 - p))
    z = (slots.mean(axis=0) - p) / (std / sqrt(TRAINS))
    assert np.abs(z).max() < Z
    correlations = np.corrcoef(slots.T.astype(float)) - np.eye(length)
    assert np.abs(correlations).max() * sqrt(TRAINS) < Z


def test_probabilities_of_none_and_one_are_kept() -> None:
    assert set(words(np.float32(0.0), 5, 100)) == {0}
    assert set(words(np.float32(1.0), 5, 100)) == {31}
    assert set(words(np.float32(1.5), 64, 100)) == {2**64 - 1}


@pytest.mark.parametrize("is_column", [True, False])
def test_devices_on_a_line_share_its_slots(is_column: bool) -> None:
    update = UpdateParameters(
        pulse_type=PulseType.STOCHASTIC_COMPRESSED,
        desired_bl=12,
        fixed_bl=True,
        update_management=False,
        update_bl_management=False,
    )
    # Without management all lines pulse with gain * |value|, gain**2 = rate / (granularity * length).
    step, length, q = 0.01, 12, 0.4
    rate = np.float32(q * q * step * length)
    gradients = np.array([0.5, -1.0, 0.0, 1.5], np.float32)
    sent = np.zeros(2, np.int64)
    drawn = lines(gradients, is_column, rate, writing_of(step, update), TRAINS, sent).astype(float)
    assert (np.sign(drawn) * np.sign(gradients) <= 0).all()
    pulses, p = np.abs(drawn), q * np.abs(gradients)
    mean = length * q * p
    error = np.sqrt(length * q * p * (1 - q * p) / TRAINS)
    assert (np.abs(pulses.mean(axis=0) - mean) <= Z * error).all()
    covariance = np.cov(pulses.T)
    for j, k in ((0, 1), (0, 3), (1, 3)):
        expected = length * p[j] * p[k] * q * (1 - q)
        # That of a sample covariance of two numbers, as if they were normal; skewness adds little.
        spread = sqrt((covariance[j, j] * covariance[k, k] + expected**2) / TRAINS)
        assert abs(covariance[j, k] - expected) < Z * spread
    on_lines = TRAINS * length * (q + p.sum())
    assert abs(sent[0] - on_lines) < Z * sqrt(TRAINS * length * (q * (1 - q) + (p * (1 - p)).sum()))
    assert sent[1] == TRAINS * length


def test_trains_of_a_managed_line_are_as_long_as_its_steps() -> None:
    """As rows of mixed precision and buffered transfers are written: all slots of the line hold a pulse."""
    steps = np.array([3.0, 0.0, -1.0], np.float32)
    drawn = lines(
        steps,
        False,
        np.float32(0.01),
        writing_of(0.01, UpdateParameters(desired_bl=31)),
        20_000,
        np.zeros(2, np.int64),
    )
    assert (drawn[:, 0] == -3).all()
    assert (drawn[:, 1] == 0).all()
    mean, std = drawn[:, 2].mean(), sqrt(3 * 1 / 3 * 2 / 3)
    assert abs(mean - 1) < Z * std / sqrt(len(drawn))
