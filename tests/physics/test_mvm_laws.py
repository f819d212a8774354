"""Laws of the batched analog product: linear where nothing is quantised, blind to order, straight-through.

Weights are multiples of 2**-8, inputs of 2**-10, and the DAC has steps of 2**-6: every sum is exact in
float32, so that the order of summation cannot move a value across a rounding tie. Equal then means to the
last bit.
"""

from typing import Any

import pytest
import torch
from aihwkit.simulator.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType
from aihwkit.simulator.parameters.io import IOParameters
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossbar.reading.mvm import Periphery, analog_mvm
from crossbar.reading.noise import NoiseStream

NM, BM, MV = NoiseManagementType, BoundManagementType, AnalogMVType
TILES, BATCH, OUT, IN = 3, 12, 5, 7
CONVERTERS_OFF = {"inp_res": -1.0, "out_res": -1.0}


def quiet(**changes: Any) -> IOParameters:
    return IOParameters(**{"out_noise": 0.0, "inp_res": 1 / 128, **changes})


def periphery(io: IOParameters) -> Periphery:
    return Periphery(io, TILES, OUT, IN, rng=torch.Generator().manual_seed(5))


def product(weight: Tensor, x: Tensor, io: IOParameters, parts: Periphery | None = None) -> Tensor:
    return analog_mvm(weight, x, io, parts or periphery(io), NoiseStream(0, "unused"))


def weights(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.randint(-256, 257, (TILES, OUT, IN), generator=rng) / 256).to(dtype)


def inputs(seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(TILES, BATCH, IN, generator=rng) * 1024).round().div(1024).to(dtype)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(a=st.floats(-3, 3), b=st.floats(-3, 3), seed=st.integers(0, 1000))
def test_a_perfect_product_is_linear(a: float, b: float, seed: int) -> None:
    io = quiet(is_perfect=True, out_scale=0.7)
    w, x, z = weights(seed, torch.float64), inputs(seed, torch.float64), inputs(seed + 1, torch.float64)
    # 7 products below 12 each and a few roundings of 1.1e-16.
    torch.testing.assert_close(
        product(w, a * x + b * z, io), a * product(w, x, io) + b * product(w, z, io), rtol=0, atol=1e-13
    )
    torch.testing.assert_close(product(w, x, io), 0.7 * x @ w.mT, rtol=0, atol=1e-13)


IDEAL_PARTS: dict[str, dict[str, Any]] = {
    "no management": {"noise_management": NM.NONE, "bound_management": BM.NONE, "inp_bound": 10.0},
    "no bounds": {"noise_management": NM.NONE, "inp_bound": -1.0, "out_bound": -1.0},
    "abs-max": {"noise_management": NM.ABS_MAX},
    "sum": {"noise_management": NM.ABS_MAX_NP_SUM},
    "two passes": {"mv_type": MV.POS_NEG_SEPARATE, "out_scale": 2.0},
    "two passes, added digitally": {"mv_type": MV.POS_NEG_SEPARATE_DIGITAL_SUM},
    "bound managed": {"out_bound": 0.25, "bound_management": BM.ITERATIVE},
}


@pytest.mark.parametrize("name", IDEAL_PARTS)
def test_ideal_parts_make_a_perfect_product_with_exact_gradients(name: str) -> None:
    io = quiet(**{**CONVERTERS_OFF, **IDEAL_PARTS[name]})
    w, x = weights(dtype=torch.float64), inputs(dtype=torch.float64)
    torch.testing.assert_close(product(w, x, io), io.out_scale * x @ w.mT, rtol=0, atol=1e-12)
    # Finite differences: steps of 1e-6 and sums below 30 leave an error of 30 * 1.1e-16 / 1e-6 = 3e-9.
    arguments = (w.requires_grad_(), x[:, :3].clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda w, x: product(w, x, io), arguments, atol=1e-7, rtol=0)


