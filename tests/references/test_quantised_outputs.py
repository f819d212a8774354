"""Digital quantisation of outputs, scales and biases: number for number that of aihwkit's quantised tiles."""

import copy

import pytest
import torch
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.simulator.configs import QuantizedTorchInferenceRPUConfig
from aihwkit.simulator.digital_low_precision.range_estimators import RangeEstimators
from aihwkit.simulator.parameters.quantization import ActivationQuantConfig

from crossbar import (
    AnalogConv2d,
    AnalogConvTranspose1d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    TileArray,
    load_model,
    save_model,
)

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32, sums of 12 products, one division and one product by the step


def config(bits=3, symmetric=True, estimator=RangeEstimators.running_minmax, of_periphery=0, **mapping):
    rpu_config = QuantizedTorchInferenceRPUConfig()
    rpu_config.forward.is_perfect = True
    rpu_config.act_quant_config = ActivationQuantConfig(bits, symmetric, estimator)
    rpu_config.pre_post.periph_quant.n_bits = of_periphery
    rpu_config.pre_post.periph_quant.symmetric = symmetric
    for name, value in {"weight_scaling_omega": 1.0, "weight_scaling_columnwise": True, **mapping}.items():
        setattr(rpu_config.mapping, name, value)
    return rpu_config


def both(rpu_config, inputs=12, outputs=7, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(outputs, inputs, generator=drawn), torch.randn(outputs, generator=drawn)
    layers = [cls(inputs, outputs, True, copy.deepcopy(rpu_config)) for cls in (AnalogLinear, TheirLinear)]
    for layer in layers:
        layer.set_weights(weight, bias)
    return layers


MINMAX = [RangeEstimators.current_minmax, RangeEstimators.allminmax, RangeEstimators.running_minmax]
CASES = [(one, symmetric, largest) for one in MINMAX for symmetric in (True, False) for largest in (512, 5)]
# Searches take seconds: one of each kind.
SEARCHES = [(RangeEstimators.MSE, True, 5), (RangeEstimators.cross_entropy, True, 512)]
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in SEARCHES]


@pytest.mark.parametrize(("estimator", "symmetric", "largest"), CASES)
def test_outputs_are_quantised_as_by_aihwkit(estimator, symmetric, largest):
    """Two batches in training, which move the range, then one in evaluation; 4 x 3 tiles or one."""
    ours, theirs = both(config(3, symmetric, estimator, max_input_size=largest, max_output_size=largest))
    batches = (
        torch.randn(3, 9, 12, generator=torch.Generator().manual_seed(1))
        * torch.tensor([1.0, 2.0, 0.5])[:, None, None]
    )
    for x in batches[:2]:
        torch.testing.assert_close(ours(x), theirs(x), **CLOSE)
    torch.testing.assert_close(ours.eval()(batches[2]), theirs.eval()(batches[2]), **CLOSE)
    assert ours(batches[2]).unique().numel() <= 2**3


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("largest", [512, 5])
def test_scales_and_biases_are_quantised_as_by_aihwkit(symmetric, largest):
    ours, theirs = both(config(0, symmetric, of_periphery=4, max_input_size=largest, max_output_size=largest))
    x = torch.randn(9, 12, generator=torch.Generator().manual_seed(1))
    plain = both(config(0))[0](x)
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), **CLOSE)
    assert (ours(x) - plain).abs().max() > 1e-3


def test_gradients_pass_where_nothing_is_clipped():
    """As aihwkit's, whose estimator has seen larger outputs or smaller ones before."""
    ours, theirs = both(config(3, estimator=RangeEstimators.running_minmax))
    x = torch.randn(9, 12, generator=torch.Generator().manual_seed(1))
    for layer in (ours, theirs):
        layer(x)
        given = (3 * x).requires_grad_()
        layer(given).square().sum().backward()
        layer.seen = given.grad
    torch.testing.assert_close(ours.seen, theirs.seen, rtol=1e-4, atol=1e-4)
    assert (ours.seen == 0).all(dim=1).sum() < 9


def layers(rpu_config):
    return [
        (AnalogConv2d(2, 3, 3, rpu_config=rpu_config), (4, 2, 6, 6)),
        (AnalogLocallyConnected2d(2, 3, 3, 6, rpu_config=rpu_config), (4, 2, 6, 6)),
        (AnalogConvTranspose1d(2, 3, 3, rpu_config=rpu_config), (4, 2, 6)),
    ]


def test_layers_with_locations_have_one_range(tmp_path):
    """Also after they were saved."""
    torch.manual_seed(0)  # of other weights, half of the 16 levels may stay unused by chance
    for (layer, shape), (fresh, _) in zip(layers(config(4)), layers(config(4)), strict=True):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        with pytest.raises(RuntimeError, match="batches pass in training mode"):
            layer.eval()(x)
        layer.train()(x)
        y = layer.eval()(x)
        assert 8 < y.unique().numel() <= 16
        save_model(layer, tmp_path / "layer.safetensors")
        load_model(tmp_path / "layer.safetensors", fresh)
        torch.testing.assert_close(fresh.eval()(x), y, rtol=0, atol=0)


def test_what_cannot_be_quantised_is_refused():
    with pytest.raises(ValueError, match="belongs to no layer"):
        TileArray(1, 2, 3, config())(torch.zeros(1, 1, 3))
    learned = config(of_periphery=4)
    learned.pre_post.periph_quant.learn_quant_params = True
    with pytest.raises(ValueError, match=r"`pre_post.periph_quant.learn_quant_params` must be False"):
        AnalogLinear(4, 3, rpu_config=learned)
    layer = AnalogLinear(4, 3, rpu_config=config(3))
    with pytest.raises(ValueError, match=r"`rpu_config.act_quant_config` must be that of the present"):
        layer.replace_rpu_config(config(4))
