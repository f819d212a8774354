"""Conversion says what became analog, what stayed digital and why; nothing is lost on the way."""

import copy
import pickle
import warnings

import pytest
import torch
from aihwkit.nn import AnalogConv1d as TheirConv1d
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    LocallyConnected2d,
    conversion_report,
    convert_to_analog,
    replace_placement,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, SingleRPUConfig


def perfect():
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    return config


class Dense(nn.Linear):
    """A user's own dense layer."""


class Own(nn.Module):
    """A user's own layer."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(2, 2))


LEFT_DIGITAL = {
    "cell": (nn.GRUCell(4, 3), ["GRUCell: recurrent cells"]),
    "subclass": (Dense(4, 3), ["Dense: a subclass of nn.Linear"]),
    "parametrised": (
        nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)),
        ["'layer.parametrizations.weight' (ParametrizationList: a parametrization computes"],
    ),
    "bilinear": (nn.Bilinear(2, 3, 4), ["Bilinear: no analog layer"]),
    "own": (Own(), ["Own: no analog layer"]),
}


@pytest.mark.parametrize("case", LEFT_DIGITAL)
def test_a_layer_that_stays_digital_is_named_with_its_reason(case):
    layer, parts = LEFT_DIGITAL[case]
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "layer": layer})
    with pytest.warns(UserWarning, match="conversion left layers without hardware") as caught:
        analog = convert_to_analog(model, perfect())
    message = str(caught[0].message)
    for part in parts:
        for piece in part.split(".*"):
            assert piece in message, message
    report = conversion_report(analog)
    assert report.names("analog") == ["first"]
    assert len(report.names("digital")) >= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent = convert_to_analog(model, perfect(), exclude_modules=["layer"])
    assert set(conversion_report(silent).names("excluded")) == set(report.names("digital"))
    assert conversion_report(copy.deepcopy(silent)).names("digital") == []


def test_norms_tables_and_activations_need_no_warning():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    report = conversion_report(convert_to_analog(model, perfect()))
    assert [(layer.name, layer.place) for layer in report.layers] == [("0", "digital"), ("2", "analog")]
    assert not report.unforeseen


def test_the_report_prints_as_a_table():
    torch.manual_seed(0)
    model = nn.Sequential(LocallyConnected2d(1, 2, 3, 5), nn.Flatten(), nn.Linear(18, 4), nn.LSTMCell(4, 3))
    analog = convert_to_analog(model, perfect(), exclude_modules=["3"])
    report = conversion_report(analog)
    assert str(report).splitlines() == [
        "layer  weights            class                     remark",
        "0          162  analog    AnalogLocallyConnected2d  9 tiles, free",
        "2           72  analog    AnalogLinear              1 tile",
        "3           84  excluded  LSTMCell                  excluded",
    ]
    assert repr(report) == "ConversionReport(2 analog, 1 excluded)"
    placed = replace_placement(nn.Sequential(AnalogConv2d(1, 2, 3)), "free", (1, 5, 5))
    assert "9 tiles, free" in str(conversion_report(placed))


def test_aihwkits_own_layers_are_named():
    with pytest.warns(UserWarning, match=r"'0' \(AnalogConv1d: .*refuse"):
        analog = convert_to_analog(nn.Sequential(TheirConv1d(1, 2, 3), nn.Linear(2, 2)), perfect())
    assert conversion_report(analog).names("aihwkit's own") == ["0"]
    assert conversion_report(analog).names("analog") == ["1"]


class Twice(nn.Module):
    """One dense layer in three places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.body = nn.Sequential(self.first, nn.ReLU())
        self.last = self.first

    def forward(self, x):
        return self.last(self.body(self.first(x)))


def test_a_module_that_occurs_several_times_stays_one():
    model = Twice()
    analog = convert_to_analog(model, perfect())
    assert isinstance(analog.first, AnalogLinear)
    assert analog.first is analog.last is analog.body[0]
    report = conversion_report(analog)
    assert (report.names("analog"), report.names("tied")) == (["first"], ["body.0", "last"])
    x = torch.randn(2, 3)
    assert torch.allclose(analog.eval()(x), model(x), atol=1e-6)
    with pytest.raises(ValueError, match=r"must name both 'first' and 'body.0'"):
        convert_to_analog(model, perfect(), exclude_modules=["first"])


