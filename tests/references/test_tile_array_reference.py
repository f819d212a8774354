"""The tile array against a loop over aihwkit's own C++ tiles: scales, clipping, remapping, modifiers, ranges."""

import math

import pytest
import torch

from crossbar import TileArray
from crossbar.aihwkit.adapter import (
    GlobalDriftCompensation,
    InferenceRPUConfig,
    InputRangeParameter,
    PerColumnDriftCompensation,
    StandardHWATrainingPreset,
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
    WeightRemapParameter,
    WeightRemapType,
)
from crossbar.reading.noise import NoiseStream
from crossbar.reference.backend import LoopOfTiles
from crossbar.tiles.compensation import readout
from crossbar.tiles.weights.constraints import clip_weights_, remap_weights_
from crossbar.tiles.weights.modifiers import modify_weights

TILES, OUT, IN, BATCH = 4, 6, 9, 16
ULP = 2**-23  # of float32
# Tiles of very different size: a maximum taken over all tiles would be far off for most.
SPREAD = torch.tensor([1.0, 0.3, 0.1, 3.0])[:, None, None]


def weights():
    return torch.randn(TILES, OUT, IN, generator=torch.Generator().manual_seed(0)) * SPREAD


def looped(config):
    return LoopOfTiles(TILES, OUT, IN, config)


def raw(loop):
    return torch.stack([tile.tile.get_weights() for tile in loop.tiles])


def set_raw(loop, weight):
    for tile, values in zip(loop.tiles, weight, strict=True):
        tile.tile.set_weights(values)


@pytest.mark.parametrize("preset", [InferenceRPUConfig, StandardHWATrainingPreset])
@pytest.mark.parametrize("training", [True, False])
def test_backends_agree_with_noise_off(preset, training):
    config = preset()
    config.forward.out_noise = config.forward.w_noise = 0.0
    config.mapping.weight_scaling_omega = 1.0
    arrays = [TileArray(TILES, OUT, IN, config, seed=1, backend=b) for b in ("batched", "aihwkit")]
    x = torch.rand(TILES, BATCH, IN) * SPREAD
    x[1, 3] = 0.0
    outputs = []
    for array in arrays:
        array.set_kernels(weights())
        outputs.append(array.train(training)(x))
    # A sum of IN products, each rounded: about IN units in the last place of the largest partial sum.
    assert (outputs[0] - outputs[1]).abs().max() <= IN * ULP * outputs[0].abs().max()


@pytest.mark.parametrize("columnwise", [True, False])
def test_weight_scaling_is_that_of_single_tiles(columnwise):
    config = InferenceRPUConfig()
    config.mapping.weight_scaling_omega = 0.8
    config.mapping.weight_scaling_columnwise = columnwise
    array, loop = TileArray(TILES, OUT, IN, config), looped(config)
    weight = weights()
    weight[2, 1] = 0.0  # a bit line without weight
    array.set_kernels(weight)
    loop.set_weights(weight)
    assert torch.allclose(array.weight, raw(loop), rtol=ULP, atol=0)
    theirs = torch.stack([tile.get_scales().expand(OUT) for tile in loop.tiles])
    assert torch.allclose(array.scales(), theirs, rtol=ULP, atol=0)


@pytest.mark.parametrize(
    "clip",
    [
        WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.5),
        WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN, sigma=1.5),
        WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN, sigma=1.5, fixed_value=0.5),
        WeightClipParameter(type=WeightClipType.AVERAGE_CHANNEL_MAX),
    ],
    ids=lambda clip: clip.type.name,
)
def test_clipping_is_that_of_single_tiles(clip):
    config = InferenceRPUConfig(clip=clip)
    loop = looped(config)
    set_raw(loop, weights())
    loop.after_step()
    ours = weights()
    clip_weights_(ours, clip)
    assert not torch.equal(ours, weights())
    assert torch.allclose(ours, raw(loop), rtol=4 * ULP, atol=0)


