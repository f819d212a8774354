"""Devices that are taken out of a block, because a vector pulses few of them, move as they would in the block."""

import numpy as np
import pytest

from devices.pulsed.engines.aggregated import _vector
from devices.pulsed.engines.few import list_pulsed, put_back, take_out
from devices.pulsed.engines.lanes import DOWN, LANES, MAX, MIN, SIZE, TOTAL, UP, N, V, part, prepare_affine
from devices.pulsed.laws import Law

_LANES, _SEED = 500, np.uint64(7)


def _block() -> tuple[np.ndarray, int]:
    """Return a block of soft-bounds devices, one in six of which is pulsed up to three times: how many are steep."""
    rng = np.random.default_rng(0)
    s = np.zeros(SIZE, np.float32)
    pulses = rng.integers(-3, 4, _LANES) * (rng.random(_LANES) < 0.2)
    for row, values in (
        (V, rng.uniform(-0.9, 0.9, _LANES)),
        (N, pulses),
        (UP, rng.uniform(0.01, 0.4, _LANES)),
        (DOWN, rng.uniform(0.01, 0.4, _LANES)),
        (MAX, rng.uniform(0.9, 1.1, _LANES)),
        (MIN, rng.uniform(-1.1, -0.9, _LANES)),
    ):
        part(s, row, _LANES)[:] = values
    return s, prepare_affine(s, _LANES, int(Law.SOFT_BOUNDS_REFERENCE), np.float32(0.1))


@pytest.mark.parametrize("noise_std", [0.0, 0.3, 5.0])
def test_few_devices_move_as_they_would_among_all(noise_std: float) -> None:
    law, nodes = int(Law.SOFT_BOUNDS_REFERENCE), np.zeros(1, np.float32)
    constants = np.zeros(9, np.float32)
    constants[0] = noise_std
    whole, steep = _block()
    parts = whole.copy()
    listed, places = np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    rest = law, True, False, steep > 0, constants, nodes, nodes
    before = part(whole, V, _LANES).copy()
    state = _vector(whole, _LANES, _SEED, listed, places[:0], *rest)
    few = np.full(SIZE, np.nan, np.float32)
    number = list_pulsed(parts, _LANES, places)
    pulsed = places[:number]
    np.testing.assert_array_equal(pulsed, np.flatnonzero(part(parts, N, _LANES)))
    take_out(few, parts, pulsed, True, False)
    other = _vector(few, number, _SEED, listed, pulsed, *rest)
    put_back(parts, few, pulsed)
    assert state == other
    for row in (V, TOTAL):
        np.testing.assert_array_equal(part(parts, row, _LANES), part(whole, row, _LANES))
    moved = part(whole, V, _LANES) != before
    assert 30 < moved.sum() <= number
    assert not moved[part(whole, N, _LANES) == 0].any()
