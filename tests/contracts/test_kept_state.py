"""Nothing is lost without a word: chips and weights survive copies, files, moves and other processes."""

import copy
import io
import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice, IdealDevice
from aihwkit.simulator.presets import PCMPreset
from torch import nn

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    NoiseStream,
    WireParameters,
    age_chip,
    chip_state,
    convert_to_analog,
    copies_residual,
    load_chip_state,
    load_model,
    program_chip,
    save_model,
    seed_noise,
    tile_arrays,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, StandardHWATrainingPreset
from devices import get

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
YEAR = 3.15e7


def own_drift():
    config = SingleRPUConfig(device=ConstantStepDevice())
    config.device.drift.nu, config.device.drift.nu_dtod, config.device.drift.t_0 = 0.1, 0.02, 10.0
    return config


HOW_TRAINED = {
    "hardware-aware": InferenceRPUConfig,
    "clipped and remapped": StandardHWATrainingPreset,
    "in situ, own drift": own_drift,
    "in situ, drift of a model": PCMPreset,
}


def network(how, placement="replicated(tiles=4)", seed=0):
    """A layer with copies, and a dense one on tiles that are not all full."""
    torch.manual_seed(seed)
    config = HOW_TRAINED[how]()
    config.mapping.weight_scaling_omega = 0.5
    small = copy.deepcopy(config)
    small.mapping.max_input_size = 25
    conv = AnalogLocallyConnected2d(1, 3, 3, 8, placement=placement, rpu_config=config)
    return nn.Sequential(conv, nn.Flatten(), AnalogLinear(108, 4, rpu_config=small)).eval()


def noise_model_of(how):
    return get("pcm").noise_model() if how == "in situ, drift of a model" else None


def aged(how, **options):
    """One chip after a year, whose read weights, factors and times differ from those right after programming."""
    net = network(how, **options)
    program_chip(net, noise_model_of(how), seed=1, compensation="per_column")
    age_chip(net, YEAR, seed=2)
    return net


def by_torch_save(net):
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def by_states(net):
    """Through what `torch.load` reads without executing anything."""
    file = io.BytesIO()
    torch.save({"model": net.state_dict(), "chip": chip_state(net)}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    twin = copy.deepcopy(net)
    for _, array in tile_arrays(twin):
        array.erase()
        array.compensation = "none"
        for parameter in array.parameters():
            nn.init.zeros_(parameter)
    twin.load_state_dict(saved["model"])
    assert not any(array.is_programmed for _, array in tile_arrays(twin))
    load_chip_state(twin, saved["chip"], getattr(net[0].tile_array.programmed, "noise_model", None))
    return twin


WAYS = {
    "deepcopy": copy.deepcopy,
    "deepcopy of a deepcopy": lambda net: copy.deepcopy(copy.deepcopy(net)),
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "torch.save": by_torch_save,
    "state dictionaries": by_states,
    "to the device it is on": lambda net: copy.deepcopy(net).to("cpu"),
    "double and back": lambda net: copy.deepcopy(net).to(torch.float64).float(),
    "half precision and back": lambda net: half_and_back(net),
}


def half_and_back(net):
    """Biases, which are digital, are rounded: chips are not."""
    twin = copy.deepcopy(net).half().to(torch.bfloat16).float()
    for mine, other in zip(net.parameters(), twin.parameters(), strict=True):
        if mine.shape == other.shape:
            other.data.copy_(mine.data)
    return twin


def outputs(net):
    seed_noise(net, 5, "evaluation")
    return net(X)


def assert_same_chip(net, twin):
    for (_, mine), (_, other) in zip(tile_arrays(net), tile_arrays(twin), strict=True):
        assert other.is_programmed
        assert other.compensation == mine.compensation == "per_column"
        assert other.reading.time == mine.reading.time == YEAR
        for name in ("weight", "baseline", "factor"):
            assert torch.equal(getattr(other.reading, name), getattr(mine.reading, name)), name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOW_TRAINED)
def test_an_aged_chip_survives(how, way):
    net = aged(how)
    before = outputs(net)
    twin = WAYS[way](net)
    assert torch.equal(outputs(twin), before)
    assert_same_chip(net, twin)
    for each in (net, twin):  # the trajectory goes on, and each goes its own
        age_chip(each, 10 * YEAR, seed=3)
    assert torch.equal(outputs(twin), outputs(net))
    assert not torch.equal(outputs(twin), before)
    age_chip(twin, 100 * YEAR, seed=3)
    assert net[0].tile_array.reading.time == 10 * YEAR


