"""Networks of aihwkit's real layers become ours and come back: what they hold, what they compute, how they learn."""

import copy
import warnings

import pytest
import torch
from aihwkit.nn import (
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogLinear,
    AnalogLinearMapped,
    AnalogLSTMCell,
    AnalogRNN,
    AnalogSequential,
)
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import (
    ConstantStepDevice,
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    TorchInferenceRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
)
from aihwkit.simulator.parameters.enums import PulseType
from torch import nn

import crossbar
from crossbar import from_aihwkit, load_aihwkit_state, to_aihwkit

X = torch.rand(6, 2, 5, 5, generator=torch.Generator().manual_seed(0)) - 0.5
TARGET = torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
CLOSE = {"rtol": 0.0, "atol": 2e-6}  # sums of up to 27 products of float32 in another order


def with_scales(kind, **mapping):
    config = kind()
    config.forward.is_perfect = True
    config.mapping.max_input_size = 12
    config.mapping.max_output_size = 4
    config.mapping.weight_scaling_omega = 0.6
    for name, value in mapping.items():
        setattr(config.mapping, name, value)
    if kind is not SingleRPUConfig:
        config.pre_post.input_range.enable = True
    else:
        config.update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
        config.device = ConstantStepDevice(dw_min_std=0.0, dw_min=0.01)
        config.backward.is_perfect = True
    return config


def network(config):
    torch.manual_seed(3)
    convolution = AnalogConv2d(2, 3, 3, stride=2, padding=1, rpu_config=config)
    return AnalogSequential(
        convolution, nn.ReLU(), AnalogConv2dMapped(3, 5, 2, rpu_config=config), nn.BatchNorm2d(5), nn.Flatten(),
        AnalogLinear(20, 6, rpu_config=config), AnalogLinearMapped(6, 3, False, rpu_config=config),
    )  # fmt: skip


def trained(model, steps=2):
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    optimizer.regroup_param_groups()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(X), TARGET).backward()
        optimizer.step()
    return model


