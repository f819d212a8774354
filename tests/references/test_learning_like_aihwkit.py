"""By default our layers learn as aihwkit's own do: same weights, same batches, noise off, plain AnalogSGD.

Tolerance of a trained weight: in each of 50 steps both sides round the step, the weight, and in remapping the weight
and its scale, each within 2**-24 of the largest weight; the sums behind a step add as much again on average.
"""

from itertools import product

import pytest
import torch
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.nn.conversion import convert_to_analog as their_convert_to_analog
from aihwkit.simulator.configs.devices import ConstantStepDevice
from sklearn.datasets import load_digits
from torch import nn

from crossbar import AnalogLinear, convert_to_analog, tile_arrays, use_gradient
from crossbar.aihwkit.adapter import (
    AnalogSGD,
    BoundManagementType,
    InferenceRPUConfig,
    NoiseManagementType,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    WeightRemapType,
)

STEPS, BATCH, LEARNING_RATE = 50, 20, 0.2
TOLERANCE = 8 * STEPS * 2**-24
OUT_SCALES = {"fixed": None, "one": False, "columns": True}  # learned? columnwise?


def digital():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def quiet(config_class=InferenceRPUConfig, *, range_from=None, out_scales="fixed", remap="NONE", omega=1.0):
    config = config_class()
    config.forward.is_perfect = True
    config.forward.out_noise = 0.0
    config.mapping.weight_scaling_omega = omega
    if range_from is not None:
        config.pre_post.input_range.enable = True
        # From the data, or a start so small that a third of the inputs clip.
        config.pre_post.input_range.init_from_data = 100 if range_from == "data" else 0
        config.pre_post.input_range.init_value = 0.6
    config.mapping.learn_out_scaling = OUT_SCALES[out_scales] is not None
    config.mapping.out_scaling_columnwise = bool(OUT_SCALES[out_scales])
    config.remap.type = WeightRemapType[remap]
    return config


def batches(steps):
    pixels, digits = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(digits)
    for step in range(steps):
        chosen = torch.arange(step * BATCH, (step + 1) * BATCH) % len(x)
        yield x[chosen], y[chosen]


def train(model, steps=STEPS):
    optimizer = AnalogSGD(model.parameters(), lr=LEARNING_RATE)
    optimizer.regroup_param_groups(model)
    losses = []
    for x, y in batches(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model.train()(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def largest_difference(first, second):
    weights = [[model[i].get_weights()[0] for i in (0, 2)] for model in (first, second)]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*weights, strict=True))


RANGES = [None, "data", "value"]
REMAPS = ["NONE", "LAYERWISE_SYMMETRIC", "CHANNELWISE_SYMMETRIC"]


def combinations():
    """Give each pair of settings once, and, slow, all the others."""
    for (i, range_from), (j, scales), (k, remap) in product(
        enumerate(RANGES), enumerate(OUT_SCALES), enumerate(REMAPS)
    ):
        yield pytest.param(range_from, scales, remap, marks=() if (i + j + k) % 3 == 0 else pytest.mark.slow)


@pytest.mark.parametrize("config_class", [InferenceRPUConfig, TorchInferenceRPUConfig])
@pytest.mark.parametrize(("range_from", "out_scales", "remap"), list(combinations()))
def test_fifty_steps_end_at_the_same_weights(config_class, range_from, out_scales, remap):
    config = quiet(config_class, range_from=range_from, out_scales=out_scales, remap=remap)
    theirs, ours = their_convert_to_analog(digital(), config), convert_to_analog(digital(), config)
    their_losses, our_losses = train(theirs), train(ours)
    assert largest_difference(ours, theirs) <= TOLERANCE
    assert torch.allclose(torch.tensor(our_losses), torch.tensor(their_losses), rtol=0, atol=10 * TOLERANCE)
    for i in (0, 2):
        tile, array = next(theirs[i].analog_tiles()), ours[i].tile_array
        if range_from is not None:
            assert torch.allclose(array.input_range, tile.input_range, rtol=TOLERANCE, atol=0)
        if tile.out_scaling_alpha is not None:
            assert torch.allclose(array.out_scaling_alpha[0], tile.out_scaling_alpha, rtol=TOLERANCE, atol=0)


def test_the_exact_gradient_is_another_where_a_range_or_out_scales_are_learned():
    """Also what shows that the test above would see the rule that was ours before."""
    for settings in ({"range_from": "data"}, {"out_scales": "one"}):
        theirs, ours = (convert(digital(), quiet(**settings)) for convert in (their_convert_to_analog, exact))
        train(theirs)
        train(ours)
        assert largest_difference(ours, theirs) > 1000 * TOLERANCE