def test_the_perfect_path_has_exact_gradients() -> None:
    io = quiet(is_perfect=True, out_scale=0.7)
    arguments = (weights(dtype=torch.float64).requires_grad_(), inputs(dtype=torch.float64).requires_grad_())
    assert torch.autograd.gradcheck(lambda w, x: product(w, x, io), arguments, atol=1e-7, rtol=0)


REAL_PARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "clipping": {"out_bound": 0.5},
    "clipping, worst case": {"out_bound": 0.5, "bound_management": BM.ITERATIVE_WORST_CASE},
    "clipping, not managed": {"out_bound": 0.5, "bound_management": BM.NONE},
    "two passes": {"mv_type": MV.POS_NEG_SEPARATE_DIGITAL_SUM, "out_bound": 1.0},
    "output stages": {"v_offset_std": 0.1, "v_offset_w_min": 0.0, "out_nonlinearity": 0.5, "out_bound": 1.0},
}


@pytest.mark.parametrize("name", REAL_PARTS)
def test_order_of_outputs_tiles_and_vectors_does_not_matter(name: str) -> None:
    io = quiet(**REAL_PARTS[name])
    w, x, parts = weights(), inputs(), periphery(io)
    x[1, 4] = 0.0
    y = product(w, x, io, parts)
    assert y.unique().numel() > 20

    tiles, outputs = torch.tensor([2, 0, 1]), torch.tensor([3, 0, 4, 2, 1])
    vectors = torch.randperm(BATCH, generator=torch.Generator().manual_seed(2))
    moved = periphery(io)
    for kind in ("v_offset", "out_nonlinearity"):
        values = getattr(parts, kind)
        if values is not None:
            setattr(moved, kind, values[tiles][:, outputs])
    if parts.nonlinearity_factor is not None:
        moved.nonlinearity_factor = parts.nonlinearity_factor[tiles]
    result = product(w[tiles][:, outputs], x[tiles][:, vectors], io, moved)
    assert torch.equal(result, y[tiles][:, vectors][:, :, outputs])


@pytest.mark.parametrize("name", REAL_PARTS)
def test_word_lines_without_resistance_are_alike(name: str) -> None:
    io = quiet(**REAL_PARTS[name])
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    parts = periphery(io)
    assert torch.equal(
        product(weights()[:, :, order], inputs()[:, :, order], io, parts),
        product(weights(), inputs(), io, parts),
    )


def test_resistance_makes_word_lines_differ() -> None:
    io = quiet(ir_drop=1.0, ir_drop_g_ratio=10.0)
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    y = product(weights(), inputs(), io)
    assert (product(weights()[:, :, order], inputs()[:, :, order], io) - y).abs().max() > 0.1


@pytest.mark.parametrize("name", REAL_PARTS)
def test_a_batch_is_its_vectors_one_by_one(name: str) -> None:
    io = quiet(**REAL_PARTS[name])
    w, x, parts = weights(), inputs(), periphery(io)
    one_by_one = [product(w, x[:, b : b + 1], io, parts) for b in range(BATCH)]
    assert torch.equal(product(w, x, io, parts), torch.cat(one_by_one, dim=1))


@pytest.mark.parametrize("factor", [2.0**-12, 4.0, 2.0**20])
@pytest.mark.parametrize("kind", [NM.ABS_MAX, NM.MAX, NM.ABS_MAX_NP_SUM, NM.AVERAGE_ABS_MAX])
def test_noise_management_takes_out_the_size_of_the_inputs(kind: NoiseManagementType, factor: float) -> None:
    io = quiet(noise_management=kind, out_bound=0.5)
    assert torch.equal(product(weights(), factor * inputs(), io), factor * product(weights(), inputs(), io))


