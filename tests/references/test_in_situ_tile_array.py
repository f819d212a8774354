"""Layers that are trained in place make the steps of aihwkit's own layers, device by device.

Exact comparisons: the same devices (copied), deterministic pulses, no cycle-to-cycle noise. The number of pulses is a
rounded product, so that an input that differs in its last bit may rarely cost a whole pulse; seeds are fixed.
"""

import copy

import aihwkit.simulator.presets as presets
import pytest
import torch
from aihwkit.nn import AnalogConv2d as TheirConv2d
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.optim import AnalogAdam, AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import VectorUnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType, PulseType
from aihwkit.simulator.parameters.pre_post import InputRangeParameter
from torch import nn

from crossbar import AnalogConv2d, AnalogLinear, AnalogLocallyConnected2d, LocallyConnected2d, TileArray
from devices.pulsed import to_hidden

EXACT = 1e-6  # the tolerance that the issue sets; weights are below 1, an ulp is 6e-8
DEVICES = {
    "constant": ConstantStepDevice,
    "soft bounds": SoftBoundsDevice,
    "exponential": ExpStepDevice,
}


def config(
    device=ConstantStepDevice,
    *,
    omega=0.0,
    input_range=False,
    pulses=PulseType.DETERMINISTIC_IMPLICIT,
    lifetime=0.0,
):
    """Perfect converters; devices that differ from each other, but repeat themselves."""
    result = SingleRPUConfig(device=device(dw_min_std=0.0, dw_min=0.002, lifetime=lifetime))
    result.forward.is_perfect = result.backward.is_perfect = True
    result.forward.out_bound = 1e6  # aihwkit's mask looks at it also where converters are perfect
    result.update.pulse_type = pulses
    result.mapping.weight_scaling_omega = omega
    result.mapping.weight_scaling_columnwise = omega > 0
    if input_range:
        result.pre_post.input_range = InputRangeParameter(
            enable=True, init_from_data=2, init_std_alpha=1.0, init_value=1.5, decay=0.01
        )
    return result


def with_our_devices(theirs, ours):
    """Give aihwkit's one tile the devices, weights, scales and bias of our one tile."""
    tile, array = next(theirs.analog_tiles()), ours.tile_array
    weight, bias = ours.get_weights()
    theirs.set_weights(weight.flatten(1), bias)  # sets their scales
    main = array.cells.device_arrays()["main"]
    tile.set_hidden_parameters(to_hidden(main)[0])
    tile.tile.set_weights(main.hidden_weight[0])
    if tile.mapping_scales is not None:
        tile.set_mapping_scales(array.mapping_scales[0].clone())
    return theirs


def step(layer, optimizer, x, upstream):
    optimizer.zero_grad()
    x = x.clone().requires_grad_()
    (layer(x) * upstream).sum().backward()
    optimizer.step()
    return x.grad


