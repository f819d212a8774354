"""Convolutions and transposed ones on perfect tiles compute what torch's do, in 1, 2 and 3 dimensions."""

import itertools

import pytest
import torch
from torch import Tensor, nn

import crossbar
from crossbar import convert_to_analog, replace_placement
from crossbar.aihwkit.adapter import AnalogSGD, IdealDevice, InferenceRPUConfig, SingleRPUConfig

EPS = 1e-5
SIZES, KERNEL = (6, 5, 4), (3, 2, 2)


def perfect(largest: int = 10) -> InferenceRPUConfig:
    """Tiles that only multiply; kernels of more inputs or outputs are cut."""
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.weight_scaling_columnwise = True
    config.mapping.max_input_size = config.mapping.max_output_size = largest
    return config


def layers_of(name: str, axes: int, *arguments: object, **options: object) -> tuple[nn.Module, nn.Module]:
    """torch's layer, and ours with its weights."""
    digital = getattr(nn, f"{name}{axes}d")(*arguments, **options)
    return digital, getattr(crossbar, f"Analog{name}{axes}d").from_digital(digital, perfect())


def assert_same(digital: nn.Module, analog: nn.Module, x: Tensor) -> None:
    """Same outputs, with a batch and without; same gradients of inputs, weights and biases."""
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [layer(of) for layer, of in zip((digital, analog), inputs, strict=True)]
    assert outputs[0].shape == outputs[1].shape
    assert (outputs[0] - outputs[1]).abs().max() < EPS
    upstream = torch.rand_like(outputs[0]) - 0.5
    for output in outputs:
        output.backward(upstream)
    assert (inputs[0].grad - inputs[1].grad).abs().max() < EPS
    array = analog.tile_array
    # The array's gradients are divided by the squared scales, so that SGD makes the digital step.
    grad = analog._as_digital(analog.blocks.join(array.weight.grad * array.scales()[..., None]))
    largest = digital.weight.grad.abs().max()
    assert (grad - digital.weight.grad).abs().max() < EPS * max(1, largest)
    assert (analog.bias.grad - digital.bias.grad).abs().max() < EPS * max(1, digital.bias.grad.abs().max())
    assert (analog(x[0]) - digital(x[0])).abs().max() < EPS


PADDINGS = {
    "zeros": (0, 1, 2, "same", "valid"),
    "reflect": (1, 2),
    "replicate": (2, "same"),
    "circular": (2,),
}


@pytest.mark.usefixtures("unchecked")  # many small layers
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("mode", PADDINGS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_is_torchs(axes, mode):
    torch.manual_seed(axes)
    x = torch.rand(2, 4, *SIZES[:axes]) - 0.5
    for padding, groups, dilation, stride in itertools.product(PADDINGS[mode], (1, 2, 4), (1, 2), (1, 2)):
        if padding == "same" and stride > 1:
            continue
        rest = (stride, padding, dilation, groups, True, mode)
        assert_same(*layers_of("Conv", axes, 4, 8, KERNEL[:axes], *rest), x)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_transposed_convolution_is_torchs(axes):
    torch.manual_seed(axes)
    x = torch.rand(2, 4, *SIZES[::-1][:axes]) - 0.5
    for stride, dilation, padding, groups in itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 4)):
        for more in range(min(max(stride, dilation), 2)):
            rest = (stride, padding, more, groups, True, dilation)
            assert_same(*layers_of("ConvTranspose", axes, 4, 8, KERNEL[:axes], *rest), x)


def test_a_transposed_convolution_takes_an_output_size():
    digital, analog = layers_of("ConvTranspose", 2, 2, 3, 3, 2, 1)
    x = torch.rand(2, 2, 4, 5)
    for size in ([7, 9], [8, 9], [8, 10]):
        assert (analog(x, output_size=size) - digital(x, output_size=size)).abs().max() < EPS
    with pytest.raises(ValueError, match="between 7 x 9 and 8 x 10 for an input of 4 x 5, but is 9 x 9"):
        analog(x, output_size=[9, 9])


CASES = {
    "depthwise 1d": (lambda: nn.Conv1d(4, 4, 3, groups=4, padding=1), (4, 6)),
    "circular 2d": (lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1, padding_mode="circular"), (2, 6, 6)),
    "same 2d": (lambda: nn.Conv2d(2, 4, 2, padding="same"), (2, 5, 6)),
    "3d": (lambda: nn.Conv3d(2, 4, 2, groups=2), (2, 4, 3, 3)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (4, 5)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), (2, 4, 5)),
}


@pytest.mark.parametrize("case", CASES)
def test_copies_compute_the_same_and_back_comes_the_digital_layer(case):
    torch.manual_seed(0)
    make, shape = CASES[case]
    digital = make()
    x = torch.rand(3, *shape) - 0.5
    model = nn.Sequential(digital)
    analog = convert_to_analog(model, perfect(), shape, placement="replicated(tiles=3)").eval()
    assert analog[0].tile_array.tiles == 3 * digital.groups * analog[0].blocks.per_kernel
    assert (analog(x) - digital(x)).abs().max() < EPS
    back = type(analog[0]).to_digital(analog[0])
    assert str(back) == str(digital)
    assert torch.allclose(back.weight, digital.weight, rtol=2**-21)
    once = replace_placement(analog, "time_multiplexed", shape)
    assert (once(x) - digital(x)).abs().max() < EPS
    if digital.transposed:
        with pytest.raises(ValueError, match="layer '0': `placement` must have one kernel for a transposed"):
            replace_placement(analog, "free", shape)
        return
    free = replace_placement(analog, "free", shape).eval()
    assert free[0].placement.kernels == free[0].placement.locations
    assert (free(x) - digital(x)).abs().max() < EPS
    twin = type(free[0]).to_digital(free[0])
    assert (twin(x) - digital(x)).abs().max() < EPS


@pytest.mark.filterwarnings("ignore:aihwkit's own tiles")  # ideal devices exist there only
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, once in a process
@pytest.mark.parametrize("case", CASES)
def test_devices_learn_in_place(case):
    """Ideal devices and perfect reads make the step of plain SGD, in every dimension and group."""
    torch.manual_seed(0)
    make, shape = CASES[case]
    digital = make()
    config = SingleRPUConfig(device=IdealDevice())
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.max_input_size = config.mapping.max_output_size = 0
    analog = convert_to_analog(nn.Sequential(digital), config)
    x = torch.rand(3, *shape) - 0.5
    target = torch.rand_like(digital(x))
    for model, optimizer in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.05)),
        (analog, AnalogSGD(analog.parameters(), lr=0.05)),
    ):
        if model is analog:
            optimizer.regroup_param_groups(analog)
        (model(x) - target).square().mean().backward()
        optimizer.step()
    weight, bias = analog[0].weight, analog[0].bias
    assert (weight - digital.weight).abs().max() < EPS
    assert (bias - digital.bias).abs().max() < EPS


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_aihwkits_names_take_its_arguments_in_its_order(axes):
    layer = getattr(crossbar, f"AnalogConv{axes}dMapped")(2, 5, 3, 1, 1, 1, 1, True, "zeros", perfect(), None)
    size = (4,) * axes
    assert layer(torch.zeros(2, 2, *size)).shape == (2, 5, *size)
    blocks = -(-2 * 3**axes // 10)
    assert layer.tile_array.tiles == blocks
    digital = type(layer).to_digital(layer)
    assert type(digital) is getattr(nn, f"Conv{axes}d")
