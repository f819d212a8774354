"""Arrays with resistive wires against two solvers that we did not write: badcrossbar, and scipy's sparse LU.

badcrossbar needs cairo's headers to be installed, so its currents lie beside this file. The nodal matrix for scipy is
Kirchhoff's current law and nothing else. All are float64, with some 1e4 nodes and condition numbers near 1e6.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from crossbar.wires import effective_conductance, solve_crossbar, solve_nodes

Array = NDArray[np.float64]
CASES = json.loads((Path(__file__).parent / "badcrossbar.json").read_text())["cases"]
TOLERANCE = 1e-10  # asked for; relative to the largest current. Found: below 1e-13


def random_array(bits: int, words: int, seed: int) -> tuple[Array, Array]:
    """Draw devices between 2.5 and 100 µS, 5 % of them open and 3 % shorted to 10 mS, and 3 inputs."""
    rng = np.random.default_rng(seed)
    g = rng.uniform(1 / 400e3, 1 / 10e3, (bits, words))
    fate = rng.random((bits, words))
    g = np.where(fate < 0.05, 0.0, np.where(fate > 0.97, 1 / 100.0, g))
    return g, rng.uniform(-0.2, 0.2, (3, words))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['bits']}x{case['words']}")
def test_currents_equal_those_of_badcrossbar(case: dict[str, Any]) -> None:
    g, v = random_array(case["bits"], case["words"], case["seed"])
    expected = torch.tensor(case["currents"], dtype=torch.float64)
    v = v[: len(expected)]
    atol = TOLERANCE * float(expected.abs().max())
    wires = (case["word_line"], case["bit_line"])
    currents = solve_crossbar(torch.tensor(g), torch.tensor(v), *wires)
    torch.testing.assert_close(currents, expected, rtol=0, atol=atol)
    effective = effective_conductance(torch.tensor(g), *wires)
    torch.testing.assert_close(torch.tensor(v) @ effective.mT, expected, rtol=0, atol=atol)


def nodal(
    g: Array, v: Array, wires: dict[str, Array], drivers: str, sensed: str
) -> tuple[Array, Array, Array]:
    """Solve Kirchhoff's laws: currents (inputs, bits), voltages of word and bit lines (inputs, bits, words)."""
    bits, words = g.shape
    word, bit = np.arange(2 * g.size).reshape(2, bits, words)
    on_word = 1 / np.broadcast_to(wires["word"], (bits - 1, words))
    on_bit = 1 / np.broadcast_to(wires["bit"][:, None], (bits, words - 1))
    links = [(word, bit, g), (word[:-1], word[1:], on_word), (bit[:, :-1], bit[:, 1:], on_bit)]
    a, b, c = (np.concatenate([np.ravel(link[i]) for link in links]) for i in range(3))
    driver, sense = 1 / (wires["word"] + wires["source"]), 1 / (wires["bit"] + wires["sense"])
    driven = [word[0]] + [word[-1]] * (drivers == "both")
    sensing = [bit[:, -1]] + [bit[:, 0]] * (sensed == "both")
    ends = [(nodes, driver) for nodes in driven] + [(nodes, sense) for nodes in sensing]
    rows = np.concatenate([a, b, a, b, *(nodes for nodes, _ in ends)])
    columns = np.concatenate([a, b, b, a, *(nodes for nodes, _ in ends)])
    values = np.concatenate([c, c, -c, -c, *(conductance for _, conductance in ends)])
    injected = np.zeros((2 * g.size, len(v)))
    for nodes in driven:
        injected[nodes] += (driver * v).T
    solved = splu(csc_matrix((values, (rows, columns)))).solve(injected)
    at_word, at_bit = solved.T.reshape(len(v), 2, bits, words).swapaxes(0, 1)
    currents = sum(np.take(at_bit, -1 + k, axis=-1) * sense for k in range(len(sensing)))
    return np.asarray(currents), at_word, at_bit


@pytest.mark.parametrize("sensed", ["bottom", "both"])
@pytest.mark.parametrize("drivers", ["left", "both"])
@pytest.mark.parametrize(
    ("bits", "words"), [(1, 1), (1, 6), (6, 1), (2, 2), (5, 9), (9, 5), (33, 60), (60, 33)]
)
def test_every_node_equals_the_sparse_solution(bits: int, words: int, drivers: Any, sensed: Any) -> None:
    g, v = random_array(bits, words, seed=bits + words)
    rng = np.random.default_rng(7)
    shapes = {"word": words, "bit": bits, "source": words, "sense": bits}
    wires = {name: rng.uniform(0.5, 20.0, lines) for name, lines in shapes.items()}
    currents, at_word, at_bit = nodal(g, v, wires, drivers, sensed)
    tensors = {name: torch.tensor(values) for name, values in wires.items()}
    arguments: dict[str, Any] = {
        "word_line_resistance": tensors["word"],
        "bit_line_resistance": tensors["bit"],
        "source_resistance": tensors["source"],
        "sense_resistance": tensors["sense"],
        "drivers": drivers,
        "sensed": sensed,
    }
    solution = solve_nodes(torch.tensor(g), torch.tensor(v), **arguments)
    largest = float(np.abs(currents).max())
    device_currents = g * (at_word - at_bit)
    for ours, theirs, scale in [
        (solution.currents, currents, largest),
        (solve_crossbar(torch.tensor(g), torch.tensor(v), **arguments), currents, largest),
        (torch.tensor(v) @ effective_conductance(torch.tensor(g), **arguments).mT, currents, largest),
        (solution.word_line_voltages, at_word, 0.2),
        (solution.bit_line_voltages, at_bit, 0.2),
        (solution.device_currents, device_currents, float(np.abs(device_currents).max())),
    ]:
        torch.testing.assert_close(ours, torch.tensor(theirs), rtol=0, atol=TOLERANCE * scale)


def test_many_tiles_at_once_equal_each_alone() -> None:
    g = torch.tensor(np.stack([random_array(7, 12, seed)[0] for seed in range(6)])).reshape(3, 2, 7, 12)
    word = torch.linspace(0.5, 3.0, 36, dtype=torch.float64).reshape(3, 1, 12)
    together = effective_conductance(g, word, 2.0)
    for i in range(3):
        for j in range(2):
            alone = effective_conductance(g[i, j], word[i, 0], 2.0)
            torch.testing.assert_close(together[i, j], alone, rtol=1e-13, atol=0)


def test_the_published_loss_of_a_large_array() -> None:
    """Mean loss of 128 and 64 lines at 10 kΩ and 1 Ω: 35.3 and 12.6 % (our notes' table of badcrossbar)."""
    for lines, loss in [(64, 0.126), (128, 0.353)]:
        rng = np.random.default_rng(0)
        g = torch.tensor(rng.uniform(1 / 400e3, 1 / 10e3, (lines, lines)))
        v = torch.full((1, lines), 0.2, dtype=torch.float64)
        lost = 1 - solve_crossbar(g, v, 1.0, 1.0) / (v @ g.mT)
        # Another draw of the conductances: their mean scatters by 56 % / lines, the loss about as much.
        assert float(lost.mean()) == pytest.approx(loss, rel=5 * 0.56 / lines)