def assert_same_training(ours, theirs, inputs, outputs, optimizer_class=AnalogSGD, steps=4, lr=0.05):
    optimizers = []
    for layer in (ours, theirs):
        optimizers.append(optimizer_class(layer.parameters(), lr=lr))
        optimizers[-1].regroup_param_groups(layer)
    start, tile = ours.tile_array.weight.clone(), next(theirs.analog_tiles())
    for seed in range(steps):
        rng = torch.Generator().manual_seed(seed)
        x, upstream = torch.randn(inputs, generator=rng), torch.randn(outputs, generator=rng) / 8
        grads = [step(layer, o, x, upstream) for layer, o in zip((ours, theirs), optimizers, strict=True)]
        if tile.input_range is None:  # aihwkit lets the gradient of clipped inputs pass
            assert (grads[0] - grads[1]).abs().max() < EXACT * grads[1].abs().max()
        else:
            assert abs(ours.tile_array.input_range[0] - tile.input_range[0]) < EXACT
        assert (ours.tile_array.weight[0] - tile.tile.get_weights()).abs().max() < EXACT
        assert (ours.get_weights()[1] - theirs.get_weights()[1]).abs().max() < EXACT
    assert (ours.tile_array.weight - start).abs().mean() > 0.005


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES.keys())
@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("optimizer_class", [AnalogSGD, AnalogAdam])
def test_a_dense_layer_makes_their_steps(device, omega, optimizer_class):
    torch.manual_seed(0)
    settings = config(device, omega=omega, lifetime=30.0)
    ours = AnalogLinear(7, 5, rpu_config=settings)
    theirs = with_our_devices(TheirLinear(7, 5, rpu_config=settings), ours)
    assert_same_training(ours, theirs, (6, 7), (6, 5), optimizer_class)


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_learned_input_ranges_and_scales_take_part(omega):
    torch.manual_seed(0)
    configs = [config(omega=omega, input_range=True) for _ in range(2)]
    for each in configs:
        each.mapping.learn_out_scaling = each.mapping.out_scaling_columnwise = True
    ours = AnalogLinear(7, 5, rpu_config=configs[0])
    theirs = with_our_devices(TheirLinear(7, 5, rpu_config=configs[1]), ours)
    assert_same_training(ours, theirs, (6, 7), (6, 5))
    alpha = next(theirs.analog_tiles()).out_scaling_alpha
    assert (ours.tile_array.out_scaling_alpha[0] - alpha).abs().max() < EXACT
    assert (alpha - 1).abs().max() > 0.01


@pytest.mark.parametrize("device", [ConstantStepDevice, SoftBoundsDevice])
def test_a_convolution_sends_its_vectors_in_their_order(device):
    """State-dependent steps see the order: image by image, and in an image location by location."""
    torch.manual_seed(0)
    ours = AnalogConv2d(2, 3, 3, stride=2, padding=1, rpu_config=config(device))
    theirs = with_our_devices(TheirConv2d(2, 3, 3, stride=2, padding=1, rpu_config=config(device)), ours)
    assert_same_training(ours, theirs, (4, 2, 7, 7), (4, 3, 4, 4))


def test_the_order_of_vectors_is_seen_by_that_test(monkeypatch):
    import crossbar.tiles.pulsed_product as module

    monkeypatch.setattr(module, "image_by_image", lambda values, locations: values.transpose(0, 1))
    with pytest.raises(AssertionError):
        test_a_convolution_sends_its_vectors_in_their_order(SoftBoundsDevice)


@pytest.mark.parametrize("noise_management", [NoiseManagementType.NONE, NoiseManagementType.ABS_MAX])
@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_backward_is_the_transposed_read_of_their_tiles(noise_management, omega):
    """With the converters of the backward direction: coarse enough that leaving one out is seen."""
    settings = config(omega=omega)
    settings.backward.is_perfect = False
    settings.backward.inp_res, settings.backward.out_res = 1 / 14, 1 / 30
    settings.backward.out_noise = 0.0
    settings.backward.out_bound = 0.5  # clips, and bound management must not repeat
    settings.backward.noise_management = noise_management
    torch.manual_seed(0)
    ours = AnalogLinear(9, 6, rpu_config=settings)
    theirs = with_our_devices(TheirLinear(9, 6, rpu_config=settings), ours)
    x, upstream = torch.randn(50, 9), torch.randn(50, 6)
    upstream[3] = 0
    grads = []
    for layer in (ours, theirs):
        inputs = x.clone().requires_grad_()
        layer(inputs).backward(upstream)
        grads.append(inputs.grad)
    # A DAC or ADC code may flip where a product lies on the edge of two: not here.
    assert (grads[0] - grads[1]).abs().max() < 1e-5
    weight = ours.get_weights()[0]
    assert (grads[0] - upstream @ weight).abs().max() > 0.01


