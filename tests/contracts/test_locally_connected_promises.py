"""What the digital layer promises its users, for every placement: shapes, copies, states, errors, redraws."""

import copy
import io
import re

import pytest
import torch
from torch import nn

from crossbar.layers.locally_connected import LocallyConnected2d
from crossbar.placement.placement import placement

KERNELS = {
    "free": 20,
    "time_multiplexed": 1,
    "replicated(tiles=7)": 1,
    "blocks(rows=2,cols=3)": 6,
    "random(tiles=3)": 3,
    "random(tiles=3,redraw=True)": 3,
    "interleaved(period=2)": 4,
}


@pytest.fixture(params=KERNELS)
def spec(request):
    return request.param


@pytest.fixture
def layer(spec):
    return LocallyConnected2d(2, 3, 3, (6, 7), placement=spec)  # 4 x 5 locations


def compute(layer, x, seed=0):
    layer.placement_rng = torch.Generator().manual_seed(seed)
    return layer(x)


def test_shapes(layer, spec):
    assert layer.weight.shape == (KERNELS[spec], 3, 2, 3, 3)
    assert layer.bias.shape == (KERNELS[spec], 3)
    assert layer.output_size == (4, 5)
    assert layer(torch.zeros(8, 2, 6, 7)).shape == (8, 3, 4, 5)
    assert layer(torch.zeros(0, 2, 6, 7)).shape == (0, 3, 4, 5)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_one_image_is_a_batch_of_one(layer):
    x = torch.randn(2, 6, 7)
    assert torch.equal(compute(layer, x), compute(layer, x[None])[0])


def test_without_bias(spec):
    layer = LocallyConnected2d(2, 3, 3, (6, 7), bias=False, placement=spec)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert torch.equal(layer(torch.zeros(2, 2, 6, 7)), torch.zeros(2, 3, 4, 5))


@pytest.mark.parametrize("batch", [1, 20])
def test_images_of_a_batch_do_not_meet(layer, batch):
    x = torch.randn(batch, 2, 6, 7, dtype=torch.double)
    layer.double()
    changed = x.clone()
    changed[-1] += 1
    before, after = compute(layer, x), compute(layer, changed)
    assert torch.equal(before[:-1], after[:-1])
    assert not torch.equal(before[-1], after[-1])


def test_copies_and_states(layer, spec):
    x = torch.randn(4, 2, 6, 7)
    y = compute(layer, x)
    assert torch.equal(compute(copy.deepcopy(layer), x), y)

    other = LocallyConnected2d(2, 3, 3, (6, 7), placement=spec)
    assert not torch.equal(compute(other, x), y)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(compute(other, x), y)

    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    assert torch.equal(compute(torch.load(file, weights_only=False), x), y)


def test_a_copy_made_after_the_forward_pass_trains_by_itself(layer):
    x = torch.randn(4, 2, 6, 7)
    compute(layer, x).sum().backward()
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.weight.zero_()
    assert layer.weight.abs().max() > 0


def test_dtypes(layer):
    for dtype in (torch.double, torch.bfloat16):
        layer.to(dtype)
        x = torch.randn(4, 2, 6, 7, dtype=dtype, requires_grad=True)
        y = layer(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == layer.weight.grad.dtype == dtype
        layer.weight.grad = layer.bias.grad = None


@pytest.mark.parametrize("batch", [4, 20])
def test_autocast(layer, batch):
    x = torch.randn(batch, 2, 6, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = compute(layer, x)
    exact = compute(layer, x)
    # A bfloat16 rounds by 2**-8: inputs, weights and the output once each, relative to the sum of |terms|,
    # which are 18 of at most max|x| / sqrt(18), and a bias of at most 1 / sqrt(18).
    bound = 3 * 2**-8 * (18 * float(x.detach().abs().max()) + 1) / 18**0.5
    assert (y.float() - exact).abs().max() < bound
    y.float().sum().backward()
    assert x.grad.dtype == layer.weight.grad.dtype == torch.float32

    short = x.detach().bfloat16().requires_grad_()  # as a layer before this one leaves it
    with torch.autocast("cpu", torch.bfloat16):
        y = compute(layer, short)
    y.float().sum().backward()
    assert short.grad.dtype == torch.bfloat16


def test_the_weights_gradient_lies_in_memory_as_the_weight(layer):
    for batch in (1, 4, 20):
        (grad,) = torch.autograd.grad(layer(torch.randn(batch, 2, 6, 7)).sum(), layer.weight)
        assert grad.stride() == layer.weight.stride()


def test_on_another_torch_device(layer):
    layer.to("meta")
    y = layer(torch.zeros(4, 2, 6, 7, device="meta"))
    assert y.device.type == "meta"
    assert layer.grouping.order.device.type == "meta"  # moved once, not at every pass
    assert y.shape == (4, 3, 4, 5)


def test_layers_feed_each_other_and_a_dense_layer(spec):
    network = nn.Sequential(
        LocallyConnected2d(2, 3, 3, (6, 7), placement=spec),
        nn.ReLU(),
        LocallyConnected2d(3, 2, 2, (4, 5), placement="free"),
        nn.MaxPool2d(2, padding=1),
        nn.Flatten(),
        nn.Linear(2 * 2 * 3, 4),
    )
    network(torch.randn(3, 2, 6, 7)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("shape", [(8, 1, 6, 7), (8, 2, 7, 6), (2, 6, 8), (6, 7), (1, 8, 2, 6, 7)])
def test_inputs_of_another_shape_are_refused(layer, shape):
    message = f"`x` must have the shape (batch, 2, 6, 7), or that without batch, but is {shape}."
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(torch.zeros(shape))


def test_a_ready_placement_is_taken_as_it_is():
    chosen = placement("random", (4, 5), tiles=3, seed=9)
    assert LocallyConnected2d(2, 3, 3, (6, 7), placement=chosen).placement is chosen
    message = "`placement` must be made for the output size (4, 5), but is for (5, 4)."
    with pytest.raises(ValueError, match=re.escape(message)):
        LocallyConnected2d(2, 3, 3, (6, 7), placement=placement("free", (5, 4)))


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="a kernel of 7 x 7"):
        LocallyConnected2d(2, 3, 7, (6, 7))


def test_the_settings_are_printed():
    layer = LocallyConnected2d(2, 3, 3, (6, 7), stride=(1, 2), bias=False, placement="blocks(rows=2,cols=3)")
    assert repr(layer) == (
        "LocallyConnected2d(2, 3, kernel_size=(3, 3), input_size=(6, 7), stride=(1, 2), padding=(0, 0), "
        "dilation=(1, 1), bias=False, placement='blocks(rows=2,cols=3)')"
    )


def test_a_redrawn_placement_is_drawn_at_every_forward_pass_training_or_not():
    layer = LocallyConnected2d(2, 3, 3, (6, 7), placement="random(tiles=3,redraw=True)").eval()
    x = torch.randn(1, 2, 6, 7)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.manual_seed(1)  # by default from torch's global stream
    assert torch.equal(layer(x), first)
    # From a stream of its own: repeatable, and torch's global one stays where it is.
    before = torch.get_rng_state()
    assert torch.equal(compute(layer, x, seed=3), compute(layer, x, seed=3))
    assert torch.equal(torch.get_rng_state(), before)


def test_only_a_redrawn_placement_draws(layer):
    before = torch.get_rng_state()
    layer(torch.zeros(1, 2, 6, 7))
    assert torch.equal(torch.get_rng_state(), before) is not layer.placement.redraw
