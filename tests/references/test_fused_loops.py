"""The fused loops of the analog product against torch: the same bits, in either memory order."""

import pytest
import torch

from crossbar.aihwkit.adapter import (
    WeightClipParameter,
    WeightClipType,
    WeightRemapParameter,
    WeightRemapType,
)
from crossbar.reading.fused_loops import as_rows, count_beyond, lower_by_drop, noisy_codes, quantise
from crossbar.reading.input_range import _asks, _divide_and_clip
from crossbar.reading.recomputation import _inputs
from crossbar.tiles.weights.constraints import clip_and_remap_, clip_weights_, remap_weights_


def values(flipped, *, seed, shape=(5, 17, 33)):
    """Return normal numbers with zeros of both signs, ties and limits among them."""
    tiles, batch, n = shape
    x = torch.randn(tiles, n, batch, generator=torch.Generator().manual_seed(seed))
    x[0, :3] = 0.5
    x[1, :2] = -0.5
    x[2, 4] = -0.0
    x[3] = 0.0
    x = x.transpose(1, 2)
    return x if flipped else x.contiguous()


@pytest.mark.parametrize("flipped", [False, True])
def test_inputs_are_divided_clipped_and_counted_as_torch_does(flipped):
    x, limit = values(flipped, seed=0), torch.tensor([0.5, 0.5, 1.3, 0.7, 0.1])
    assert as_rows(x) is not None
    voltages, counts = _divide_and_clip(x, limit)
    of_tile = limit[:, None, None]
    assert torch.equal(voltages, (x / of_tile).clamp(-1, 1))
    expected = [(x >= of_tile).sum((1, 2)), (x <= -of_tile).sum((1, 2)), (x != 0).sum((1, 2))]
    assert torch.equal(counts, torch.stack(expected, dim=1))
    assert counts[3].tolist() == [0, 0, 0]
    assert counts[0, 0] > 3
    assert counts[1, 1] > 2


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_asks_for_a_wider_range_is_summed_as_torch_does(flipped, sign):
    x, grad = values(flipped, seed=0), values(flipped, seed=1)
    limit = torch.tensor([0.5, 0.5, 1.3, 0.7, 0.1])
    of_tile = limit[:, None, None]
    if sign > 0:
        expected = (grad * (x >= of_tile)).clamp(max=0).sum(dim=(1, 2))
    else:
        expected = (grad * (x <= -of_tile)).clamp(min=0).sum(dim=(1, 2))
    assert torch.equal(_asks(x, grad, limit, sign), expected)
    assert expected[0] != 0


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("step", "bound"), [(2 / 254, 1.0), (0.3, 0.7), (1.0, float("inf"))])
def test_a_dac_quantises_as_torch_does(flipped, step, bound):
    x = values(flipped, seed=2)
    out = torch.empty_like(x)
    quantise(*as_rows(x, out), step, bound)
    assert torch.equal(out, x.clone().div_(step).round_().mul_(step).clamp_(-bound, bound))


def test_other_kinds_of_memory_are_left_to_torch():
    x = values(False, seed=0)
    assert as_rows(x.double()) is None
    assert as_rows(x[:, ::2]) is None
    assert as_rows(x, values(True, seed=0)) is None
    assert as_rows(x.to("meta")) is None
    assert as_rows(x[:, :0]) is None


def test_doubled_inputs_take_the_torch_path_with_the_same_meaning():
    x, limit = values(False, seed=0), torch.tensor([0.5, 0.5, 1.3, 0.7, 0.1])
    fused, counts = _divide_and_clip(x, limit)
    plain, same_counts = _divide_and_clip(x.double(), limit.double())
    torch.testing.assert_close(fused.double(), plain, rtol=1e-6, atol=1e-7)
    assert (counts - same_counts).abs().max() <= 1  # float32 rounds the limits


@pytest.mark.parametrize("flipped", [False, True])
def test_the_drop_along_the_lines_is_torchs(flipped):
    y, load, near = (values(flipped, seed=seed) for seed in (3, 4, 5))
    expected, scaled = y.clone(), load.clone().mul_(288 / 571428.57)
    drop = (scaled * 0.05).sub_(0.2).mul_(scaled).add_(0.5).mul_(scaled)
    expected.addcmul_(drop, near, value=-0.7)
    lower_by_drop(*as_rows(y, load, near), 288 / 571428.57, 0.7)
    assert torch.equal(y, expected)


@pytest.mark.parametrize("flipped", [False, True])
def test_codes_with_noise_are_torchs_and_what_the_adc_clips_is_counted(flipped):
    y, variance, drawn = (values(flipped, seed=seed) for seed in (6, 7, 8))
    variance.square_()
    expected = y.clone().addcmul_((variance + 0.04**2).sqrt(), drawn)
    expected.div_(0.1).round_().mul_(0.1)
    counts = torch.empty(len(y), dtype=torch.int64)
    noisy_codes(*as_rows(y, variance, drawn), 0.04**2, 0.1, 1.5, counts.numpy())
    assert torch.equal(y, expected)
    assert torch.equal(counts, (expected.abs() > 1.5).sum(dim=(1, 2)))
    assert counts.sum() > 0


def test_outputs_at_the_bound_or_not_numbers_are_beyond_it():
    y = torch.zeros(3, 2, 4)
    y[1, 1, 1], y[2, 0, 3] = -2.0, float("nan")
    counts = torch.empty(3, dtype=torch.int64)
    count_beyond(*as_rows(y), 2.0, counts.numpy())
    assert counts.tolist() == [0, 1, 1]


@pytest.mark.parametrize("full", [1.0, 0.8])
def test_weights_are_clipped_and_remapped_as_torch_does(full):
    weight, scales = values(False, seed=9), torch.rand(5, 17)
    weight[4, 2, 5] = float("nan")
    clip = WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.9)
    remap = WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC, remapped_wmax=full)
    expected = weight.clone()
    clip_weights_(expected, clip)
    expected_scales = remap_weights_(expected, scales, remap)
    new_scales = clip_and_remap_(weight, scales, clip, remap, None)
    assert torch.equal(weight.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert torch.equal(new_scales, expected_scales)
    assert torch.equal(new_scales[3], scales[3])  # a row of zeros keeps its scale


@pytest.mark.parametrize("flipped", [False, True])
def test_inputs_are_known_again_by_all_of_their_bits(flipped):
    x = values(flipped, seed=0)
    kind = (True, 0)
    assert _inputs(x, kind) == _inputs(x.clone(), kind)
    other = x.clone()
    other[4, 3, 2] = torch.nextafter(other[4, 3, 2], torch.tensor(9.0))
    assert _inputs(x, kind) != _inputs(other, kind)
    assert _inputs(x, kind) != _inputs(x.flip(0), kind)
