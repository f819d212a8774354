"""How badly wires and devices may differ: against mpmath's solution of Kirchhoff's laws with 80 digits."""

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from crossbar import effective_conductance

BITS, WORDS = 4, 5


def exact(g: np.ndarray, word: float, bit: float) -> np.ndarray:
    """Solve the nodes of an array for one volt on each word line in turn, with 80 digits."""
    with mpmath.workdps(80):
        bits, words = g.shape
        size = 2 * bits * words
        matrix, injected = mpmath.zeros(size, size), mpmath.zeros(size, words)
        on_word = {(i, j): i * words + j for i in range(bits) for j in range(words)}
        on_bit = {place: number + bits * words for place, number in on_word.items()}

        def link(a: int, b: int | None, siemens: mpf) -> None:
            matrix[a, a] += siemens
            if b is not None:
                matrix[b, b] += siemens
                matrix[a, b] -= siemens
                matrix[b, a] -= siemens

        for i, j in on_word:
            link(on_word[i, j], on_bit[i, j], mpf(g[i, j]))
            link(on_word[i, j], on_word[i - 1, j] if i else None, 1 / mpf(word))
            link(on_bit[i, j], on_bit[i, j + 1] if j + 1 < words else None, 1 / mpf(bit))
        for j in range(words):
            injected[on_word[0, j], j] = 1 / mpf(word)
        rows = []
        for j in range(words):
            voltages = mpmath.lu_solve(matrix, injected[:, j])
            rows.append([float(voltages[on_bit[i, words - 1]] / mpf(bit)) for i in range(bits)])
        return np.array(rows).T


@pytest.mark.parametrize("bit", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("word", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("spread", [1.0, 1e9])
def test_every_entry_is_right_whatever_the_wires(word: float, bit: float, spread: float) -> None:
    """From a millionth of a millionth of an ohm to a million millions, with devices that differ by nine orders.

    Every entry, also the smallest, to some hundred roundings of float64.
    """
    rng = np.random.default_rng(int(spread) % 7)
    g = 1e-4 * spread ** -rng.random((BITS, WORDS))
    got = effective_conductance(torch.tensor(g), word, bit).numpy()
    np.testing.assert_allclose(got, exact(g, word, bit), rtol=1e-12, atol=0)