@pytest.mark.parametrize(
    "remap",
    [
        WeightRemapParameter(type=WeightRemapType.LAYERWISE_SYMMETRIC),
        WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC),
        WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC, remapped_wmax=0.7),
        WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC, max_scale_range=1.2),
        WeightRemapParameter(
            type=WeightRemapType.CHANNELWISE_SYMMETRIC, max_scale_range=1.2, max_scale_ref=1.3
        ),
    ],
    ids=["layerwise", "channelwise", "wmax", "range", "reference"],
)
def test_remapping_is_that_of_single_tiles(remap):
    config = InferenceRPUConfig(remap=remap)
    loop = looped(config)
    weight = weights()
    weight[0, 2] = 0.0
    scales = 1 + torch.rand(TILES, OUT, generator=torch.Generator().manual_seed(1))
    set_raw(loop, weight)
    for tile, values in zip(loop.tiles, scales, strict=True):
        tile.set_scales(values.clone())
    loop.after_step()
    new_weight = weight.clone()
    new_scales = remap_weights_(new_weight, scales, remap)
    theirs = torch.stack([tile.get_scales() for tile in loop.tiles])
    assert torch.allclose(new_weight, raw(loop), rtol=4 * ULP, atol=0)
    assert torch.allclose(new_scales, theirs, rtol=4 * ULP, atol=0)
    product = new_weight * new_scales[..., None]
    assert torch.allclose(product, weight * scales[..., None], rtol=4 * ULP, atol=0)


def seen_by_training(loop):
    """Return the weights that aihwkit's tiles use in training, read with unit vectors."""
    return torch.stack([tile.train()(torch.eye(IN)).T.detach() for tile in loop.tiles])


@pytest.mark.parametrize(
    "modifier",
    [
        WeightModifierParameter(type=WeightModifierType.DISCRETIZE, res=0.2),
        WeightModifierParameter(
            type=WeightModifierType.DISCRETIZE, res=0.2, rel_to_actual_wmax=False, assumed_wmax=0.5
        ),
        WeightModifierParameter(type=WeightModifierType.DOREFA, res=0.1),
    ],
    ids=["discretize", "assumed", "dorefa"],
)
def test_discretising_modifiers_are_those_of_single_tiles(modifier):
    config = InferenceRPUConfig(modifier=modifier)
    config.forward.is_perfect = True
    loop = looped(config)
    set_raw(loop, weights())
    loop.after_step()
    ours = modify_weights(weights(), modifier, NoiseStream(0, "test"))
    assert not torch.equal(ours, weights())
    assert torch.allclose(ours, seen_by_training(loop), rtol=8 * ULP, atol=1e-7)


NOISY = [
    WeightModifierParameter(type=WeightModifierType.ADD_NORMAL, std_dev=0.1),
    WeightModifierParameter(type=WeightModifierType.MULT_NORMAL, std_dev=0.1),
    WeightModifierParameter(type=WeightModifierType.DISCRETIZE_ADD_NORMAL, std_dev=0.1, res=0.2),
    WeightModifierParameter(type=WeightModifierType.POLY, std_dev=0.5, coeffs=[0.1, 0.5, -0.3]),
    WeightModifierParameter(type=WeightModifierType.PROG_NOISE, std_dev=2.0, coeffs=[0.26, 1.9, -1.2]),
    WeightModifierParameter(type=WeightModifierType.COPY, pdrop=0.3),
]


@pytest.mark.parametrize("modifier", NOISY, ids=lambda m: m.type.name)
def test_noisy_modifiers_have_the_moments_of_single_tiles(modifier):
    """Mean and variance over repeats, averaged over the devices of each tile.

    z = 4.9 is one false alarm in a million; with 2 moments x 4 tiles x 6 modifiers, about one in 20,000 runs.
    """
    repeats = 400
    config = InferenceRPUConfig(modifier=modifier)
    config.forward.is_perfect = True
    loop = looped(config)
    noise = NoiseStream(0, "test")
    theirs, ours = [], []
    for _ in range(repeats):
        set_raw(loop, weights())
        loop.after_step()
        theirs.append(seen_by_training(loop))
        ours.append(modify_weights(weights(), modifier, noise))
    samples = [torch.stack(theirs).double(), torch.stack(ours).double()]
    # aihwkit draws from a table of 32,768 normal numbers: each tile's mean is off by 0.0055 sigma (one sigma),
    # and the variance it sees by sqrt(2 / 32768).
    sigma = (samples[0] - weights()).square().mean(dim=(0, 2, 3)).sqrt()
    tables = (0.0055 * sigma, math.sqrt(2 / 32768) * sigma**2)
    for power, table in zip((1, 2), tables, strict=True):
        means, errors = [], []
        for sample in samples:
            moment = (sample - weights()).pow(power).mean(dim=(2, 3))  # (repeats, tiles)
            means.append(moment.mean(0))
            errors.append(moment.std(0) / math.sqrt(repeats))
        error = (errors[0] ** 2 + errors[1] ** 2 + table**2).sqrt()
        assert ((means[0] - means[1]).abs() < 4.9 * error).all()