def test_a_clipped_input_has_no_gradient_and_stays_what_it_was():
    settings = config()
    settings.forward.is_perfect = False
    settings.forward.inp_res, settings.forward.out_res, settings.forward.out_noise = 1 / 14, -1, 0.0
    settings.forward.noise_management = NoiseManagementType.NONE
    settings.forward.bound_management = BoundManagementType.NONE
    torch.manual_seed(0)
    layer = AnalogLinear(9, 6, rpu_config=settings)
    layer.tile_array.use_gradient("exact")
    x, upstream = torch.randn(50, 9), torch.randn(50, 6)
    inputs = x.clone().requires_grad_()
    layer(inputs).backward(upstream)
    ideal = upstream @ layer.get_weights()[0]
    inside = x.abs() <= 1  # the DAC's bound
    assert 0.2 < inside.float().mean() < 0.8
    assert (inputs.grad - ideal * inside).abs().max() < 1e-5
    (kept,) = layer.tile_array.analog_ctx.analog_input
    assert torch.equal(kept[:, 0], x)


def test_a_gradient_of_zero_is_not_sent_through_a_noisy_array():
    settings = config()
    settings.backward.is_perfect = False
    settings.backward.inp_noise = 0.1
    torch.manual_seed(0)
    layers = [AnalogLinear(9, 6, rpu_config=settings)]
    layers.append(with_our_devices(TheirLinear(9, 6, rpu_config=settings), layers[0]))
    for layer in layers:
        inputs, upstream = torch.randn(4, 9).requires_grad_(), torch.ones(4, 6)
        upstream[2] = 0
        layer(inputs).backward(upstream)
        assert inputs.grad.abs().amax(1).gt(0).tolist() == [True, True, False, True]


def test_both_backends_train_alike_on_the_same_devices():
    torch.manual_seed(0)
    layer = AnalogLocallyConnected2d(2, 3, 3, 6, rpu_config=config(SoftBoundsDevice, omega=0.5))
    twin = AnalogLocallyConnected2d(2, 3, 3, 6, rpu_config=config(SoftBoundsDevice, omega=0.5))
    twin.load_state_dict(layer.state_dict())
    twin.tile_array.use_backend("aihwkit")
    assert torch.equal(layer.tile_array.weight, twin.tile_array.weight)
    optimizers = [AnalogSGD(each.parameters(), lr=0.05) for each in (layer, twin)]
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        x, upstream = torch.randn(4, 2, 6, 6, generator=rng), torch.randn(4, 3, 4, 4, generator=rng)
        grads = [step(each, o, x, upstream) for each, o in zip((layer, twin), optimizers, strict=True)]
        assert (grads[0] - grads[1]).abs().max() < 1e-5
        assert (layer.tile_array.weight - twin.tile_array.weight).abs().max() < EXACT


def alike(device, **options):
    """Devices without any spread."""
    spreads = ("dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod", "dw_min_std")
    result = config(**options)
    result.device = device(**dict.fromkeys(spreads, 0.0), dw_min=0.002)
    return result


@pytest.mark.parametrize("max_size", [512, 8], ids=["whole", "split"])
def test_ideal_copies_stay_equal_and_learn_what_one_tile_learns(max_size):
    """Deterministic pulses add up to the same sum on constant steps, whichever the order."""
    settings = alike(ConstantStepDevice)
    settings.mapping.max_input_size = max_size
    torch.manual_seed(0)
    digital = nn.Conv2d(2, 3, 3)
    layers = []
    for placement in ("replicated(tiles=4)", "time_multiplexed"):
        torch.manual_seed(1)
        layers.append(AnalogConv2d(2, 3, 3, input_size=7, placement=placement, rpu_config=settings))
        layers[-1].set_weights(digital.weight, digital.bias)
    optimizers = [AnalogSGD(layer.parameters(), lr=0.05) for layer in layers]
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        x, upstream = torch.randn(4, 2, 7, 7, generator=rng), torch.randn(4, 3, 5, 5, generator=rng)
        for layer, optimizer in zip(layers, optimizers, strict=True):
            step(layer, optimizer, x, upstream / 8)
        copies = layers[0].tile_array.weight.unflatten(0, (4, -1))
        assert torch.equal(copies, copies[:1].expand_as(copies))
        # some hundred steps of 0.002, each rounded
        assert (layers[0].get_weights()[0] - layers[1].get_weights()[0]).abs().max() < 1e-5
    assert (layers[0].weight - digital.weight).abs().mean() > 0.05


