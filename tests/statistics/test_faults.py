"""How many devices fail, and which: binomial counts, drawn once for a chip.

Counts are compared within 5 standard deviations of the binomial distribution (false alarm: 6e-7 for each of about
ten counts).
"""

from math import sqrt

import pytest
import torch

from devices import Faults
from devices.faults import FaultMap

SHAPE = (4, 300, 250)
ALL = Faults(stuck_low=0.03, stuck_high=0.02, stuck_random=0.05, dead_rows=0.04, dead_columns=0.06)


def is_binomial(count: int, trials: int, part: float) -> bool:
    return abs(count - trials * part) < 5 * sqrt(trials * part * (1 - part))


def test_parts_of_stuck_devices() -> None:
    faulty = ALL.draw(SHAPE, seed=1)
    level = faulty.level[faulty.is_stuck]
    total = faulty.is_stuck.numel()
    assert is_binomial(int((level == 0).sum()), total, ALL.stuck_low)
    assert is_binomial(int((level == 1).sum()), total, ALL.stuck_high)
    between = level[(level > 0) & (level < 1)].double()
    assert is_binomial(len(between), total, ALL.stuck_random)
    # Uniform places: mean 1/2, variance 1/12; the variance of x**2 is 4/45.
    assert abs(between.mean() - 1 / 2) < 5 * sqrt(1 / 12 / len(between))
    assert abs((between**2).mean() - 1 / 3) < 5 * sqrt(4 / 45 / len(between))


def test_whole_lines_break() -> None:
    tiles, bit_lines, word_lines = 50, 60, 40
    rows = Faults(dead_rows=0.04).draw((tiles, bit_lines, word_lines), seed=2).is_dead
    assert (rows == rows[:, :1]).all()
    assert is_binomial(int(rows[:, 0].sum()), tiles * word_lines, 0.04)
    columns = Faults(dead_columns=0.06).draw((tiles, bit_lines, word_lines), seed=2).is_dead
    assert (columns == columns[:, :, :1]).all()
    assert is_binomial(int(columns[:, :, 0].sum()), tiles * bit_lines, 0.06)


def test_yield_of_independent_failures() -> None:
    """Lines are few, so the yield is averaged over 400 chips, and judged by their own scatter."""
    yields = torch.tensor([ALL.draw((1, 20, 30), seed=seed).yield_ for seed in range(400)]).double()
    assert abs(yields.mean() - ALL.yield_) < 5 * yields.std() / sqrt(len(yields))
    assert ALL.yield_ == pytest.approx(0.9 * 0.96 * 0.94)


def same(one: FaultMap, other: FaultMap) -> bool:
    return one.values(0.0, 1.0).nan_to_num(-1).equal(other.values(0.0, 1.0).nan_to_num(-1))


def test_a_chip_keeps_its_faults() -> None:
    torch.manual_seed(0)
    first = ALL.draw(SHAPE, seed=1)
    before = torch.random.get_rng_state()
    assert same(first, ALL.draw(SHAPE, seed=1))
    assert torch.random.get_rng_state().equal(before)
    assert not same(first, ALL.draw(SHAPE, seed=2))


def test_devices_of_a_pair_fail_independently_but_share_the_word_line() -> None:
    faults = Faults(stuck_low=0.1, dead_rows=0.1)
    plus, minus = (faults.draw(SHAPE, seed=3, position=position) for position in (0, 1))
    assert is_binomial(int((plus.is_stuck & minus.is_stuck).sum()), plus.is_stuck.numel(), 0.1**2)
    assert plus.is_dead.equal(minus.is_dead)
    bit_lines = Faults(dead_columns=0.5)
    plus, minus = (bit_lines.draw(SHAPE, seed=3, position=position) for position in (0, 1))
    assert not plus.is_dead.equal(minus.is_dead)


def test_more_faults_are_the_same_faults_and_others() -> None:
    few, many = Faults(stuck_low=0.01, dead_rows=0.01), Faults(stuck_low=0.02, dead_rows=0.03)
    few_fail, many_fail = (faults.draw(SHAPE, seed=4).is_faulty for faults in (few, many))
    assert few_fail.any()
    assert not (few_fail & ~many_fail).any()
    assert many_fail.sum() > few_fail.sum()


@pytest.mark.parametrize(("part", "fails"), [(0.0, False), (1.0, True)])
@pytest.mark.parametrize("kind", ["stuck_low", "stuck_high", "stuck_random", "dead_rows", "dead_columns"])
def test_none_and_all(kind: str, part: float, fails: bool) -> None:
    faulty = Faults(**{kind: part}).draw((2, 30, 40), seed=5).is_faulty
    assert faulty.all() if fails else not faulty.any()


def test_a_broken_line_reads_zero_whatever_is_stuck_on_it() -> None:
    faulty = Faults(stuck_high=0.5, dead_rows=0.2, dead_columns=0.2).draw(SHAPE, seed=6)
    values = faulty.values(5.0, 25.0)
    assert (values[faulty.is_dead] == 0).all()
    assert (values[faulty.is_stuck & ~faulty.is_dead] == 25).all()
    assert values.isnan().equal(~faulty.is_faulty)