def test_programming_noise_keeps_the_sign_of_a_pair():
    modifier = WeightModifierParameter(type=WeightModifierType.PROG_NOISE, std_dev=20.0, coeffs=[1.0])
    modified = modify_weights(weights(), modifier, NoiseStream(0, "test"))
    assert torch.equal(modified.sign(), weights().sign())


def test_input_ranges_start_from_the_data_of_their_own_tile():
    config = InferenceRPUConfig()
    config.pre_post.input_range = InputRangeParameter(enable=True, init_from_data=3)
    array, loop = TileArray(TILES, OUT, IN, config).train(), looped(config).train()
    rng = torch.Generator().manual_seed(2)
    for _ in range(5):
        x = torch.randn(TILES, BATCH, IN, generator=rng) * SPREAD
        array(x)
        loop(x)
    theirs = torch.cat([tile.input_range for tile in loop.tiles])
    assert torch.allclose(array.input_range, theirs, rtol=16 * ULP, atol=0)
    assert array.input_range_updates.tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("value", [0.5, 30.0], ids=["clips", "decays"])
def test_the_gradient_of_the_input_range_is_that_of_single_tiles(relative, value):
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    # aihwkit drops the gradient of outputs beyond its ADC's bound also on a perfect tile; ours does not.
    config.forward.out_bound = 1e6
    config.pre_post.input_range = InputRangeParameter(
        enable=True, init_from_data=0, init_value=value, decay=0.01, gradient_relative=relative
    )
    array, loop = TileArray(TILES, OUT, IN, config).train(), looped(config).train()
    array.set_kernels(weights())
    loop.set_weights(weights())
    x = (torch.randn(TILES, BATCH, IN) * 0.4).requires_grad_()
    upstream = torch.randn(TILES, BATCH, OUT)
    array(x).backward(upstream)
    loop(x.detach().requires_grad_()).backward(upstream)
    theirs = torch.cat([tile.input_range.grad for tile in loop.tiles])
    # sums of up to BATCH * IN terms in another order
    assert (array.input_range.grad - theirs).abs().max() <= BATCH * IN * ULP * theirs.abs().max()


def test_compensation_reads_every_tile_for_itself():
    outputs = torch.randn(TILES, IN, OUT) * SPREAD
    for kind, theirs in (
        ("per_tile", GlobalDriftCompensation()),
        ("per_column", PerColumnDriftCompensation()),
    ):
        expected = torch.stack([theirs.readout(tile).expand(OUT) for tile in outputs])
        assert torch.allclose(readout(outputs, kind).expand(TILES, 1, OUT)[:, 0], expected, rtol=8 * ULP)
    whole = GlobalDriftCompensation().readout(outputs)
    assert torch.allclose(readout(outputs, "global"), whole, rtol=8 * ULP)


def test_compensation_undoes_a_pure_loss_of_conductance():
    """If all conductances fall by one factor, the compensation factor is its inverse, tile by tile."""
    config = InferenceRPUConfig()
    config.forward.out_noise = 0.0
    config.forward.out_res = config.forward.inp_res = -1
    array = TileArray(TILES, OUT, IN, config).eval()
    array.set_kernels(weights())
    loss = torch.tensor([0.9, 0.5, 0.7, 0.3])[:, None, None]
    array.program(seed=0)
    reading = array.reading
    baseline = readout(reading.outputs(array.reader(), 0, "baseline"), "per_tile")
    reading.weight = reading.weight * loss
    factor = baseline / readout(reading.outputs(array.reader(), 0, "later"), "per_tile")
    assert torch.allclose(factor * loss, torch.ones(()), rtol=64 * ULP)
    assert math.isclose(float(factor[3]), 1 / 0.3, rel_tol=1e-5)
