"""Laws of an array with resistive wires: Kirchhoff at every node, limits, superposition, reciprocity, gradients."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossbar.wires import WireParameters, effective_conductance, solve_crossbar, solve_nodes

ENDS = [("left", "bottom"), ("left", "both"), ("both", "bottom"), ("both", "both")]
ROUNDING = 1e-12  # of the largest current or entry: some hundred sums of float64


def conductances(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    g = torch.rand(shape, generator=rng, dtype=torch.float64) * 1e-4 + 1e-6
    return torch.where(torch.rand(shape, generator=rng) < 0.1, 0.0, g)


def voltages(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: Tensor, b: Tensor, scale: Tensor | float | None = None) -> None:
    largest = float(b.abs().max()) if scale is None else float(scale)
    torch.testing.assert_close(a, b, rtol=0, atol=ROUNDING * largest)


@pytest.mark.parametrize(("drivers", "sensed"), ENDS)
@pytest.mark.parametrize("ohm", [1e-6, 1.0, 1e3, 1e7])
def test_kirchhoffs_current_law_holds_at_every_node(drivers: Any, sensed: Any, ohm: float) -> None:
    """A wire's current is the voltage across it over its resistance, so rounding of voltages bounds the sum.

    A voltage is rounded to 1e-16 of 1 V, so a wire of 1 µΩ shows its current to 1e-10 A only: there the law is that
    all of the array's current comes in and goes out.
    """
    g, v = conductances(9, 14), voltages(3, 14)
    ends = {"drivers": drivers, "sensed": sensed, "source_resistance": 2 * ohm, "sense_resistance": 3 * ohm}
    s = solve_nodes(g, v, ohm, 2 * ohm, **ends)
    close(s.device_currents, g * (s.word_line_voltages - s.bit_line_voltages), s.device_currents.abs().max())
    first = (v - s.word_line_voltages[..., 0, :]) / (3 * ohm)
    last = (
        (v - s.word_line_voltages[..., -1, :]) / (3 * ohm) if drivers == "both" else torch.zeros_like(first)
    )
    bottom = s.bit_line_voltages[..., -1] / (5 * ohm)
    top = s.bit_line_voltages[..., 0] / (5 * ohm) if sensed == "both" else torch.zeros_like(bottom)
    largest = max(float(x.abs().max()) for x in (first, last, bottom, top, s.device_currents))
    rounding = 1e-12 * largest + 16 * torch.finfo(torch.float64).eps * float(v.abs().max()) / ohm
    along = -s.word_line_voltages.diff(dim=-2) / ohm
    into_word = torch.cat([first[..., None, :], along], -2) - torch.cat([along, -last[..., None, :]], -2)
    assert float((into_word - s.device_currents).abs().max()) < rounding
    along = -s.bit_line_voltages.diff(dim=-1) / (2 * ohm)
    out_of_bit = torch.cat([along, bottom[..., None]], -1) - torch.cat([-top[..., None], along], -1)
    assert float((out_of_bit - s.device_currents).abs().max()) < rounding
    close(s.currents, bottom + top, largest + rounding / 1e-12)
    close(s.currents.sum(-1), s.device_currents.sum((-1, -2)), largest)


@pytest.mark.parametrize(("drivers", "sensed"), ENDS)
def test_perfect_wires_leave_an_array_as_it_is(drivers: Any, sensed: Any) -> None:
    for g in (conductances(4, 7), conductances(7, 4), conductances(1, 1), conductances(2, 3, 5, 5)):
        close(effective_conductance(g, 0.0, 0.0, drivers=drivers, sensed=sensed), g)


def test_an_array_tends_to_the_perfect_one_as_its_wires_do() -> None:
    """The loss is linear in small resistances: at a millionth of an ohm a millionth of that at one ohm."""
    g = conductances(20, 30)
    lost = [g - effective_conductance(g, ohm, ohm) for ohm in (1e-3, 1e-6)]
    torch.testing.assert_close(lost[1] * 1e3, lost[0], rtol=1e-3, atol=1e-3 * float(lost[0].max()))


@pytest.mark.parametrize("ohm", [1e-9, 1.0, 1e9])
def test_one_device_is_a_series_of_resistors(ohm: float) -> None:
    for siemens in (1e-9, 1e-4, 1e3):
        got = effective_conductance(
            torch.tensor([[siemens]], dtype=torch.float64),
            ohm,
            2 * ohm,
            source_resistance=3.0,
            sense_resistance=4.0,
        )
        assert got.item() == pytest.approx(1 / (1 / siemens + 3 * ohm + 7.0), rel=1e-14)


def test_both_ends_of_one_device_are_in_parallel() -> None:
    g = torch.tensor([[1e-3]], dtype=torch.float64)
    got = effective_conductance(g, 10.0, 20.0, drivers="both", sensed="both")
    assert got.item() == pytest.approx(1 / (1e3 + 5 + 10), rel=1e-14)


def test_a_line_of_open_devices_carries_nothing_and_disturbs_nobody() -> None:
    g = conductances(6, 9)
    g[2], g[:, 4] = 0.0, 0.0
    effective = effective_conductance(g, 1.0, 1.0)
    assert float(effective[2].abs().max()) == float(effective[:, 4].abs().max()) == 0
    # A missing word line leaves its two segments of each bit line in series.
    s = solve_nodes(g, voltages(2, 9), 1.0, 1.0)
    assert float(s.device_currents[:, 2].abs().max()) == float(s.device_currents[..., 4].abs().max()) == 0


def test_devices_of_zero_resistance_are_the_limit_of_ever_better_ones() -> None:
    """A short circuit joins its two lines: 1e12 S and 1e15 S make no difference."""
    g = conductances(4, 6)
    effective = []
    for siemens in (1e12, 1e15):
        g[1, 2] = siemens
        effective.append(effective_conductance(g, 1.0, 1.0))
    close(effective[0], effective[1])
    assert bool(torch.isfinite(effective[1]).all())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    bits=st.integers(1, 8), words=st.integers(1, 8), word=st.floats(0, 1e6), bit=st.floats(0, 1e6),
    a=st.floats(-3, 3), ends=st.sampled_from(ENDS),
)  # fmt: skip
def test_currents_superpose(bits: int, words: int, word: float, bit: float, a: float, ends: Any) -> None:
    g, x, y = conductances(bits, words), voltages(2, words), voltages(2, words, seed=2)
    wires = {"drivers": ends[0], "sensed": ends[1]}
    solved = [solve_crossbar(g, v, word, bit, **wires) for v in (x, y, x + a * y)]
    close(solved[2], solved[0] + a * solved[1], max(1e-300, *(float(i.abs().max()) for i in solved)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    bits=st.integers(1, 8), words=st.integers(1, 8), word=st.floats(0, 1e6), bit=st.floats(0, 1e6),
    ends=st.sampled_from(ENDS),
)  # fmt: skip
def test_exchanging_drivers_and_sense_nodes_changes_nothing(
    bits: int, words: int, word: float, bit: float, ends: Any
) -> None:
    """Reciprocity: the transposed array, driven where it was sensed, turned so that the ends meet the convention."""
    g = conductances(bits, words)
    drivers, sensed = ends
    there = effective_conductance(g, word, bit, source_resistance=3.0, drivers=drivers, sensed=sensed)
    back = effective_conductance(
        g.mT.flip(-1, -2), bit, word, sense_resistance=3.0,
        drivers="both" if sensed == "both" else "left", sensed="both" if drivers == "both" else "bottom",
    )  # fmt: skip
    close(back.flip(-1, -2).mT, there, max(1e-300, float(there.max())))
    # The same array with the other order of elimination: a word line more without devices.
    padded = torch.nn.functional.pad(g, (words + bits, 0))
    close(effective_conductance(padded, word, bit, drivers=drivers)[..., words + bits :],
          effective_conductance(g, word, bit, drivers=drivers), float(g.max()))  # fmt: skip


def test_currents_never_exceed_what_perfect_wires_deliver() -> None:
    """For voltages of one sign; and effective conductances are never negative."""
    g = conductances(30, 20)
    effective = effective_conductance(g, 5.0, 5.0)
    assert float(effective.min()) >= 0
    assert bool((effective.sum(-1) <= g.sum(-1) + 1e-18).all())


@pytest.mark.parametrize(("drivers", "sensed"), ENDS)
@pytest.mark.parametrize(("bits", "words"), [(3, 4), (4, 3)])
def test_gradients_are_those_of_finite_differences(bits: int, words: int, drivers: Any, sensed: Any) -> None:
    g = (
        conductances(2, bits, words) * 1e5
    ).requires_grad_()  # some siemens, so that differences are of order one
    v = voltages(2, 3, words).requires_grad_()
    word = torch.linspace(0.1, 0.4, words, dtype=torch.float64).requires_grad_()

    def solve(g: Tensor, v: Tensor, word: Tensor) -> Tensor:
        return solve_crossbar(g, v, word, 0.2, sense_resistance=0.1, drivers=drivers, sensed=sensed)

    assert torch.autograd.gradcheck(solve, (g, v, word), raise_exception=True)
    assert torch.autograd.gradcheck(lambda g: effective_conductance(g, 0.0, 0.3, drivers=drivers), (g,))


def test_float32_comes_back_as_float32_with_its_own_rounding() -> None:
    g = conductances(12, 10)
    exact = effective_conductance(g, 1.0, 1.0)
    single = effective_conductance(g.float(), 1.0, 1.0)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-6, atol=1e-7 * float(exact.max()))


def test_wire_parameters_do_what_the_function_does() -> None:
    g = conductances(5, 6)
    wires = WireParameters(word_line=2.0, bit_line=3.0, source=4.0, sense=5.0, drivers="both", sensed="both")
    expected = effective_conductance(
        g, 2.0, 3.0, source_resistance=4.0, sense_resistance=5.0, drivers="both", sensed="both"
    )
    assert torch.equal(wires.effective_conductance(g), expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"conductance": torch.ones(3, 4, dtype=torch.int64)},
            "`conductance` must be a floating-point tensor",
        ),
        (
            {"conductance": torch.ones(4)},
            r"`conductance` must have the shape \(\.\.\., bit_lines, word_lines\)",
        ),
        ({"conductance": -torch.ones(3, 4)}, "`conductance` must be 0 S or more and finite, but is -1.0"),
        (
            {"conductance": torch.full((3, 4), math.nan)},
            "`conductance` must be 0 S or more and finite, but is nan",
        ),
        ({"voltages": torch.ones(2, 3)}, r"`voltages` must have the shape \(\.\.\., inputs, 4\)"),
        ({"voltages": torch.ones(2, 4, dtype=torch.int64)}, "`voltages` must be a floating-point tensor"),
        (
            {"word_line_resistance": -1.0},
            "`word_line_resistance` must be 0 ohm or more and finite, but is -1.0",
        ),
        ({"bit_line_resistance": math.inf}, "`bit_line_resistance` must be 0 ohm or more and finite"),
        ({"bit_line_resistance": torch.ones(4)}, r"`bit_line_resistance` must be a number or have the shape"),
        ({"drivers": "right"}, "`drivers` must be 'left' or 'both', but is 'right'"),
        ({"sensed": "top"}, "`sensed` must be 'bottom' or 'both', but is 'top'"),
    ],
)
def test_what_no_array_has_is_refused(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "conductance": torch.ones(3, 4), "voltages": torch.ones(2, 4), "word_line_resistance": 1.0,
        "bit_line_resistance": 1.0, **changed,
    }  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=message):
        solve_crossbar(**arguments)


@pytest.mark.parametrize("name", ["word_line", "bit_line", "source", "sense"])
def test_wires_of_negative_resistance_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be 0 ohm or more and finite"):
        WireParameters(**{name: -1.0})


def test_loss_grows_with_the_square_of_the_size_times_the_resistance() -> None:
    """Long lines are diffusive: twice the lines at a quarter of the resistance lose the same, up to one segment."""
    losses = []
    for size, ohm in ((16, 64.0), (32, 16.0), (64, 4.0)):
        g = torch.full((size, size), 5e-6, dtype=torch.float64)
        losses.append(1 - float(effective_conductance(g, ohm, ohm).sum() / g.sum()))
        assert losses[-1] == pytest.approx(losses[0], rel=2 / 16)
    # What differs is the one segment more at each end, which halves as the size doubles.
    assert losses[0] - losses[1] == pytest.approx(2 * (losses[1] - losses[2]), rel=0.05)


@pytest.mark.parametrize("resistance", [1e-250, 1e-306, 1e-308, 1e-310, 5e-324])
def test_wires_without_a_resistance_that_counts_are_ideal(resistance):
    """Below 1e-308 ohm the reciprocal overflows, and gave NaN."""
    g = torch.tensor([[1e-5, 2e-5, 0.0], [3e-6, 1e-6, 4e-5]], dtype=torch.float64)
    ends = {
        "drivers": "both",
        "sensed": "both",
        "source_resistance": resistance,
        "sense_resistance": resistance,
    }
    for options in ({}, ends):
        assert torch.equal(
            effective_conductance(g, resistance, resistance, **options),
            effective_conductance(
                g,
                0.0,
                0.0,
                **{name: 0.0 if value == resistance else value for name, value in options.items()},
            ),
        )
        assert torch.allclose(effective_conductance(g, resistance, 0.0), g, rtol=1e-13)