def gradients(io: IOParameters, w: Tensor, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    w, x = w.clone().requires_grad_(), x.clone().requires_grad_()
    product(w, x, io).backward(g)
    assert w.grad is not None
    assert x.grad is not None
    return w.grad, x.grad


@pytest.mark.parametrize("scale_of_inputs", [1.0, 1.5])
@pytest.mark.parametrize("mv_type", [MV.ONE_PASS, MV.POS_NEG_SEPARATE])
def test_what_a_converter_clips_has_no_gradient(scale_of_inputs: float, mv_type: AnalogMVType) -> None:
    """Straight through: dL/dx = Wᵀ (m_out g) * m_in and dL/dW = (m_out g) x_preparedᵀ / scale."""
    io = quiet(
        noise_management=NM.CONSTANT,
        nm_thres=scale_of_inputs,
        bound_management=BM.NONE,
        out_bound=1.5,
        out_res=48.0,
        out_scale=0.5,
        mv_type=mv_type,
    )
    w, x, g = weights(), inputs(), inputs(7)[:, :, :OUT].contiguous()
    voltage = x / scale_of_inputs
    inside_dac = voltage.abs() <= 1
    prepared = ((voltage * 64).round() / 64).clamp(-1, 1)
    current = prepared @ w.mT
    inside_adc = ((current * 16).round() / 16).abs() <= 1.5
    assert 0.02 < (~inside_dac).float().mean() < 0.9
    assert 0.02 < (~inside_adc).float().mean() < 0.9
    grad_w, grad_x = gradients(io, w, x, g)
    passed = 0.5 * g * inside_adc
    # Sums of at most 12 products below 20 in float32.
    torch.testing.assert_close(grad_x, (passed @ w) * inside_dac, rtol=0, atol=1e-5)
    expected = passed.mT @ (prepared * scale_of_inputs)
    torch.testing.assert_close(grad_w, expected, rtol=0, atol=3e-5)
    assert grad_x[~inside_dac].eq(0).all()


def test_gradient_counts_with_what_the_last_repetition_carried() -> None:
    io = quiet(noise_management=NM.ABS_MAX, bound_management=BM.ITERATIVE, out_bound=1.5, out_res=48.0)
    w, x, g = weights(), inputs(), inputs(7)[:, :, :OUT].contiguous()
    largest = x.abs().amax(2, keepdim=True)
    reduction, reductions = torch.ones(TILES, BATCH, 1), []
    for _ in range(5):
        prepared = (x / largest / reduction * 64).round() / 64
        code = (prepared @ w.mT * 16).round() / 16
        clipped = (code.abs() > 1.5).any(2, keepdim=True)
        reductions.append(int(clipped.sum()))
        reduction = torch.where(clipped, 2 * reduction, reduction)
    assert reductions[0] > 3
    assert reductions[-1] == 0
    grad_w, grad_x = gradients(io, w, x, g)
    # Nothing is clipped in the end. Sums of at most 12 products below 30 in float32.
    torch.testing.assert_close(grad_x, g @ w, rtol=0, atol=1e-5)
    torch.testing.assert_close(grad_w, g.mT @ (prepared * largest * reduction), rtol=0, atol=5e-5)


def test_gradients_of_one_vector_stay_with_it() -> None:
    io = quiet(out_bound=0.5)
    g = torch.zeros(TILES, BATCH, OUT)
    g[1, 3] = 1.0
    grad_w, grad_x = gradients(io, weights(), inputs(), g)
    others = torch.ones(TILES, BATCH, dtype=torch.bool)
    others[1, 3] = False
    assert grad_x[others].eq(0).all()
    assert grad_x[1, 3].ne(0).any()
    assert grad_w[0].eq(0).all()
    assert grad_w[2].eq(0).all()
    assert grad_w[1].ne(0).any()


def test_a_vector_without_voltage_has_no_output_and_no_gradient() -> None:
    io = quiet(noise_management=NM.MAX, bound_management=BM.NONE)
    weight, x = weights().requires_grad_(), inputs()
    x[1, 2] = -x[1, 2].abs() - 1  # its largest input is negative: no positive scale
    x[2, 0] = 0.0
    x.requires_grad_()
    y = product(weight, x, io)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    for tile, vector in ((1, 2), (2, 0)):
        assert y[tile, vector].eq(0).all()
        assert x.grad[tile, vector].eq(0).all()
    assert x.grad[0].ne(0).any()