@pytest.mark.parametrize("how", ["hardware-aware", "in situ, own drift"])
def test_an_aged_chip_survives_the_way_into_another_process(how):
    net = aged(how)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there_and_back = pool.submit(copy.deepcopy, net).result(timeout=120)
        seen_there = pool.submit(copies_residual, net[0].tile_array).result(timeout=120)
    assert seen_there == copies_residual(net[0].tile_array)
    assert_same_chip(net, there_and_back)
    assert torch.equal(outputs(there_and_back), outputs(net))


def test_a_chip_through_wires_survives():
    net = network("hardware-aware", "free")
    for _, array in tile_arrays(net):
        array.use_wires(WireParameters())
    program_chip(net, seed=1, compensation="per_column")
    age_chip(net, YEAR, seed=2)
    for way in ("deepcopy", "pickle", "state dictionaries"):
        twin = WAYS[way](net)
        assert torch.equal(outputs(twin), outputs(net))
        for each in (net, twin):
            age_chip(each, YEAR, seed=2)
        assert torch.equal(outputs(twin), outputs(net))


def test_wires_of_a_copy_are_those_of_its_own_weights():
    """A copy that has been changed as often as the original had been must not take what the wires took of that."""
    torch.manual_seed(0)
    layer = AnalogLinear(20, 5).eval()
    layer.tile_array.use_wires(WireParameters(word_line=10.0))
    layer(torch.ones(1, 20))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        while twin.tile_array.weight._version < layer.tile_array.weight._version:
            twin.tile_array.weight.mul_(0.9)
    fresh = AnalogLinear(20, 5).eval()
    fresh.tile_array.use_wires(WireParameters(word_line=10.0))
    fresh.load_state_dict(twin.state_dict())
    for each in (twin, fresh):
        each.tile_array.noise = NoiseStream(0, "same")
    assert torch.equal(twin(torch.ones(1, 20)), fresh(torch.ones(1, 20)))


def test_the_chip_goes_where_the_network_goes():
    net = aged("hardware-aware").double()
    reading = net[0].tile_array.reading
    assert {reading.weight.dtype, reading.baseline.dtype, reading.factor.dtype} == {torch.float64}
    net = aged("hardware-aware").to("meta")
    reading = net[0].tile_array.reading
    assert {reading.weight.device.type, reading.baseline.device.type, reading.factor.device.type} == {"meta"}


def step_of_an_optimizer(net):
    net.train()(X).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    net.eval()


def copy_into(net):
    with torch.no_grad():
        for _, array in tile_arrays(net):
            array.weight.copy_(array.weight.flip(0, 1))


def edit_data(net):
    for _, array in tile_arrays(net):
        array.weight.data = array.weight.data * 0.5


def edit_data_in_place(net):
    for _, array in tile_arrays(net):
        array.weight.data[0, 0, 0] += 2**-20


@pytest.mark.parametrize("is_copy", [False, True])
@pytest.mark.parametrize("change", [step_of_an_optimizer, copy_into, edit_data, edit_data_in_place])
def test_whoever_changes_the_weights_of_a_chip_is_told_that_it_is_forgotten(change, is_copy):
    net = aged("hardware-aware")
    net = copy.deepcopy(net) if is_copy else net
    change(net)
    with pytest.warns(UserWarning, match="weights of a programmed chip were changed") as caught:
        net(X)
    assert len(caught) == 2  # one for each layer, the same sentence: Python shows it once
    assert len({str(warning.message) for warning in caught}) == 1
    assert not any(array.is_programmed for _, array in tile_arrays(net))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(X)


def test_training_a_chip_of_trained_devices_on_is_told_too():
    net = aged("in situ, own drift")
    optimizer = AnalogSGD(net.parameters(), lr=0.1)
    optimizer.regroup_param_groups(net)
    net.train()(X).sum().backward()
    with pytest.warns(UserWarning, match="weights of a programmed chip were changed"):
        optimizer.step()
    assert not any(array.is_programmed for _, array in tile_arrays(net))


def test_clipping_happens_once_also_after_a_copy():
    """A clip by the spread of the weights clips further whenever it is applied: a copy must not start it anew."""
    net = network("clipped and remapped", "free")
    step_of_an_optimizer(net)
    net(X)
    settled = [array.weight.detach().clone() for _, array in tile_arrays(net)]
    for way in ("deepcopy", "pickle", "torch.save"):
        twin = WAYS[way](net)
        twin(X)
        for weight, (_, array) in zip(settled, tile_arrays(twin), strict=True):
            assert torch.equal(array.weight, weight)


