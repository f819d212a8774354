"""What PyTorch users do every day works on analog layers of every kind, hardware-aware and in situ."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from aihwkit.simulator.presets import GokmenVlasovPreset, MixedPrecisionReRamSBPreset, TikiTakaReRamSBPreset
from torch import nn
from torch.utils.checkpoint import checkpoint

from crossbar import (
    AnalogLinear,
    LocallyConnected2d,
    age_chip,
    convert_to_analog,
    program_chip,
    seed_noise,
    tile_arrays,
)
from crossbar.aihwkit.adapter import (
    AnalogSGD,
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    NoiseManagementType,
    StandardHWATrainingPreset,
    TorchInferenceRPUConfig,
    UnitCellRPUConfig,
    WeightNoiseType,
)
from crossbar.reading import recomputation

HARDWARE_AWARE = (InferenceRPUConfig, StandardHWATrainingPreset, TorchInferenceRPUConfig)
IN_SITU = (GokmenVlasovPreset, TikiTakaReRamSBPreset, MixedPrecisionReRamSBPreset)
IMAGES = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def digital(placement="free"):
    torch.manual_seed(0)
    return nn.Sequential(
        LocallyConnected2d(1, 3, 3, 6, placement=placement),
        nn.ReLU(),
        nn.Conv2d(3, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18, 4),
    )


def analog(config_class, backend="batched", placement="free"):
    return convert_to_analog(digital(placement), config_class(), backend=backend)


def step(model, x=IMAGES):
    optimizer = AnalogSGD(model.parameters(), lr=0.05)
    optimizer.regroup_param_groups(model)
    before = [array.weight.clone() for _, array in tile_arrays(model)]
    model.train()(x).square().sum().backward()
    optimizer.step()
    arrays = [array for _, array in tile_arrays(model)]
    # Mixed precision and compounds sum many small steps before the weights that are read move.
    if not isinstance(arrays[0].rpu_config, DigitalRankUpdateRPUConfig | UnitCellRPUConfig):
        moved = [not torch.equal(array.weight, old) for old, array in zip(before, arrays, strict=True)]
        assert any(moved), "the step must be made"
    model.eval()


def validate(model):
    with torch.inference_mode():
        return model.eval()(IMAGES)


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize("config_class", HARDWARE_AWARE + IN_SITU)
class TestInferenceMode:
    def test_validation_before_between_and_after_steps(self, config_class, backend):
        model = analog(config_class, backend)
        for _ in range(3):
            validate(model)
            step(model)
        validate(model)
        with torch.inference_mode():
            model.train()(IMAGES)
        step(model)

    @pytest.mark.parametrize("where", ["network", "conversion"])
    def test_a_network_converted_there_trains_outside(self, config_class, backend, where):
        network = digital()
        with torch.inference_mode():
            network = digital() if where == "network" else network
            model = convert_to_analog(network, config_class(), backend=backend)
            model.eval()(IMAGES)
        step(model)

    def test_weights_set_there_train_outside(self, config_class, backend):
        model = analog(config_class, backend)
        with torch.inference_mode():
            for layer in (model[0], model[2], model[5]):
                layer.set_weights(*layer.get_weights())
            model.load_state_dict(model.state_dict())
        step(model)

    def test_a_chip_programmed_there_is_read_and_trained_outside(self, config_class, backend):
        if config_class in IN_SITU:
            pytest.skip("its devices have no law of drift")
        model = analog(config_class, backend).eval()
        with torch.inference_mode():
            program_chip(model, seed=0)
            age_chip(model, 100.0, seed=1)
            model(IMAGES)
        model(IMAGES).sum().backward()
        age_chip(model, 1e3, seed=2)
        model(IMAGES)
        with pytest.warns(UserWarning, match="the weights of a programmed chip were changed"):
            step(model)


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize("config_class", HARDWARE_AWARE + IN_SITU)
def test_a_layer_used_twice_in_one_pass_learns(config_class, backend):
    config = config_class()
    config.pre_post.input_range.enable = True
    config.forward.is_perfect = True
    config.pre_post.input_range.init_from_data = 0
    layer = AnalogLinear(6, 6, rpu_config=config, backend=backend).train()
    x = torch.randn(5, 6)
    layer(layer(x)).sum().backward()
    twice = layer.tile_array.input_range.grad.clone()
    # The gradient of both uses is the sum of those of each alone.
    layer.zero_grad()
    middle = layer(x)
    cut = middle.detach().requires_grad_()
    layer(cut).sum().backward()
    middle.backward(cut.grad)
    # Sums over 30 numbers of order one, which may cancel: 30 roundings.
    assert torch.allclose(twice, layer.tile_array.input_range.grad, rtol=2**-20, atol=30 * 2**-24)


def averaging():
    config = InferenceRPUConfig()
    config.forward.noise_management = NoiseManagementType.AVERAGE_ABS_MAX
    return config


def gradients(model, forward):
    """Return all that two passes and one backward pass leave behind."""
    seed_noise(model, 3, "test")
    x = IMAGES.clone().requires_grad_()
    y = forward(model.train(), x) + 2 * forward(model, x)
    y.square().sum().backward()
    left = [y, x.grad, *(p.grad for p in model.parameters() if p.grad is not None)]
    for _, array in tile_arrays(model):
        left += array.noise.state().values()
        left += [
            values for values in (array.input_range, array.periphery.average_abs_max) if values is not None
        ]
        if array.in_situ is not None:
            left += [*array.analog_ctx.analog_input, *array.analog_ctx.analog_grad_output]
    return left


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("placement", ["free", "random(tiles=4,redraw=True)"])
@pytest.mark.parametrize("config_class", [*HARDWARE_AWARE, averaging, *IN_SITU])
def test_a_checkpoint_changes_no_bit(config_class, placement, use_reentrant):
    if placement != "free" and config_class in IN_SITU:
        pytest.skip("devices that learn in place cannot be dealt anew")
    model = analog(config_class, placement=placement)
    others = [copy.deepcopy(model), copy.deepcopy(model)]

    def in_two_parts(model, x):
        middle = checkpoint(model[:3], x, use_reentrant=use_reentrant)
        return checkpoint(model[3:], middle, use_reentrant=use_reentrant)

    plain = gradients(others[0], lambda model, x: model(x))
    for mine, theirs in zip(gradients(others[1], in_two_parts), plain, strict=True):
        assert torch.equal(mine, theirs)


def test_a_digital_layer_that_is_dealt_anew_draws_the_same_under_a_checkpoint():
    layer = LocallyConnected2d(1, 3, 3, 6, placement="random(tiles=4,redraw=True)")
    grads = []
    for forward in (layer, lambda x: checkpoint(layer, x, use_reentrant=False)):
        layer.zero_grad()
        seed_noise(layer, 3)
        forward(IMAGES).square().sum().backward()
        grads.append(layer.weight.grad)
    assert torch.equal(*grads)


def test_a_forward_pass_inside_a_backward_pass_draws_noise_of_its_own():
    layer = AnalogLinear(6, 6)
    with torch.no_grad():
        first = layer(torch.ones(1, 6))
    drawn = []
    x = torch.ones(1, 6, requires_grad=True)
    x.register_hook(lambda grad: drawn.append(layer(2 * torch.ones(1, 6))))
    x.sum().backward()
    assert not torch.equal(drawn[0], 2 * first)


def test_a_checkpoint_that_comes_too_late_is_refused(monkeypatch):
    monkeypatch.setattr(recomputation, "MOST_PASSES", 3)
    layer = AnalogLinear(6, 6)
    x = torch.randn(1, 6, requires_grad=True)
    for _ in range(5):
        x = checkpoint(layer, x, use_reentrant=False)
    with pytest.raises(RuntimeError, match="its last 3 passes again"):
        x.sum().backward()


def test_several_threads_evaluate_one_model():
    config = InferenceRPUConfig()
    config.forward.out_noise = 0.0
    config.forward.ir_drop = 1.0  # uses the scratch memory most
    model = convert_to_analog(digital(), config).eval()
    images = torch.rand(40, 16, 1, 6, 6)
    with torch.no_grad():
        expected = [model(batch) for batch in images]

    def evaluate(k):
        with torch.no_grad():
            return all(torch.equal(model(images[j % 40]), expected[j % 40]) for j in range(k, k + 15))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(evaluate, range(16)))


def test_noise_of_several_threads_is_one_stream():
    """No number is drawn twice, and none is lost: the same numbers as one thread draws, in whatever order."""
    config = InferenceRPUConfig()
    config.forward.w_noise, config.forward.w_noise_type = 0.02, WeightNoiseType.ADDITIVE_CONSTANT
    layer = AnalogLinear(6, 6, rpu_config=config).eval()
    x = torch.ones(4, 6)

    def outputs(threads):
        seed_noise(layer, 5)
        with torch.no_grad(), ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda _: layer(x).detach(), range(200)))
        return sorted(y.flatten().tolist() for y in found)

    assert outputs(8) == outputs(1)


def test_threads_that_meet_new_weights_settle_them_once():
    model = analog(StandardHWATrainingPreset).train()
    config = model[0].tile_array.rpu_config.forward
    for _ in range(20):
        with torch.no_grad():
            for _, array in tile_arrays(model):
                array.rpu_config.forward.out_noise = array.rpu_config.forward.w_noise = 0.0
                array.weight.mul_(0.5 + torch.rand_like(array.weight))
        alone = copy.deepcopy(model).eval()(IMAGES)
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda _: model.eval()(IMAGES), range(8)))
        assert all(torch.equal(y, alone) for y in together), config


SHORT = {torch.float64: 2.0**-53, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def quiet(config_class):
    """Without noise and converters: what is left differs by the rounding of numbers between the layers."""
    config = config_class()
    config.forward.is_perfect = config.backward.is_perfect = True
    if hasattr(config, "modifier"):
        config.modifier.std_dev = 0.0
    return config


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("config_class", HARDWARE_AWARE + IN_SITU)
class TestTypes:
    def test_outputs_and_steps(self, config_class, dtype, backend):
        reference = convert_to_analog(digital(), quiet(config_class), backend=backend).eval()
        # In situ, the start is where the devices' bounds allow.
        after = copy.deepcopy(reference) if backend == "batched" else None
        if after is None:
            after = convert_to_analog(digital(), quiet(config_class), backend=backend).eval()
        after.to(dtype)
        before = convert_to_analog(digital().to(dtype), quiet(config_class), backend=backend).eval()
        x = IMAGES.to(dtype)
        y = reference(IMAGES)
        for model in (after, before):
            z = model(x)
            assert z.dtype == dtype
            assert {p.dtype for layer in (model[0], model[2], model[5]) for p in [layer.bias]} == {dtype}
            if (backend == "batched" and model is after) or config_class in HARDWARE_AWARE:
                # Inputs, three layers and their biases round once each, sums of up to 18 products.
                assert (z.float() - y).abs().max() <= 10 * 18 * max(SHORT[dtype], 2**-24) * y.abs().max()
            step(model, x)
            assert torch.isfinite(model.eval()(x)).all()
            assert all(
                array.weight.dtype in (torch.float32, torch.float64) for _, array in tile_arrays(model)
            )

    def test_the_way_back_changes_no_conductance(self, config_class, dtype, backend):
        model = convert_to_analog(digital(), quiet(config_class), backend=backend)
        before = [array.weight.clone() for _, array in tile_arrays(model)]
        model.to(dtype).float()
        for old, (_, array) in zip(before, tile_arrays(model), strict=True):
            assert torch.equal(array.weight, old)

    def test_chips(self, config_class, dtype, backend):
        if config_class in IN_SITU:
            pytest.skip("its devices have no law of drift")
        model = convert_to_analog(digital(), quiet(config_class), backend=backend).eval()
        program_chip(model, seed=0)
        age_chip(model, 100.0, seed=1)
        y = model(IMAGES)
        z = model.to(dtype)(IMAGES.to(dtype))
        assert (z.float() - y).abs().max() <= 10 * 18 * max(SHORT[dtype], 2**-24) * y.abs().max()
        program_chip(model, seed=0)
        age_chip(model, 1e3, seed=1)
        assert torch.isfinite(model(IMAGES.to(dtype))).all()


def test_autocast_does_not_shorten_an_analog_product():
    model = convert_to_analog(digital(), quiet(InferenceRPUConfig)).eval()
    plain = model(IMAGES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(IMAGES), plain)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("config_class", HARDWARE_AWARE + IN_SITU)
def test_inputs_that_are_no_numbers_are_refused_and_change_nothing(config_class, value):
    model = analog(config_class)
    for training in (True, False):
        state = copy.deepcopy(model.state_dict())
        bad = IMAGES.clone()
        bad[2, 0, 3, 3] = value
        with pytest.raises(
            ValueError, match=r"`x` must be finite, but 9 of its 720 values are NaN or infinite"
        ):
            model.train(training)(bad)
        assert all(torch.equal(now, state[name]) for name, now in model.state_dict().items())
    assert torch.isfinite(model(IMAGES)).all()


def test_inputs_too_large_to_learn_a_range_from_are_refused_and_change_nothing():
    layer = AnalogLinear(6, 6, rpu_config=StandardHWATrainingPreset()).train()
    x = torch.randn(5, 6)
    layer(x)
    before = layer.tile_array.input_range.clone()
    x[2, 3] = 1e38
    with pytest.raises(ValueError, match=r"`x` must have a spread below 9.22e\+18 .* reaches 1e\+38"):
        layer(x)
    assert torch.equal(layer.tile_array.input_range, before)
    assert torch.isfinite(layer.eval()(x)).all()  # clipped, as every input beyond the range
    with pytest.raises(ValueError, match="`value` must be finite, but is inf"):
        layer.tile_array.set_input_range(float("inf"))


@pytest.mark.parametrize("config_class", [InferenceRPUConfig, *IN_SITU])
def test_a_copy_has_its_parameters_in_the_same_order(config_class):
    """Optimizers, and the states of optimizers that were saved, know parameters by their order alone."""
    config = config_class()
    config.pre_post.input_range.enable = True
    model = convert_to_analog(digital(), config)
    names = [name for name, _ in model.named_parameters()]
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [name for name, _ in copied.named_parameters()] == names
