"""Chips with resistive wires against Ohm's law by hand, scipy's nodal solve, and aihwkit's own tile."""

import copy

import numpy as np
import pytest
import torch
from aihwkit.inference.converter.conductance import SinglePairConductanceConverter
from aihwkit.simulator.configs import ConstantStepDevice, SingleRPUConfig
from aihwkit.simulator.tiles import AnalogTile
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

from crossbar import TileArray, WireParameters
from crossbar.aihwkit.adapter import BoundManagementType, NoiseManagementType
from crossbar.wires.tiles import seen_through
from devices import Faults, get

OUT, IN = 5, 7
FLOAT32 = 1e-6  # a few roundings of numbers below 1
WIRES = WireParameters(word_line=40.0, bit_line=15.0, source=30.0, sense=10.0)


def array(wires: WireParameters | None, tiles: int = 3, device: str = "pcm") -> TileArray:
    config = get(device).rpu_config(weight_noise=0.0)
    config.forward.is_perfect = True
    config.drift_compensation = None
    made = TileArray(tiles, OUT, IN, config, wires=wires, seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    made.set_kernels(torch.rand(tiles, OUT, IN, generator=rng) * 2 - 1)
    return made


def nodal(g: np.ndarray, wires: WireParameters) -> np.ndarray:
    """Solve Kirchhoff's laws for one volt on each word line in turn: (bits, words) in S."""
    bits, words = g.shape
    word, bit = np.arange(2 * g.size).reshape(2, bits, words)
    matrix = np.zeros((2 * g.size, 2 * g.size))

    def link(a: int, b: int | None, siemens: float) -> None:
        matrix[a, a] += siemens
        if b is not None:
            matrix[b, b] += siemens
            matrix[a, b] -= siemens
            matrix[b, a] -= siemens

    driver, sense = 1 / (wires.source + wires.word_line), 1 / (wires.sense + wires.bit_line)
    for i in range(bits):
        for j in range(words):
            link(word[i, j], bit[i, j], g[i, j])
            if i:
                link(word[i, j], word[i - 1, j], 1 / wires.word_line)
            if j:
                link(bit[i, j], bit[i, j - 1], 1 / wires.bit_line)
    for j in range(words):
        link(word[0, j], None, driver)
    for i in range(bits):
        link(bit[i, -1], None, sense)
    injected = np.zeros((2 * g.size, words))
    injected[word[0], np.arange(words)] = driver
    voltages = spsolve(csc_matrix(matrix), csc_matrix(injected)).toarray()
    return np.asarray(voltages[bit[:, -1]] * sense)


@pytest.mark.parametrize("faults", [None, Faults(stuck_high=0.1, stuck_low=0.1, dead_rows=0.1)])
@pytest.mark.parametrize("time", [None, 3600.0])
def test_a_chip_is_read_as_kirchhoff_says(faults: Faults | None, time: float | None) -> None:
    """Programmed, drifted, faulty: both arrays of each pair by themselves, tile by tile."""
    chip = array(WIRES)
    chip.program(seed=3, faults=faults)
    devices = chip.programmed
    assert devices is not None
    conductances = devices.g_programmed if time is None else devices.conductances(time)
    weights = devices.programmed_weights if time is None else devices.drifted_weights(time)
    largest = chip.target_weights().abs().amax(dim=(1, 2))
    plain = copy.deepcopy(devices)
    plain.circuit = None
    changed = False
    for tile in range(3):
        plus, minus = (nodal(g[tile].double().numpy() * 1e-6, WIRES) * 1e6 for g in conductances)
        expected = torch.tensor(plus - minus) / 25.0 * float(largest[tile])
        torch.testing.assert_close(weights[tile].double(), expected, rtol=0, atol=2 * FLOAT32)
        ideal = plain.programmed_weights if time is None else plain.drifted_weights(time)
        changed |= bool((ideal[tile] - weights[tile]).abs().max() > 1e-3)
    assert changed  # wires that change nothing would pass, too


def test_which_way_the_lines_run() -> None:
    """A single device stands in series with the wire to it: (bit + 1) segments one way, (words - word) the other."""
    bit, word, microsiemens = 3, 1, 25.0
    g = torch.zeros(1, OUT, IN)
    g[0, bit, word] = microsiemens
    wires = WireParameters(word_line=100.0, bit_line=1000.0)
    (seen,) = seen_through(wires, [g])
    ohm = 1e6 / microsiemens + 100.0 * (bit + 1) + 1000.0 * (IN - word)
    expected = torch.zeros(1, OUT, IN)
    expected[0, bit, word] = 1e6 / ohm
    torch.testing.assert_close(seen, expected, rtol=1e-6, atol=1e-12)


def test_wires_without_resistance_change_nothing() -> None:
    """µS to S and back, in float64, moves the last bit at most."""
    ideal, wired = array(None), array(WireParameters(word_line=0.0, bit_line=0.0))
    for chip in (ideal, wired):
        chip.program(seed=3)
    assert ideal.reading is not None
    assert wired.reading is not None
    torch.testing.assert_close(ideal.reading.weight, wired.reading.weight, rtol=3e-7, atol=0)


@pytest.mark.parametrize("device", ["pcm", "reram-cmo", "reram-wan2022", "pcm-hermes-single"])
def test_every_kind_of_cell_has_its_arrays(device: str) -> None:
    """More resistance takes more, for pairs, single devices and pairs of pairs."""
    errors = []
    for ohm in (1.0, 10.0, 100.0):
        ideal, wired = (
            array(None, device=device),
            array(WireParameters(word_line=ohm, bit_line=ohm), device=device),
        )
        for chip in (ideal, wired):
            chip.program(seed=3)
        assert ideal.reading is not None
        assert wired.reading is not None
        errors.append(float((ideal.reading.weight - wired.reading.weight).abs().mean()))
    assert 0 < errors[0] < errors[1] < errors[2]


def test_wires_take_the_place_of_the_approximation() -> None:
    """aihwkit's `ir_drop` on top of exact wires would count them twice."""
    x = torch.rand(3, 4, IN, generator=torch.Generator().manual_seed(4))
    outputs = []
    for ir_drop in (0.0, 1.0):
        chip = array(WIRES)
        io = chip.rpu_config.forward
        io.is_perfect, io.out_noise, io.w_noise, io.inp_res, io.out_res = False, 0.0, 0.0, -1.0, -1.0
        io.ir_drop, io.ir_drop_g_ratio = ir_drop, 1e3
        chip.program(seed=3)
        outputs.append(chip(x))
    assert torch.equal(*outputs)


def test_the_nearest_word_line_of_aihwkit_is_the_first() -> None:
    """Its documentation says the first input is the farthest; our comparison turns the array because it is not."""
    config = SingleRPUConfig(device=ConstantStepDevice(w_max_dtod=0, w_min_dtod=0, w_max=1, w_min=-1))
    io = config.forward
    io.inp_res = io.out_res = -1.0
    io.inp_noise = io.out_noise = io.inp_bound = io.out_bound = 0.0
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    io.ir_drop, io.ir_drop_g_ratio = 1.0, 1 / (100.0 * 25e-6)
    tile = AnalogTile(1, IN, config)
    tile.set_weights(torch.full((1, IN), 0.5))
    lost = 0.5 - tile.forward(torch.eye(IN)).detach().flatten()
    assert float(lost[0]) == 0
    assert bool((lost.diff() > 0).all())
    g = torch.full((1, 1, IN), 12.5)
    (seen,) = seen_through(WireParameters(word_line=0.0, bit_line=100.0), [g])
    assert bool(((g - seen).flatten().diff() < 0).all())  # ours: the last is the nearest


def test_the_approximation_is_the_bit_line_alone() -> None:
    """What `xbar wires` sets: conductance of a segment over that of the largest device, for small drops.

    In a uniform array with all inputs on, the mean device lies behind two thirds of the line's n^2 / 2 segments:
    aihwkit's fit for small currents agrees with the exact sum to 1/n and 10 %.
    """
    words, ohm, largest = 200, 0.05, 25e-6
    config = SingleRPUConfig(device=ConstantStepDevice(w_max_dtod=0, w_min_dtod=0, w_max=1, w_min=-1))
    io = config.forward
    io.inp_res = io.out_res = -1.0
    io.inp_noise = io.out_noise = io.inp_bound = io.out_bound = 0.0
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    io.ir_drop, io.ir_drop_g_ratio = 1.0, 1 / (ohm * largest)
    tile = AnalogTile(1, words, config)
    tile.set_weights(torch.full((1, words), 0.5))
    approximate = 1 - float(tile.forward(torch.ones(1, words)).detach()) / (0.5 * words)
    g = torch.full((1, 1, words), 0.5 * largest * 1e6)
    (seen,) = seen_through(WireParameters(word_line=0.0, bit_line=ohm), [g])
    exact = 1 - float(seen.sum() / g.sum())
    assert exact == pytest.approx(ohm * 0.5 * largest * words**2 / 3, rel=0.05)  # sum of squares, first order
    assert approximate == pytest.approx(exact, rel=0.1)


def test_the_converter_is_the_pair_that_the_test_computes_with() -> None:
    converter = get("pcm").noise_model().g_converter
    assert isinstance(converter, SinglePairConductanceConverter)
    assert (converter.g_min, converter.g_max) == (0.0, 25.0)