def test_loading_parts_of_a_state_leaves_the_chips_of_other_layers():
    net = aged("hardware-aware")
    state = {name: values for name, values in net.state_dict().items() if name.startswith("2.")}
    net.load_state_dict(state, strict=False)
    assert [array.is_programmed for _, array in tile_arrays(net)] == [True, False]


def ideal_network(seed):
    torch.manual_seed(seed)
    with pytest.warns(UserWarning, match="IdealDevice, which exists in aihwkit's own tiles only"):
        return AnalogLinear(6, 4, rpu_config=SingleRPUConfig(device=IdealDevice()))


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save", "load_state_dict", "load_model"])
def test_ideal_devices_come_back_where_they_stood(tmp_path, way):
    layer, twin = ideal_network(0), ideal_network(1)
    x = torch.rand(3, 6)
    if way == "load_state_dict":
        twin.load_state_dict(layer.state_dict())
    elif way == "load_model":
        save_model(layer, tmp_path / "model.safetensors")
        load_model(tmp_path / "model.safetensors", twin)
    else:
        twin = WAYS[way](layer)
    assert torch.equal(twin.get_weights()[0], layer.get_weights()[0])
    assert torch.equal(twin.tile_array.in_situ.cells.weights(), layer.tile_array.in_situ.cells.weights())
    # the forward noise of aihwkit's own tiles cannot be seeded: many vectors of one input, and its mean
    y, theirs = (net.eval()(x.repeat(4000, 1)).reshape(-1, 3, 4) for net in (layer, twin))
    error = (y.var(dim=0) + theirs.var(dim=0)).div(len(y)).sqrt()
    assert ((y.mean(dim=0) - theirs.mean(dim=0)).abs() < 4.9 * error + 2**-20).all()


@pytest.mark.parametrize("backend_of", ["hardware-aware", "in situ, drift of a model"])
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_real_aihwkit_tiles_are_copied_with_their_chip(backend_of, way):
    net = network(backend_of, "free")
    for _, array in tile_arrays(net):
        array.use_backend("aihwkit")
    program_chip(net, noise_model_of(backend_of), seed=1, compensation="per_column")
    age_chip(net, YEAR, seed=2)
    twin = WAYS[way](net)
    assert_same_chip(net, twin)
    for (_, mine), (_, other) in zip(tile_arrays(net), tile_arrays(twin), strict=True):
        assert other.backend == "aihwkit"
        assert torch.equal(other.target_weights(), mine.target_weights())
    assert twin(X).shape == (6, 4)


# What the tiles hold -----------------------------------------------------------------------------------------


def scaled():
    config = InferenceRPUConfig()
    config.mapping.weight_scaling_omega = 1.0
    return config


def test_get_weights_returns_what_the_tiles_hold():
    torch.manual_seed(0)
    layer = AnalogLinear(30, 5, rpu_config=scaled()).eval()
    trained, bias = layer.get_weights()
    program_chip(layer, get("pcm").noise_model(), seed=1)
    written, _ = layer.get_weights()
    layer.drift_analog_weights(YEAR)
    array = layer.tile_array
    held, same_bias = layer.get_weights()
    scales = array.scales()[..., None]
    assert torch.equal(held, (array.reading.weight * scales)[0])
    assert not torch.equal(held, trained)
    assert not torch.equal(written, trained)
    assert held.abs().mean() < written.abs().mean()
    assert torch.equal(same_bias, bias)
    raw, _ = layer.get_weights(apply_weight_scaling=False)
    assert torch.equal(raw, array.reading.weight[0])
    assert torch.equal(layer.get_weights(trained=True)[0], trained)
    assert torch.equal(type(layer).to_digital(layer).weight, trained)
    with pytest.raises(TypeError, match="unexpected"):
        layer.get_weights(realistc=True)


