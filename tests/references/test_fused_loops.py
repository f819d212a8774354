"""The fused loops of the analog product against torch: the same bits, in either memory order."""

import numpy as np
import pytest
import torch

from crossbar.aihwkit.adapter import (
    BoundManagementType,
    IOParameters,
    WeightClipParameter,
    WeightClipType,
    WeightRemapParameter,
    WeightRemapType,
)
from crossbar.reading.first_look import check_finite, mark_of
from crossbar.reading.fused_loops import (
    as_rows,
    codes_with_noise,
    count_beyond,
    lower_by_drop,
    noisy_codes,
    quantise,
)
from crossbar.reading.input_range import _asks, _divide_and_clip
from crossbar.reading.mvm import Periphery, managed_read, usual_read
from crossbar.reading.mvm.converters import _scaled_and_quantised
from crossbar.reading.noise import NoiseStream
from crossbar.tiles.weights.constraints import clip_and_remap_, clip_weights_, remap_weights_
from crossbar.tiles.weights.settled import are_identical


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


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_dac_scales_each_vector_as_torch_does(flipped, shared):
    x, step, bound = values(flipped, seed=3), 2 / 254, 1.0
    scale = torch.rand(1 if shared else 5, 1 if shared else 17, 1, generator=torch.Generator().manual_seed(4))
    codes, is_beyond = _scaled_and_quantised(x, scale, step, bound)
    scaled = x * scale
    assert torch.equal(codes, scaled.div(step).round_().mul_(step).clamp_(-bound, bound))
    assert codes.stride() == x.stride()
    assert is_beyond
    assert not _scaled_and_quantised(x, scale / 100, step, bound)[1]
    assert _scaled_and_quantised(x.double(), scale.double(), step, bound) is None


@pytest.mark.parametrize("flipped", [False, True])
def test_an_adc_adds_noise_of_one_strength_as_torch_does(flipped):
    y, drawn, counts = values(flipped, seed=5), values(flipped, seed=6), np.empty(5, dtype=np.int64)
    std, step, bound = 0.06, 2 * 1.5 / 254, 1.5
    expected = y.clone().add_(drawn.clone().mul_(std)).div_(step).round_().mul_(step)
    codes_with_noise(*as_rows(y, drawn), std, step, bound, counts)
    assert torch.equal(y, expected)
    assert counts.tolist() == (expected.abs() > bound).sum((1, 2)).tolist()
    assert counts.sum() > 0


@pytest.mark.parametrize("place", [(0, 0, 0), (4, 16, 32), (2, 8, 3), None])
def test_one_bit_makes_weights_others(place):
    weight = torch.randn(5, 17, 133, generator=torch.Generator().manual_seed(7))
    other = weight.clone()
    if place is not None:
        other[place] = torch.nextafter(other[place], torch.tensor(9.0))
    assert are_identical(weight, other) == (place is None)
    zero, negative_zero = torch.zeros(1, 2, 3), -torch.zeros(1, 2, 3)
    assert not are_identical(zero, negative_zero)
    assert not are_identical(weight, other.double())


def test_inputs_that_are_no_numbers_have_no_mark():
    for strange in (float("nan"), float("inf"), -float("inf")):
        for x in (values(True, seed=8), values(False, seed=8).double()):
            x[4, 16, 32] = strange
            assert mark_of(x) is None
            with pytest.raises(ValueError, match="1 of its 2805 values are NaN or infinite"):
                check_finite(x)
    largest = torch.full((1, 2, 2), torch.finfo(torch.float64).max, dtype=torch.float64)
    assert mark_of(largest) is not None  # although their sum is none


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
    assert mark_of(x) == mark_of(x.clone())
    other = x.clone()
    other[4, 3, 2] = torch.nextafter(other[4, 3, 2], torch.tensor(9.0))
    assert mark_of(x) != mark_of(other)
    assert mark_of(x) != mark_of(x.flip(0))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("management", [BoundManagementType.NONE, BoundManagementType.ITERATIVE])
@pytest.mark.parametrize(("threshold", "bound"), [(0.0, 12.0), (0.0, 0.4), (0.3, 12.0), (0.3, 0.4)])
def test_a_usual_read_is_the_one_that_torch_computes(monkeypatch, flipped, management, threshold, bound):
    x = values(flipped, seed=5)
    x[4, 2] = torch.nan
    weight = 0.2 * torch.randn(5, 6, 33, generator=torch.Generator().manual_seed(6))
    io = IOParameters(nm_thres=threshold, out_bound=bound, bound_management=management)
    periphery = Periphery(io, 5, 6, 33, rng=torch.Generator())
    assert usual_read.usual_read(weight, x, io, periphery, NoiseStream(7), True) is not None

    def read():
        noise = NoiseStream(7)
        of_all = vars(managed_read(weight, x.clone(), io, periphery, noise, is_scaled=False))
        return of_all, noise.state()[torch.device("cpu")]

    in_loops, drawn = read()
    monkeypatch.setattr(usual_read, "is_usual", lambda *_: False)
    in_torch, also_drawn = read()
    assert torch.equal(drawn, also_drawn)
    for name, expected in in_torch.items():
        assert (expected is None) == (in_loops[name] is None), name
        if expected is not None:
            assert torch.equal(expected.nan_to_num(99.0), in_loops[name].nan_to_num(99.0)), name
    assert (in_torch["y"][3] == 0).all()
    assert in_torch["y"].isnan().any()
    if management == BoundManagementType.NONE:
        assert (~in_torch["inside_adc"][:3]).any() == (bound < 1)


@pytest.mark.parametrize("tiles", [1, 2])
@pytest.mark.parametrize("outputs", [1, 6])
@pytest.mark.parametrize("inputs", [1, 33])
def test_a_usual_read_takes_any_number_of_vectors_after_any_other(monkeypatch, tiles, outputs, inputs):
    rng = torch.Generator().manual_seed(8)
    io = IOParameters(bound_management=BoundManagementType.NONE)
    weight = 0.2 * torch.randn(tiles, outputs, inputs, generator=rng)
    batches = [torch.randn(tiles, batch, inputs, generator=rng) for batch in (1, 64, 1, 7, 64, 2, 1)]

    def read_all():
        periphery = Periphery(io, tiles, outputs, inputs, rng=torch.Generator())
        noise = NoiseStream(7)
        return [
            managed_read(weight, x.clone(), io, periphery, noise, is_scaled=False).y.clone() for x in batches
        ]

    in_loops = read_all()
    monkeypatch.setattr(usual_read, "is_usual", lambda *_: False)
    for ours, theirs in zip(in_loops, read_all(), strict=True):
        assert torch.equal(ours, theirs)