def test_a_sequence_keeps_modules_that_occur_twice_and_its_mode():
    """aihwkit's conversion of nn.Sequential drops the second of two."""
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), act, nn.Linear(3, 3), act).eval()
    analog = convert_to_analog(model, perfect())
    assert len(analog) == 4
    assert not analog.training
    x = torch.randn(5, 3)
    assert torch.allclose(analog(x), model(x), atol=1e-6)
    assert type(model) is nn.Sequential


def test_a_weight_that_two_layers_share_is_named():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    with pytest.warns(UserWarning, match="'1' .*shares its weight with '0' no longer"):
        convert_to_analog(model, perfect())


def test_hooks_that_are_left_behind_are_named():
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3)))
    with pytest.warns(UserWarning, match="'0' .*hooks of the digital layer were left behind"):
        convert_to_analog(model, perfect())


@pytest.mark.parametrize("config", [perfect, SingleRPUConfig])
def test_what_was_frozen_stays_frozen(config):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].requires_grad_(False)
    analog = convert_to_analog(model, config())
    for copied in (analog, copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))):
        assert not any(parameter.requires_grad for parameter in copied[0].parameters())
        learns = {
            name: p.requires_grad for name, p in copied[1].named_parameters() if "analog_ctx" not in name
        }
        assert all(learns.values())


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        (nn.Conv2d(2, 2, 3), "layer 'layer3.0': `weight` must be finite, but 1 of its 36"),
        (nn.Linear(2, 2), "layer 'layer3.0': `weight` must be finite, but 1 of its 4"),
    ],
)
def test_refusals_name_the_layer(layer, match):
    layer = copy.deepcopy(layer)
    layer.weight.data.view(-1)[0] = float("nan")
    model = nn.ModuleDict({"layer3": nn.Sequential(layer)})
    with pytest.raises(ValueError, match=match):
        convert_to_analog(model, perfect())


def test_biases_that_are_no_numbers_are_refused_at_conversion():
    layer = nn.Linear(2, 2)
    layer.bias.data[0] = float("inf")
    with pytest.raises(ValueError, match="layer '0': `bias` must be finite"):
        convert_to_analog(nn.Sequential(layer), perfect())


def test_a_conversion_without_a_configuration_is_refused():
    with pytest.raises(TypeError, match="`rpu_config` must be an aihwkit configuration, but is None"):
        convert_to_analog(nn.Linear(2, 2), None)


def test_a_conversion_that_puts_nothing_onto_tiles_says_so():
    with pytest.warns(UserWarning, match="conversion put nothing onto tiles"):
        convert_to_analog(nn.Sequential(nn.Flatten(), nn.ReLU()), InferenceRPUConfig())


def test_names_that_no_module_has_are_refused():
    with pytest.raises(ValueError, match=r"has no 'fc'\. It has for example '0'"):
        convert_to_analog(nn.Sequential(nn.Linear(2, 2)), perfect(), exclude_modules=["fc"])
    with pytest.raises(TypeError, match="must be a list of names"):
        convert_to_analog(nn.Sequential(nn.Linear(2, 2)), perfect(), exclude_modules="0")


def test_what_is_converted_inside_inference_mode_can_be_trained():
    model = nn.Sequential(nn.Linear(3, 2))
    with torch.inference_mode():
        analog = convert_to_analog(model, perfect())
    before = analog[0].get_weights()[0]
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1)
    analog(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(analog[0].get_weights()[0], before)


def test_layers_that_are_analog_already_stay():
    model = nn.Sequential(AnalogLinear(3, 3), nn.Linear(3, 2))
    analog = convert_to_analog(model, SingleRPUConfig())
    assert isinstance(analog[0].tile_array.rpu_config, InferenceRPUConfig)
    assert conversion_report(analog).names("analog") == ["0", "1"]


def _net(factor):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(3, 3)

        def forward(self, x):
            return factor * self.dense(x)

    return Net()


def test_two_classes_of_one_name_stay_two():
    """aihwkit finds the class of a converted root by its bare name: the second computes as the first."""
    x = torch.ones(1, 3)
    for factor in (1.0, 3.0):
        model = _net(factor)
        assert torch.allclose(convert_to_analog(model, perfect()).eval()(x), model(x), atol=1e-5)


def test_a_converted_model_can_be_pickled():
    model = convert_to_analog(Twice(), perfect()).eval()
    x = torch.randn(4, 3)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(copied, Twice)
        assert torch.equal(copied(x), model(x))
        copied.program_analog_weights()
        assert copied.first.tile_array.is_programmed