@pytest.mark.parametrize("how", ["hardware-aware", "in situ, drift of a model"])
@pytest.mark.parametrize("placement", ["free", "replicated(tiles=4)", "blocks(rows=2,cols=2)"])
def test_a_realistic_read_estimates_what_the_chip_computes(how, placement):
    """Read through DAC, array and ADC, compensation included, as aihwkit's `read_weights`."""
    net = aged(how, placement=placement)
    for layer in (net[0], net[2]):
        array = layer.tile_array
        noisy, _ = layer.get_weights(realistic=True)
        array.rpu_config.forward.is_perfect = True
        weight, _ = layer.get_weights(realistic=True)
        assert noisy.shape == weight.shape == layer.kernel_shape()
        assert not torch.equal(noisy, weight)
        held = (
            array.reading.weight
            * array.reading.factor.transpose(1, 2)
            * array.of_tiles(array.scales())[..., None]
        )
        if array.kernel_of_tile is not None:
            held = held.unflatten(0, (4, -1)).mean(dim=0)
        held = layer.blocks.join(held).reshape(weight.shape)
        # a least-squares solution in float32, of up to 25 inputs
        torch.testing.assert_close(weight, held, rtol=0, atol=25 * 2**-20 * float(held.abs().max()))
        raw, _ = layer.get_weights(realistic=True, apply_weight_scaling=False)
        assert raw.abs().max() > weight.abs().max()


def test_set_weights_honours_or_refuses_every_keyword():
    layer = AnalogLinear(6, 3, rpu_config=scaled()).eval()
    weight = torch.rand(3, 6)
    layer.set_weights(weight, apply_weight_scaling=False)
    assert torch.equal(layer.tile_array.weight[0], weight)
    layer.set_weights(weight, weight_scaling_omega=0.5)
    assert layer.tile_array.weight.abs().max() == 0.5
    layer.set_weights(weight, realistic=True)
    assert layer.tile_array.is_programmed
    with pytest.raises(TypeError, match="unexpected"):
        layer.set_weights(weight, realistc=True)


# Placements --------------------------------------------------------------------------------------------------

BLOCKS, INTERLEAVED = "blocks(rows=2,cols=2)", "interleaved(period=2)"


def placed(placement, is_analog=True):
    torch.manual_seed(0)
    layer = AnalogLocallyConnected2d if is_analog else LocallyConnected2d
    return nn.Sequential(layer(1, 3, 3, 8, placement=placement))


@pytest.mark.parametrize("is_analog", [True, False])
@pytest.mark.parametrize("saved", [INTERLEAVED, "free", "replicated(tiles=4)"])
def test_a_state_of_another_placement_is_refused_by_its_name(tmp_path, saved, is_analog):
    source, target = placed(saved, is_analog), placed(BLOCKS, is_analog)
    named = r"`placement` of layer '0' must be .*{}.*, but is .*{}".format(
        *(s.split("(")[0] for s in (saved, BLOCKS))
    )
    before = {name: values.clone() for name, values in target.state_dict().items()}
    with pytest.raises(RuntimeError, match=named):
        target.load_state_dict(source.state_dict())
    save_model(source, tmp_path / "model.safetensors")
    target = placed(BLOCKS, is_analog)
    with pytest.raises(ValueError, match=named):
        load_model(tmp_path / "model.safetensors", target)
    for name, values in target.state_dict().items():
        assert torch.equal(values, before[name])


def test_a_state_without_a_placement_loads_as_before(tmp_path):
    """Files and dictionaries of before say nothing of it."""
    source, target = placed(INTERLEAVED), placed(INTERLEAVED)
    target.load_state_dict(dict(source.state_dict()))
    wrong = placed("free")
    with pytest.raises(RuntimeError, match="size mismatch"):
        wrong.load_state_dict(dict(source.state_dict()))


def test_a_schedule_of_synchronisation_is_no_other_placement():
    one, other = (placed(f"replicated(tiles=4,sync_every={every})", is_analog=False) for every in (0, 3))
    other.load_state_dict(one.state_dict())


def test_tied_modules_are_saved_and_loaded(tmp_path):
    """A file holds the values under each of their names; the model stays tied."""

    def tied():
        linear = nn.Linear(8, 8)
        return convert_to_analog(nn.Sequential(linear, nn.ReLU(), linear), get("pcm").rpu_config()).eval()

    saved, loaded = tied(), tied()
    save_model(saved, tmp_path / "tied.safetensors")
    load_model(tmp_path / "tied.safetensors", loaded)
    assert loaded[0] is loaded[2]
    assert torch.equal(loaded[2].get_weights()[0], saved[0].get_weights()[0])


def test_the_chip_of_another_network_is_refused():
    """Equal in shape, but other weights were written into it."""
    first, second = (convert_to_analog(nn.Linear(8, 3), get("pcm").rpu_config()).eval() for _ in range(2))
    program_chip(first, seed=1)
    with pytest.raises(
        ValueError, match="`state` must be of a chip that holds the trained weights of this model"
    ):
        load_chip_state(second, chip_state(first))
    assert not second.tile_array.is_programmed