@pytest.mark.parametrize("pulses", [PulseType.STOCHASTIC_COMPRESSED, PulseType.MEAN_COUNT])
def test_copies_receive_the_same_trains(pulses):
    """Random trains, devices alike, pulse by pulse: copies that got trains of their own would differ."""
    torch.manual_seed(0)
    settings = alike(ConstantStepDevice, pulses=pulses)
    layer = AnalogConv2d(2, 3, 3, input_size=7, placement="replicated(tiles=4)", rpu_config=settings)
    layer.tile_array.in_situ.engine = "exact"
    before = layer.tile_array.weight.clone()
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    step(layer, optimizer, torch.randn(4, 2, 7, 7), torch.randn(4, 3, 5, 5))
    weight = layer.tile_array.weight
    assert torch.equal(weight, weight[:1].expand_as(weight))
    assert not torch.equal(weight, before)


def test_copies_with_spread_go_their_own_ways_and_are_averaged():
    torch.manual_seed(0)
    layer = AnalogConv2d(2, 3, 3, input_size=7, placement="replicated(tiles=4)", rpu_config=config())
    step(layer, AnalogSGD(layer.parameters(), lr=0.1), torch.randn(4, 2, 7, 7), torch.randn(4, 3, 5, 5))
    copies = layer.tile_array.weight
    assert copies.std(dim=0).min() > 0
    assert (layer.get_weights()[0] - copies.mean(dim=0)).abs().max() < EXACT


def test_kernels_with_unlike_numbers_of_copies():
    """Ideal updates: every copy of a kernel moves by what all of its copies saw, and by nothing else."""
    array = TileArray(
        3, 4, 5, alike(ConstantStepDevice, pulses=PulseType.NONE), kernel_of_tile=torch.tensor([1, 0, 1])
    )
    torch.manual_seed(0)
    array.set_kernels(torch.randn(2, 4, 5) / 10)
    before, x, d = array.weight.clone(), torch.randn(6, 3, 5), torch.randn(6, 3, 4)
    array.set_learning_rate(0.01)
    array.update(x, d)
    change = -0.01 * torch.einsum("bto,bti->toi", d, x)
    shared = change[0] + change[2]
    expected = before + torch.stack([shared, change[1], shared])
    assert (array.weight - expected).abs().max() < EXACT
    assert (array.kernels_weight() - expected[[1, 0]]).abs().max() < EXACT


def test_a_local_layer_updates_every_tile_with_its_own_vectors():
    """Ideal updates (no pulses) against the digital layer's SGD step."""
    torch.manual_seed(0)
    for placement in ("free", "blocks(rows=2,cols=3)", "random(tiles=5)", "interleaved(period=2)"):
        digital = LocallyConnected2d(2, 3, 3, 7, placement=placement)
        layer = AnalogLocallyConnected2d.from_digital(
            digital, alike(ConstantStepDevice, pulses=PulseType.NONE)
        )
        optimizers = [torch.optim.SGD(digital.parameters(), lr=0.05), AnalogSGD(layer.parameters(), lr=0.05)]
        x, upstream = torch.randn(4, 2, 7, 7), torch.randn(4, 3, 5, 5) / 8
        for each, optimizer in zip((digital, layer), optimizers, strict=True):
            step(each, optimizer, x, upstream)
        weight, bias = layer.get_weights()
        assert (weight - digital.weight).abs().max() < EXACT
        assert (bias - digital.bias).abs().max() < EXACT


def test_absent_devices_stay_at_zero():
    settings = config(LinearStepDevice, pulses=PulseType.STOCHASTIC_COMPRESSED)
    settings.mapping.max_input_size = 5
    settings.device.write_noise_std = 3.0
    settings.device.diffusion = 0.1
    torch.manual_seed(0)
    layer = AnalogLinear(9, 4, rpu_config=settings)
    absent = ~layer.tile_array.tile_population()
    assert absent.sum() == 4
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        step(layer, optimizer, torch.randn(6, 9), torch.randn(6, 4))
    assert layer.tile_array.weight[absent].eq(0).all()
    assert layer.tile_array.weight[~absent].ne(0).all()


