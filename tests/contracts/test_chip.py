"""One seed is one chip, time is a trajectory, copies are not equal, absent devices stay absent."""

import pytest
import torch
from torch import nn

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    age_chip,
    erase_chip,
    program_chip,
    seed_noise,
    tile_arrays,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig
from devices import get

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def config(max_input_size=512):
    config = InferenceRPUConfig()
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.max_input_size = max_input_size
    return config


def model(placement="free", seed=0):
    torch.manual_seed(seed)
    conv = AnalogLocallyConnected2d(1, 3, 3, 8, placement=placement, rpu_config=config())
    return nn.Sequential(conv, nn.Flatten(), AnalogLinear(108, 4, rpu_config=config(40))).eval()


def conductances(net, time):
    return [g for _, array in tile_arrays(net) for g in array.programmed.conductances(time)]


def all_equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_one_seed_is_one_chip_and_time_is_a_trajectory():
    nets = [model(), model(), model()]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        program_chip(net, seed=seed)
    age_chip(nets[0], 10.0, seed=0)  # a reading in between changes no device
    assert all_equal(conductances(nets[0], 1e6), conductances(nets[1], 1e6))
    assert all_equal(conductances(nets[0], 1e6), conductances(nets[0], 1e6))
    assert not all_equal(conductances(nets[0], 1e6), conductances(nets[2], 1e6))


@pytest.mark.parametrize("placement", ["free", "replicated(tiles=4)", "blocks(rows=2,cols=2)"])
def test_an_ideal_chip_holds_what_was_trained(placement):
    net = model(placement)
    for _, array in tile_arrays(net):
        array.rpu_config.forward.is_perfect = True
    clean = net(X)
    program_chip(net, get("ideal").noise_model(), seed=1, compensation="none")
    age_chip(net, 1e6, seed=1)
    # to conductances and back: a few units in the last place of each of up to 108 summands
    assert (net(X) - clean).abs().max() < 108 * 2**-22
    for _, array in tile_arrays(net):
        assert (array.reading.weight - array.target_weights()).abs().max() < 2**-21


def test_the_same_reading_repeats_and_another_has_other_read_noise():
    net = model()
    program_chip(net, seed=1)
    outputs = []
    for seed in (5, 5, 6):
        age_chip(net, 3600.0, seed=seed)
        seed_noise(net, 0, "evaluation")
        outputs.append(net(X))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_a_layer_s_devices_do_not_depend_on_the_layers_beside_it():
    alone = nn.Sequential(model()[0]).eval()
    whole = model()
    program_chip(alone, seed=1)
    program_chip(whole, seed=1)
    assert all_equal(conductances(alone, 1e3), conductances(whole, 1e3)[:2])


def test_copies_of_one_kernel_are_programmed_each_for_itself():
    net = model("replicated(tiles=4)")
    program_chip(net, seed=1)
    copies = net[0].tile_array.programmed.programmed_weights
    assert torch.equal(net[0].tile_array.target_weights()[0], net[0].tile_array.target_weights()[3])
    assert not torch.equal(copies[0], copies[3])


def test_absent_devices_stay_absent():
    """107 inputs on 40 word lines are blocks of 36, 36 and 35: the last word line of two tiles stays empty."""
    settings = config(40)
    settings.mapping.max_output_size = 3
    layer = AnalogLinear(107, 4, rpu_config=settings).eval()
    array = layer.tile_array
    assert (array.tiles, array.out_size, array.in_size) == (6, 2, 36)
    absent = ~array.tile_population()
    assert absent.sum() == 2 * 2
    program_chip(layer, seed=0)
    age_chip(layer, 1e6, seed=0)
    assert array.reading.weight[absent].eq(0).all()
    assert array.reading.weight[~absent].ne(0).float().mean() > 0.9


@pytest.mark.parametrize(
    ("compensation", "shape"),
    [("none", None), ("global", (36, 1, 1)), ("per_tile", (36, 1, 1)), ("per_column", (36, 1, 3))],
)
def test_compensation_has_the_granularity_of_its_name(compensation, shape):
    net = model()
    program_chip(net, get("pcm").noise_model(), seed=1, compensation=compensation)
    age_chip(net, 1e6, seed=1)
    factor = net[0].tile_array.reading.factor
    if shape is None:
        assert factor is None
        return
    assert factor.shape == shape
    different = len(factor.flatten().unique())  # the ADC's steps let a few coincide
    assert different == 1 if compensation == "global" else different > factor.numel() / 2
    # PCM drifts by t^-0.05 to t^-0.1 between 20 s and 1e6 s: the factor lies in between.
    assert 1.5 < factor.mean() < 3.0


def test_erasing_gives_back_the_trained_weights_exactly():
    net = model()
    before = []
    for use in ("clean", "erased"):
        if use == "erased":
            program_chip(net, seed=1)
            erase_chip(net)
        seed_noise(net, 0, "evaluation")
        before.append(net(X))
    assert torch.equal(*before)


def test_a_digital_model_cannot_be_programmed():
    with pytest.raises(ValueError, match="must have analog layers"):
        program_chip(nn.Linear(2, 2), seed=0)


@pytest.mark.parametrize("time", [None, True, "soon", [1.0]])
def test_no_time_is_refused_in_a_sentence(time):
    net = model()
    program_chip(net, seed=0)
    with pytest.raises(ValueError, match="`time` must be a number of seconds, or a number with a unit"):
        age_chip(net, time)


@pytest.mark.parametrize("seed", ["a", 0.5, True])
def test_no_seed_is_refused_in_a_sentence(seed):
    net = model()
    for act in (lambda: program_chip(net, seed=seed), lambda: age_chip(net, 1.0, seed=seed)):
        with pytest.raises(TypeError, match="`seed` must be a whole number or None, but is"):
            act()


def test_a_chip_without_a_seed_draws_its_own():
    """Names of chips and readings come from the layers' noise streams then: the same streams, the same chip."""
    readings = []
    for seed in (1, 1, 2):
        net = model()
        seed_noise(net, seed)
        program_chip(net)
        age_chip(net, "1d")
        readings.append([array.reading.weight for _, array in tile_arrays(net)])
    assert all_equal(readings[0], readings[1])
    assert not all_equal(readings[0], readings[2])
