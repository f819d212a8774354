"""Conversion with aihwkit's keywords, back again by either package's function, and batch normalisation folded."""

import copy

import pytest
import torch
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.nn.conversion import convert_to_digital as their_convert_to_digital
from torch import nn

from crossbar import (
    DIGITAL_CONVERSION_SET,
    AnalogLinear,
    convert_to_analog,
    convert_to_digital,
    program_chip,
)
from crossbar import AnalogSequential as CountingSequential
from crossbar.aihwkit.adapter import AnalogLayerBase, AnalogSequential, InferenceRPUConfig, SingleRPUConfig


def perfect():
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    return config


class Net(nn.Module):
    """Convolutions with batch normalisation, a shortcut, a layer that occurs twice."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.bn3 = nn.BatchNorm2d(4)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.twice = nn.Linear(6, 6)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.bn3(x + self.bn2(self.conv2(x)))
        return self.twice(self.twice(self.head(x)))


def trained():
    torch.manual_seed(0)
    net = Net()
    for _ in range(3):
        net(torch.randn(8, 1, 4, 4))
    return net.eval()


X = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(2))


def test_folded_batch_normalisation_leaves_the_outputs_of_evaluation():
    net = trained()
    analog = convert_to_analog(net, perfect(), fold_batch_norm=True)
    assert isinstance(analog.bn1, nn.Identity)
    assert isinstance(analog.bn2, nn.Identity)
    assert isinstance(analog.bn3, nn.BatchNorm2d)  # behind a sum, no layer can take it
    assert isinstance(analog.head[2], nn.Identity)
    assert isinstance(net.bn1, nn.BatchNorm2d)
    with torch.no_grad():
        assert torch.allclose(analog(X), net(X), atol=1e-5)

    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"`model` must be traceable by torch.fx"):
        convert_to_analog(Branching(), perfect(), fold_batch_norm=True)


def test_each_layer_can_have_its_own_configuration(capsys):
    asked = []

    def choose(name, module, config):
        asked.append((name, type(module)))
        return SingleRPUConfig() if name == "all.twice" else config

    analog = convert_to_analog(
        trained(), perfect(), specific_rpu_config_fun=choose, module_name="all", verbose=True
    )
    assert asked[-1] == ("all.twice", nn.Linear)
    assert isinstance(analog.twice.tile_array.rpu_config, SingleRPUConfig)
    assert not isinstance(analog, AnalogLayerBase)
    assert "Converted 'all.conv1' to 'AnalogConv2d'." in capsys.readouterr().out
    kept = convert_to_analog(
        trained(), perfect(), module_name="all", exclude_modules=["all.head", "all.twice"]
    )
    assert type(kept.twice) is nn.Linear


def test_maps_roots_and_places():
    net = trained()
    theirs = {nn.Linear: TheirLinear}
    with pytest.warns(UserWarning, match="'twice' .AnalogLinear: .*refuse it"):
        mapped = convert_to_analog(net, perfect(), conversion_map=theirs, exclude_modules=["conv1", "conv2"])
    assert type(mapped.twice) is TheirLinear
    assert type(mapped.head) is nn.Sequential
    bare = convert_to_analog(net, perfect(), ensure_analog_root=False)
    assert type(bare) is Net
    assert type(bare.head) is CountingSequential
    assert convert_to_analog(net, perfect(), inplace=True) is net
    assert isinstance(net.twice, AnalogLinear)
    with pytest.raises(ValueError, match=r"`conversion_map` must name classes .* layer '1'"):
        convert_to_analog(
            nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), perfect(), conversion_map={nn.Linear: nn.Linear}
        )
    with pytest.raises(ValueError, match="`tile_module_class` must be None"):
        convert_to_analog(trained(), perfect(), nn.Linear)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_back_to_torch(whose):
    net = trained()
    net.rnn, net.attention = nn.GRU(3, 2), nn.MultiheadAttention(4, 2)
    analog = convert_to_analog(net, perfect())
    program_chip(analog)
    analog.eval()
    if whose == "ours":
        back = convert_to_digital(analog)
        assert back.get_submodule("twice") is back.twice
    else:
        back = their_convert_to_digital(copy.deepcopy(analog), conversion_set=DIGITAL_CONVERSION_SET)
    assert [type(m) for m in back.modules()] == [type(m) for m in net.modules()]
    for (name, mine), (_, other) in zip(back.named_parameters(), net.named_parameters(), strict=True):
        assert torch.equal(mine, other), name
    with torch.no_grad():
        assert torch.equal(back(X), net(X))
    assert isinstance(analog.twice, AnalogLinear)


def test_aihwkits_own_layers_become_digital_and_a_choice_stays_analog():
    model = AnalogSequential(
        TheirLinear(3, 2, rpu_config=perfect()), AnalogLinear(2, 2, rpu_config=perfect())
    )
    back = convert_to_digital(model)
    assert [type(m) for m in back] == [nn.Linear, nn.Linear]
    assert torch.allclose(back(torch.ones(1, 3)), model(torch.ones(1, 3)), atol=1e-6)
    some = convert_to_digital(model, {TheirLinear})
    assert [type(m) for m in some] == [nn.Linear, AnalogLinear]
    read = convert_to_digital(model, {AnalogLinear}, realistic=True)
    assert torch.allclose(read[1].weight, model[1].get_weights()[0], atol=1e-4)
    assert convert_to_digital(model, inplace=True)[0].weight.shape == (2, 3)


def test_the_digital_twin_is_exported():
    """`torch.export` of the twin computes what perfect tiles compute."""
    analog = convert_to_analog(trained(), perfect())
    program = torch.export.export(convert_to_digital(analog), (X,))
    with torch.no_grad():
        assert torch.allclose(program.module()(X), analog(X), atol=1e-5)