def exact(model, config):
    model = convert_to_analog(model, config)
    use_gradient(model, "exact")
    return model


def test_a_step_with_the_exact_gradient_is_that_of_the_digital_layer():
    config = quiet(range_from="data", out_scales="columns", omega=0.7)
    model, plain = exact(digital(), config), digital()
    start = {id(m): [m[i].weight.detach().clone() for i in (0, 2)] for m in (plain,)}
    for name, array in tile_arrays(model):
        array.set_input_range(1e3 if name.startswith("0") else 50.0)  # clips nothing
        array.input_range_updates.fill_(100)
    x, y = next(batches(1))
    nn.functional.cross_entropy(model.train()(x), y).backward()
    nn.functional.cross_entropy(plain(x), y).backward()
    for i, before in zip((0, 2), start[id(plain)], strict=True):
        array = model[i].tile_array
        # of the network's weight, from that of the devices': scales once more for the chain rule
        step = array.weight.grad[0] * array.scales()[0, :, None]
        assert torch.allclose(step, plain[i].weight.grad, rtol=64 * 2**-23, atol=1e-7), before.shape


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"noise_management": NoiseManagementType.NONE},
        {"bound_management": BoundManagementType.NONE, "out_bound": 0.4},
        {"bound_management": BoundManagementType.ITERATIVE, "out_bound": 0.4},
        {"out_scale": 0.5},
        {"is_perfect": True, "out_bound": 0.4},
        {"is_perfect": True, "out_scale": 0.5},
    ],
    ids=lambda changes: ",".join(changes) or "default",
)
@pytest.mark.parametrize("range_value", [None, 0.5])
def test_one_gradient_through_converters_that_clip(changes, range_value, backend):
    config = InferenceRPUConfig()
    config.mapping.weight_scaling_omega = 0.8
    config.forward.out_noise = 0.0
    for name, value in changes.items():
        setattr(config.forward, name, value)
    if range_value is not None:
        config.pre_post.input_range.enable = True
        config.pre_post.input_range.init_from_data, config.pre_post.input_range.init_value = 0, range_value
    torch.manual_seed(1)
    ours, theirs = (
        AnalogLinear(9, 6, rpu_config=config, backend=backend),
        TheirLinear(9, 6, rpu_config=config),
    )
    weight, bias = ours.get_weights()
    theirs.set_weights(weight, bias)
    x, upstream = torch.randn(16, 9), torch.randn(16, 6)
    gradients = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        layer.train()(leaf).backward(upstream)
        tile = next(layer.analog_tiles())
        weight_grad = tile.weight.grad[0] if layer is ours else tile.shared_weights.grad
        gradients.append([leaf.grad, weight_grad] + ([] if range_value is None else [tile.input_range.grad]))
    for mine, yours in zip(*gradients, strict=True):
        # sums of 16 x 9 products at most, in another order
        assert (mine - yours).abs().max() <= 16 * 9 * 2**-24 * yours.abs().max()


def test_in_situ_tiles_send_back_what_theirs_do():
    config = SingleRPUConfig(device=ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0))
    config.forward.out_noise = config.backward.out_noise = 0.0
    config.forward.out_bound, config.forward.bound_management = 0.3, BoundManagementType.NONE
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_from_data, config.pre_post.input_range.init_value = 0, 0.5
    ours, theirs = AnalogLinear(9, 6, rpu_config=config), TheirLinear(9, 6, rpu_config=config)
    weight, bias = ours.get_weights()
    theirs.set_weights(weight, bias)
    x, upstream = torch.randn(16, 9), torch.randn(16, 6)
    grads = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        layer.train()(leaf).backward(upstream)
        grads.append(leaf.grad)
    # One backward DAC step of 2 / 126 may flip on a tie; none does here.
    assert torch.allclose(*grads, rtol=0, atol=16 * 2**-24 * float(grads[1].abs().max()))
    ours.tile_array.use_gradient("exact")
    leaf = x.clone().requires_grad_()
    ours(leaf).backward(upstream)
    assert leaf.grad[x.abs() > 0.5].eq(0).all()


def test_a_rule_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="`gradient` must be 'aihwkit' or 'exact', but is 'cpp'"):
        use_gradient(convert_to_analog(digital(), InferenceRPUConfig()), "cpp")
    with pytest.raises(ValueError, match="must have analog layers"):
        use_gradient(digital(), "exact")