CONFIGS = {
    "inference": lambda: with_scales(InferenceRPUConfig),
    "torch": lambda: with_scales(TorchInferenceRPUConfig, learn_out_scaling=True),
    "columns": lambda: with_scales(InferenceRPUConfig, weight_scaling_columnwise=True),
    "in situ": lambda: with_scales(SingleRPUConfig),
    "digital": FloatingPointRPUConfig,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_of_aihwkits_becomes_ours_and_comes_back(name):
    theirs = trained(network(CONFIGS[name]()))
    ours = from_aihwkit(theirs)
    assert isinstance(ours[0], crossbar.AnalogConv2d)
    assert isinstance(ours[2], crossbar.AnalogConv2d)
    assert isinstance(ours[6], crossbar.AnalogLinear)
    back = to_aihwkit(ours)
    for index in (0, 2, 5, 6):
        weight, bias = theirs[index].get_weights()
        for other in (ours[index], back[index]):
            mine = other.get_weights()
            assert torch.allclose(mine[0].reshape(weight.shape), weight, **CLOSE)
            assert (bias is None) == (mine[1] is None)
            assert bias is None or torch.equal(mine[1], bias.detach())
            unscaled = other.get_weights(apply_weight_scaling=False)[0].reshape(weight.shape)
            assert torch.allclose(unscaled, theirs[index].get_weights(apply_weight_scaling=False)[0], **CLOSE)
    for one, other in zip(theirs.analog_tiles(), back.analog_tiles(), strict=True):
        assert type(one) is type(other)
        assert one.input_range is None or torch.equal(one.input_range, other.input_range)
        for key, values in one.get_hidden_parameters().items():
            assert torch.equal(values, other.get_hidden_parameters()[key])
    for model in (theirs, ours, back):
        model.eval()
    assert torch.allclose(ours(X), theirs(X), atol=1e-5)
    assert torch.allclose(back(X), theirs(X), atol=1e-5)


def test_a_mapped_convolution_that_is_cut_in_another_way_keeps_what_the_network_learned():
    """Twelve inputs, at most 11: aihwkit cuts between channels, into 8 and 4, and we into 6 and 6."""
    theirs = trained(network(with_scales(InferenceRPUConfig, max_input_size=11)))
    for model in (from_aihwkit(theirs), load_aihwkit_state(from_aihwkit(theirs), theirs.state_dict())):
        assert torch.allclose(model[2].get_weights()[0], theirs[2].get_weights()[0].flatten(1), **CLOSE)
        assert torch.equal(model[2].get_weights()[1], theirs[2].get_weights()[1])
        largest = max(tile.input_range.item() for tile in theirs[2].analog_tiles())
        assert model[2].tile_array.input_range.tolist() == pytest.approx(
            [largest] * model[2].tile_array.tiles
        )
    devices = network(with_scales(SingleRPUConfig, max_input_size=11))
    with pytest.raises(ValueError, match="layer '2': `model` must have devices that are trained in place on"):
        from_aihwkit(devices)


def test_devices_go_on_learning_where_they_were():
    """Deterministic pulses on devices without noise: the same weights after ten more steps, pulse for pulse."""
    config = with_scales(SingleRPUConfig, max_input_size=0, max_output_size=0)
    torch.manual_seed(3)
    theirs = trained(AnalogSequential(nn.Flatten(), AnalogLinear(50, 3, rpu_config=config)))
    ours = trained(from_aihwkit(theirs), 10)
    trained(theirs, 10)
    assert torch.allclose(ours[1].get_weights()[0], theirs[1].get_weights()[0], atol=1e-5)


def test_hidden_weights_of_a_compound_come_over():
    device = TransferCompound(unit_cell_devices=[SoftBoundsDevice(), SoftBoundsDevice()])
    layer = AnalogLinear(50, 3, rpu_config=UnitCellRPUConfig(device=device))
    theirs = trained(AnalogSequential(nn.Flatten(), layer))
    ours = from_aihwkit(theirs)
    tile, back = theirs[1].analog_module, to_aihwkit(ours)[1].analog_module
    for name, values in tile.get_hidden_parameters().items():
        assert torch.allclose(ours[1].tile_array.get_hidden_parameters()[name], values, atol=1e-6), name
        assert torch.allclose(back.get_hidden_parameters()[name], values, atol=1e-6), name
    assert torch.allclose(back.get_weights()[0], tile.get_weights()[0], atol=1e-6)


@pytest.mark.parametrize("name", ["inference", "torch", "in situ"])
def test_a_saved_state_of_aihwkits_is_loaded_without_running_anything(name, tmp_path):
    theirs, file = trained(network(CONFIGS[name]())), tmp_path / "state.pt"
    torch.save(theirs.state_dict(), file)
    ours = from_aihwkit(network(CONFIGS[name]()))
    load_aihwkit_state(ours, file)
    assert torch.allclose(ours.eval()(X), theirs.eval()(X), atol=1e-5)
    other = load_aihwkit_state(from_aihwkit(network(CONFIGS[name]())), theirs.state_dict())
    assert torch.allclose(other.eval()(X), theirs(X), atol=1e-5)


def test_a_whole_model_in_a_file_is_not_unpickled(tmp_path):
    file = tmp_path / "model.pt"
    torch.save(network(InferenceRPUConfig()), file)
    with pytest.raises(ValueError, match="`state` must be a file of a state dictionary of aihwkit"):
        load_aihwkit_state(from_aihwkit(network(InferenceRPUConfig())), file)


def test_recurrent_layers_come_over_inside_their_container():
    config = with_scales(InferenceRPUConfig)
    theirs, x = AnalogRNN(AnalogLSTMCell, 4, 3, rpu_config=config), torch.rand(7, 2, 4)
    ours = from_aihwkit(theirs)
    assert len([layer for layer in ours.modules() if isinstance(layer, crossbar.AnalogLinear)]) == 2
    assert torch.allclose(ours.eval()(x)[0], theirs.eval()(x)[0], atol=1e-5)
    own = crossbar.AnalogRNN(crossbar.AnalogLSTMCell, 4, 3, rpu_config=config)
    load_aihwkit_state(own, theirs.state_dict())
    assert torch.allclose(own.eval()(x)[0], theirs(x)[0], atol=1e-5)


def test_tied_layers_stay_tied_and_the_model_stays_as_it_is():
    layer = AnalogLinear(3, 3, rpu_config=InferenceRPUConfig())
    theirs = nn.Sequential(layer, nn.ReLU(), layer)
    ours = from_aihwkit(theirs)
    assert ours[0] is ours[2]
    assert theirs[0] is layer
    back = to_aihwkit(ours)
    assert back[0] is back[2]
    assert isinstance(from_aihwkit(layer), crossbar.AnalogLinear)


def test_what_has_no_counterpart_is_refused_with_its_name():
    free = nn.Sequential(crossbar.AnalogLocallyConnected2d(1, 2, 3, 5))
    with pytest.raises(ValueError, match="layer '0': `model` must have layers that aihwkit has, too"):
        to_aihwkit(free)
    with pytest.raises(ValueError, match="`model` must have analog layers to exchange, but has none"):
        from_aihwkit(nn.Sequential(nn.Linear(2, 2)))
    grouped = crossbar.AnalogConv1d(2, 4, 3, groups=2)
    with pytest.raises(ValueError, match="one kernel on one tile, one group"):
        to_aihwkit(grouped)
    assert isinstance(to_aihwkit(crossbar.AnalogConv1d(2, 4, 3)), AnalogConv1d)


def test_of_a_programmed_layer_the_targets_are_taken_with_a_word():
    theirs = AnalogSequential(AnalogLinear(4, 3, rpu_config=InferenceRPUConfig())).eval()
    weight = theirs[0].get_weights()[0]
    theirs.program_analog_weights()
    assert not torch.equal(theirs[0].get_weights()[0], weight)
    with pytest.warns(UserWarning, match="a programmed layer of aihwkit's becomes one with its targets"):
        ours = from_aihwkit(theirs)
    assert torch.allclose(ours[0].get_weights()[0], weight, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_aihwkit(copy.deepcopy(network(InferenceRPUConfig())))
