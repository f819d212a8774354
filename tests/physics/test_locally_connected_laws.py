"""One kernel is a convolution, every placement its sum written out, gradients those of finite differences."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from crossbar.layers.locally_connected import LocallyConnected2d

SPECS = [
    "free",
    "time_multiplexed",
    "replicated(tiles=3,sync_every=5)",
    "blocks(rows=2,cols=2)",
    "random(tiles=3)",
    "random(tiles=2,redraw=True,seed=1)",
    "interleaved(period=2)",
]


@torch.no_grad()
def rounding(layer, x):
    """Bound of the difference of two float64 sums of one patch, their terms in different orders.

    Each of the two errs by at most n * eps * sum |term| with n terms, bias included; |term| is bounded by the
    largest weight times the largest input.
    """
    terms = layer.geometry.patch_size + 1
    largest = layer.weight.abs().max() * x.abs().max() + (0 if layer.bias is None else layer.bias.abs().max())
    return 2 * terms * torch.finfo(torch.double).eps * terms * float(largest)


def write_out(layer, x):
    """Compute the layer location by location, element by element of the kernel, from its definition."""
    g = layer.geometry
    rows, columns = g.output_size
    padded = torch.zeros(len(x), g.in_channels, *g.padded_size, dtype=x.dtype)
    (top, left), (height, width) = g.padding, g.input_size
    padded[:, :, top : top + height, left : left + width] = x
    y = torch.zeros(len(x), g.out_channels, rows, columns, dtype=x.dtype)
    for i in range(rows):
        for j in range(columns):
            kernel = int(layer.placement.kernel_of_location[i * columns + j])
            if layer.bias is not None:
                y[:, :, i, j] += layer.bias[kernel]
            for k in range(g.kernel_size[0]):
                for m in range(g.kernel_size[1]):
                    row = i * g.stride[0] + k * g.dilation[0]
                    column = j * g.stride[1] + m * g.dilation[1]
                    y[:, :, i, j] += padded[:, :, row, column] @ layer.weight[kernel, :, :, k, m].T
    return y


small = st.integers(1, 3)
pairs = st.tuples(small, small)


@st.composite
def sizes(draw):
    input_size = draw(st.tuples(st.integers(2, 7), st.integers(2, 7)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    kernel_size, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    for size, zeros, kernel, step in zip(input_size, padding, kernel_size, dilation, strict=True):
        assume(step * (kernel - 1) + 1 <= size + 2 * zeros)
    return draw(small), draw(small), kernel_size, input_size, stride, padding, dilation, draw(st.booleans())


batches = st.sampled_from([1, 3, 17])  # below and above the number of vectors where the product changes


@settings(deadline=None, max_examples=100)
@given(
    sizes(), batches, st.sampled_from(["time_multiplexed", "replicated(tiles=1)", "blocks(rows=1,cols=1)"])
)
def test_one_kernel_is_a_convolution(size, batch, spec):
    layer = LocallyConnected2d(*size, placement=spec).double()
    g = layer.geometry
    convolution = nn.Conv2d(
        g.in_channels,
        g.out_channels,
        g.kernel_size,
        g.stride,
        g.padding,
        g.dilation,
        bias=layer.bias is not None,
    ).double()
    with torch.no_grad():
        convolution.weight.copy_(layer.weight[0])
        if layer.bias is not None:
            convolution.bias.copy_(layer.bias[0])
    x = torch.randn(batch, g.in_channels, *g.input_size, dtype=torch.double, requires_grad=True)
    y, expected = layer(x), convolution(x)
    assert y.shape == expected.shape
    assert (y - expected).abs().max() <= rounding(layer, x)

    slope = torch.randn_like(expected)
    ours = torch.autograd.grad(y, [x, *layer.parameters()], slope)
    theirs = torch.autograd.grad(expected, [x, *convolution.parameters()], slope)
    for grad, reference in zip(ours, theirs, strict=True):
        # A gradient sums over at most this many terms, each a product of two of these numbers.
        terms = batch * g.locations * (g.patch_size + 1) * g.out_channels
        largest = float(slope.abs().max()) * max(
            1.0, *(float(t.detach().abs().max()) for t in (x, layer.weight))
        )
        bound = 2 * terms * torch.finfo(torch.double).eps * terms * largest
        assert (grad.reshape(reference.shape) - reference).abs().max() <= bound


@settings(deadline=None, max_examples=60)
@given(sizes(), batches, st.sampled_from(SPECS))
def test_every_placement_is_its_sum_written_out(size, batch, spec):
    layer = place(size, spec)
    x = torch.randn(batch, layer.geometry.in_channels, *layer.geometry.input_size, dtype=torch.double)
    with torch.no_grad():
        y = layer(x)
        expected = write_out(layer, x)  # after a redraw, with the assignment that was drawn
    assert y.shape == expected.shape
    assert (y - expected).abs().max() <= rounding(layer, x)


def place(size, spec):
    """Make a layer, or give the example up if its output map is too small for the placement."""
    try:
        return LocallyConnected2d(*size, placement=spec).double()
    except ValueError:
        assume(False)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("batch", [2, 16])
@pytest.mark.parametrize(
    ("kernel_size", "input_size", "stride", "padding", "dilation"),
    [(2, 3, 1, 0, 1), ((3, 2), (4, 5), (1, 2), (1, 2), (2, 1))],
)
def test_gradients_are_those_of_finite_differences(
    spec, batch, kernel_size, input_size, stride, padding, dilation
):
    layer = LocallyConnected2d(
        2, 2, kernel_size, input_size, stride, padding, dilation, placement=spec
    ).double()
    x = torch.randn(batch, 2, *layer.geometry.input_size, dtype=torch.double, requires_grad=True)

    def compute(x, weight, bias):
        # The same assignment at every evaluation, or there is no derivative.
        layer.placement_rng = torch.Generator().manual_seed(5)
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(compute, (x, layer.weight, layer.bias), fast_mode=batch > 2)


def test_shared_kernels_collect_the_gradients_of_their_locations():
    torch.manual_seed(0)
    free = LocallyConnected2d(2, 3, 3, 6).double()
    shared = LocallyConnected2d(2, 3, 3, 6, placement="interleaved(period=2)").double()
    kernel = shared.placement.kernel_of_location
    with torch.no_grad():
        free.weight.copy_(shared.weight[kernel])
        free.bias.copy_(shared.bias[kernel])
    x = torch.randn(5, 2, 6, 6, dtype=torch.double)
    free(x).square().sum().backward()
    shared(x).square().sum().backward()
    collected = torch.zeros_like(shared.weight).index_add_(0, kernel, free.weight.grad)
    torch.testing.assert_close(shared.weight.grad, collected, rtol=1e-12, atol=1e-12)
    collected_bias = torch.zeros_like(shared.bias).index_add_(0, kernel, free.bias.grad)
    torch.testing.assert_close(shared.bias.grad, collected_bias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS)
def test_each_kernel_starts_as_that_of_a_convolution(spec):
    torch.manual_seed(0)
    layer = LocallyConnected2d(4, 8, 3, 8, placement=spec)
    bound = 1 / math.sqrt(4 * 9)
    for parameter in (layer.weight, layer.bias):
        n = parameter.numel()
        largest = parameter.abs().max() / bound
        assert largest <= 1 + 1e-6
        assert largest > 1e-6 ** (1 / n)  # P(all n below c * bound) = c ** n = one in a million
        # A uniform number has the standard deviation bound / sqrt(3); 4.9 is one in a million, two-sided.
        assert abs(parameter.mean()) < 4.9 * bound / math.sqrt(3 * n)


def test_the_first_kernel_is_drawn_as_torch_draws_it():
    torch.manual_seed(0)
    layer = LocallyConnected2d(3, 5, (2, 3), 8, placement="time_multiplexed")
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, (2, 3))
    # Both scale the same draws; the bound is computed in two ways, so a few float32 roundings apart.
    torch.testing.assert_close(layer.weight[0], convolution.weight, rtol=1e-6, atol=0)
    torch.testing.assert_close(layer.bias[0], convolution.bias, rtol=1e-6, atol=0)