def test_the_recorder_s_hook_sees_the_ideal_update():
    """x, d and the learning rate reproduce a step without pulses: weight_after - weight_before = -lr d x."""
    torch.manual_seed(0)
    for placement in ("free", "replicated(tiles=4)"):
        layer = AnalogLocallyConnected2d(
            2, 3, 3, 7, placement=placement, rpu_config=alike(ConstantStepDevice, pulses=PulseType.NONE)
        )
        seen = []
        layer.tile_array.on_update = lambda *values, seen=seen: seen.append(copy.deepcopy(values))
        step(layer, AnalogSGD(layer.parameters(), lr=0.05), torch.randn(4, 2, 7, 7), torch.randn(4, 3, 5, 5))
        ((x, d, learning_rate, before, after),) = seen
        assert learning_rate == 0.05
        ideal = -learning_rate * torch.einsum("tbo,tbi->toi", d, x)
        assert (after - before - ideal).abs().max() < EXACT
        assert torch.equal(after, layer.tile_array.weight)


def test_the_hook_is_refused_where_nothing_is_updated_in_place():
    with pytest.raises(RuntimeError, match="needs pulsed devices"):
        TileArray(1, 2, 2).update(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))


@pytest.mark.parametrize(
    "preset", ["Idealized", "EcRamMO", "EcRam4", "TikiTakaIdealized", "TTv2EcRam", "PCM", "MixedPrecisionPCM"]
)
def test_devices_go_to_their_tiles_and_back(preset):
    """Presets without write noise, which aihwkit cannot be given."""
    torch.manual_seed(0)
    settings = getattr(presets, f"{preset}Preset")()
    settings.forward.is_perfect = True
    array = AnalogLinear(5, 4, rpu_config=settings).tile_array
    before = {role: copy.deepcopy(devices) for role, devices in array.cells.device_arrays().items()}
    weight = array.weight.clone()
    for backend in ("aihwkit", "batched"):
        array.use_backend(backend)
        assert torch.equal(array.weight, weight)
        after = array.cells.device_arrays()
        assert after.keys() == before.keys()
        for role, devices in before.items():
            for name in ("weight", "max_bound", "min_bound", "scale_up", "scale_down"):
                assert torch.equal(getattr(after[role], name), getattr(devices, name))
        if backend == "aihwkit":  # what their tiles compute with
            outputs = array.in_situ.reference.mvm(torch.eye(5)[None], is_test=True)
            assert (outputs - weight.mT).abs().max() < EXACT


def test_cells_of_several_devices_train_alike_on_both_backends():
    settings = UnitCellRPUConfig(
        device=VectorUnitCell(
            unit_cell_devices=[ConstantStepDevice(dw_min_std=0.0), SoftBoundsDevice(dw_min_std=0.0)]
        )
    )
    settings.forward.is_perfect = settings.backward.is_perfect = True
    settings.update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
    torch.manual_seed(0)
    layers = [AnalogLinear(7, 5, rpu_config=settings) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    layers[1].tile_array.use_backend("aihwkit")
    assert (layers[0].tile_array.weight - layers[1].tile_array.weight).abs().max() < EXACT
    optimizers = [AnalogSGD(layer.parameters(), lr=0.05) for layer in layers]
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        x, upstream = torch.randn(6, 7, generator=rng), torch.randn(6, 5, generator=rng)
        for layer, optimizer in zip(layers, optimizers, strict=True):
            step(layer, optimizer, x, upstream)
        assert (layers[0].tile_array.weight - layers[1].tile_array.weight).abs().max() < EXACT


def test_devices_that_aihwkit_does_not_know_are_refused_by_name():
    class OwnCell:
        """Describes nothing that aihwkit has."""

    with pytest.raises(
        ValueError, match="must be one of aihwkit's to run on its own tiles, but is a OwnCell"
    ):
        TileArray(2, 3, 4, UnitCellRPUConfig(device=OwnCell()), backend="aihwkit")
