"""Random numbers inside compiled loops: one counter-based stream for each row of devices.

Streams are numbered, not shared, so that the numbers do not depend on how many threads share the work.
"""

from math import exp, log, sqrt

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic

# splitmix64 (Steele, Lea, Flood, OOPSLA 2014): a counter with this odd increment, and a mixing function.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53
_TO_SIGNED_UNIT = 2.0**-52


@intrinsic
def popcount(typing_context, word):  # type: ignore[no-untyped-def]
    """Count the bits that are set in a 64-bit word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def trailing_zeros(typing_context, word):  # type: ignore[no-untyped-def]
    """Count the zero bits below the lowest bit that is set."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@njit(cache=True, inline="always")
def start(seed, stream):  # type: ignore[no-untyped-def]
    """Return the first state of a numbered stream: far from that of every other."""
    return mix(uint64(seed) ^ mix(uint64(stream) + _INCREMENT))


@njit(cache=True, inline="always")
def mix(state):  # type: ignore[no-untyped-def]
    """Turn a counter into 64 random bits."""
    z = uint64(state)
    z = (z ^ (z >> uint64(30))) * _MIX_1
    z = (z ^ (z >> uint64(27))) * _MIX_2
    return z ^ (z >> uint64(31))


@njit(cache=True, inline="always")
def word(state):  # type: ignore[no-untyped-def]
    """Draw 64 random bits: the next state, and the bits."""
    state = uint64(state) + _INCREMENT
    return state, mix(state)


@njit(cache=True, inline="always")
def uniform(state):  # type: ignore[no-untyped-def]
    """Draw a number uniform in (0, 1]: the next state, and the number."""
    state, bits = word(state)
    return state, ((bits >> uint64(11)) + 0.5) * _TO_UNIT


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    # Marsaglia and Tsang, J. Stat. Softw. 5 (2000): 256 layers of equal area under exp(-x**2 / 2); edge of the
    # lowest layer and area of each from there.
    edge, area = 3.6541528853610088, 4.92867323399e-3
    x = np.empty(257)
    x[0] = area / np.exp(-0.5 * edge**2)
    x[1] = edge
    for layer in range(2, 256):
        x[layer] = np.sqrt(-2.0 * np.log(area / x[layer - 1] + np.exp(-0.5 * x[layer - 1] ** 2)))
    x[256] = 0.0
    return x, np.exp(-0.5 * x**2)


_X, _Y = _ziggurat()
_EDGE = _X[1]


@njit(cache=True)
def normal(state):  # type: ignore[no-untyped-def]
    """Draw a standard normal number: the next state, and the number."""
    state, bits = word(state)
    layer = bits & uint64(255)
    x = float(np.int64(bits) >> 11) * _TO_SIGNED_UNIT * _X[layer]
    if abs(x) < _X[layer + uint64(1)]:  # 99 of 100
        return state, x
    return _normal_at_the_edge(state, layer, x)


@njit(cache=True)
def _normal_at_the_edge(state, layer, x):  # type: ignore[no-untyped-def]
    """Decide about a point in the wedge of a layer, or draw again."""
    while True:
        state, u = uniform(state)
        if layer == uint64(0):  # the tail beyond the lowest layer
            state, v = uniform(state)
            beyond = -log(u) / _EDGE
            if -2.0 * log(v) > beyond * beyond:
                return state, (_EDGE + beyond) if x > 0.0 else -(_EDGE + beyond)
        elif _Y[layer] + u * (_Y[layer + uint64(1)] - _Y[layer]) < exp(-0.5 * x * x):
            return state, x
        state, bits = word(state)
        layer = bits & uint64(255)
        x = float(np.int64(bits) >> 11) * _TO_SIGNED_UNIT * _X[layer]
        if abs(x) < _X[layer + uint64(1)]:
            return state, x


# Above this variance a rounded normal number stands in for a Poisson one. assumed: at 8 they differ by less than
# the sampling error of every test here.
_FEW = 8.0
# Rounding to the nearest whole number adds the variance of a uniform number; rounding at random, on average over all
# fractions f, that of f (1 - f).
_NEAREST, _AT_RANDOM = 1.0 / 12.0, 1.0 / 6.0


@njit(cache=True)
def count(state, mean, variance):  # type: ignore[no-untyped-def]
    """Draw a whole number, at least zero, with a mean and about a variance that is not above the mean.

    Many: a normal number, rounded. Few: a Poisson number with the variance, on top of a floor whose fraction is
    rounded up or down at random, so that the mean is exact.

    Returns:
        The next state, and the number.
    """
    if variance > _FEW:
        state, xi = normal(state)
        return state, max(np.rint(mean + sqrt(variance - _NEAREST) * xi), 0.0)
    variance = max(variance - _AT_RANDOM, 0.0)
    base = max(mean - variance, 0.0)
    whole = np.floor(base)
    if base > whole:
        state, u = uniform(state)
        if u < base - whole:
            whole += 1.0
    if variance > 0.0:
        limit, product = exp(-variance), 1.0
        while True:
            state, u = uniform(state)
            product *= u
            if product <= limit:
                break
            whole += 1.0
    return state, whole
