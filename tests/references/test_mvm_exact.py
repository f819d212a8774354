"""The batched analog product against aihwkit's C++ tiles, without noise, in float32.

How equal: both sides add the same products in another order, so they may differ by float32 rounding, which is
held to 1e-6 of the largest sum that the row's inputs could have given. A converter turns a difference of that
size into a whole step where a value lies on a rounding tie, or on the edge of the ADC's range, where bound
management decides. The DAC must not differ at all: it adds nothing, and inputs are multiples of 2**-10, so
that the sums inside noise management are exact. For the ADC, a deviating row must be what aihwkit itself
computes once its weights are moved by the backward error of float32 sums: whatever the order, the sum of n
products is the exact one for weights that are off by a factor within 1 ± (n + 10) * 2**-24, both sides
together twice that (10 for the steps of the output stage). Such rows must stay rare.
"""

from typing import Any

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from aihwkit.simulator.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    WeightNoiseType,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.presets import StandardHWATrainingPreset
from aihwkit.simulator.tiles.inference import InferenceTile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossbar.reading.mvm import Periphery, analog_mvm
from crossbar.reading.noise import NoiseStream

NM, BM, MV = NoiseManagementType, BoundManagementType, AnalogMVType
EPS = 2.0**-24
FROZEN = {
    "v_offset": "v_offset",
    "out_nonlinearity": "out_nonlinearity",
    "out_nonlinearity_factor": "nonlinearity_factor",
    "w_asymmetry": "w_asymmetry",
}


class Pair:
    """The same T tiles twice: as one of our arrays, and as aihwkit's tiles, with our frozen values."""

    def __init__(self, io: IOParameters, weight: Tensor) -> None:
        tiles, out_size, in_size = weight.shape
        self.io, self.weight = io, weight
        self.references = [InferenceTile(out_size, in_size, InferenceRPUConfig(forward=io)) for _ in weight]
        for tile, tile_weight in zip(self.references, weight, strict=True):
            tile.tile.set_weights(tile_weight)
        self.periphery = Periphery(io, tiles, out_size, in_size, rng=torch.Generator().manual_seed(1))
        for t, tile in enumerate(self.references):
            frozen = tile.get_forward_parameters()
            for theirs, ours in FROZEN.items():
                values = getattr(self.periphery, ours)
                if frozen[theirs].numel() and values is not None:
                    frozen[theirs] = values[t].reshape(frozen[theirs].shape)
            tile.set_forward_parameters(frozen)

    def ours(self, x: Tensor) -> Tensor:
        return analog_mvm(self.weight, x, self.io, self.periphery, NoiseStream(0, "unused"))

    def theirs(self, x: Tensor) -> Tensor:
        return torch.stack([t.tile.forward(v, False) for t, v in zip(self.references, x, strict=True)])

    def largest_sum(self, x: Tensor) -> Tensor:
        """(T, B, 1): what the products of a row add up to at most, the offset's reference unit included."""
        largest = (x.abs() @ self.weight.abs().transpose(1, 2)).amax(2, keepdim=True)
        if self.periphery.v_offset is not None:
            largest = largest + abs(self.io.v_offset_w_min) * x.abs().sum(2, keepdim=True)
        if self.periphery.nonlinearity_factor is not None:
            largest = largest * self.periphery.nonlinearity_factor[:, None, None]
        return largest * abs(self.io.out_scale)

    def moved(self, tile: int, row: Tensor, sign: float) -> Tensor:
        """What aihwkit computes with its sums moved to the edge of the float32 error."""
        reference, weight = self.references[tile], self.weight[tile]
        error = 2 * (weight.shape[1] + 10) * EPS
        reference.tile.set_weights(weight * (1 + sign * error * weight.sign() * row.sign()))
        y = reference.tile.forward(row[None], False)[0]
        reference.tile.set_weights(weight)
        return y

    def check(self, x: Tensor) -> Tensor:
        ours, theirs = self.ours(x), self.theirs(x)
        tolerance = 1e-6 * self.largest_sum(x)
        wrong = ((ours - theirs).abs() > tolerance).any(2).nonzero().tolist()
        assert torch.isfinite(ours).all()
        # A mean over earlier vectors would be disturbed by a second look, so there no row may deviate.
        may_tie = self.io.noise_management != NM.AVERAGE_ABS_MAX
        assert len(wrong) <= (1 + 0.02 * x.shape[0] * x.shape[1] if may_tie else 0), (
            f"{len(wrong)} rows deviate"
        )
        for tile, vector in wrong:
            allowed = torch.stack(
                [theirs[tile, vector]] + [self.moved(tile, x[tile, vector], s) for s in (-1, 1)]
            )
            gap = (ours[tile, vector] - allowed).abs().amin(0)
            assert (gap <= tolerance[tile, vector]).all(), (
                f"tile {tile}, vector {vector}: {ours[tile, vector]} instead of {theirs[tile, vector]}"
            )
        return theirs


def weights(tiles: int = 3, out_size: int = 6, in_size: int = 9, seed: int = 0) -> Tensor:
    """Tiles of very different size, so that anything shared between tiles would show."""
    rng = torch.Generator().manual_seed(seed)
    size = torch.tensor([1.0, 0.3, 0.05])[torch.arange(tiles) % 3, None, None]
    return (torch.rand(tiles, out_size, in_size, generator=rng) * 2 - 1) * size


def inputs(tiles: int = 3, batch: int = 64, in_size: int = 9, seed: int = 1) -> Tensor:
    """Vectors of all sizes: ordinary ones, one zero, one all negative, one all ones, one nearly all zero."""
    rng = torch.Generator().manual_seed(seed)
    size = torch.tensor([1.0, 8.0, 0.25])[torch.arange(tiles) % 3, None, None]
    x = torch.randn(tiles, batch, in_size, generator=rng) * size
    if batch >= 8:
        x[:, 2] = 0.0
        x[:, 3] = -x[:, 3].abs() - 0.5
        x[:, 4] = 1.0
        x[:, 5, 1:] = 0.0
        x[:, 6] *= 10.0
    return (x * 1024).round() / 1024


def quiet(**changes: Any) -> IOParameters:
    return IOParameters(**{"out_noise": 0.0, **changes})


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "perfect": {"is_perfect": True, "out_scale": 2.0},
    "ideal": {"mv_type": MV.IDEAL, "out_scale": 0.5},
    "converters off": {"inp_res": -1.0, "out_res": -1.0},
    "DAC off": {"inp_res": 0.0},
    "ADC off": {"out_res": 0.0},
    "steps": {"inp_res": 30.0, "out_res": 60.0},
    "resolutions": {"inp_res": 1 / 30, "out_res": 1 / 60},
    "bound between two steps": {"inp_res": 0.3, "out_res": 0.3, "out_bound": 1.0},
    "one step": {"inp_res": 1.0, "out_res": 1.0},
    "unbounded ADC": {"out_bound": 0.0, "out_res": -1.0},
    "out_scale": {"out_scale": 0.5},
    "negative out_scale": {"out_scale": -1.5, "out_bound": 1.0},
    "no noise management": {"noise_management": NM.NONE},
    "no noise management, nm_thres": {"noise_management": NM.NONE, "nm_thres": 0.5},
    "no management": {"noise_management": NM.NONE, "bound_management": BM.NONE, "out_bound": 1.0},
    "wide DAC": {"noise_management": NM.NONE, "inp_bound": 3.3},
    "unbounded DAC": {"noise_management": NM.NONE, "inp_bound": -1.0, "inp_res": -1.0},
    "constant": {"noise_management": NM.CONSTANT},
    "constant 3": {"noise_management": NM.CONSTANT, "nm_thres": 3.0},
    "abs-max to 1.2": {"nm_thres": 1.2},
    "maximum": {"noise_management": NM.MAX},
    "maximum to 1.2": {"noise_management": NM.MAX, "nm_thres": 1.2},
    "sum": {"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 1.0},
    "sum to 1.2": {"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 1.0, "nm_thres": 1.2},
    "sum, coarse DAC": {"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 0.3, "inp_res": 8.0},
    "sum, DAC off": {"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 0.3, "inp_res": -1.0},
    "sum, unbounded ADC": {"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 0.0, "out_res": -1.0},
    "average": {"noise_management": NM.AVERAGE_ABS_MAX, "nm_thres": 0.1},
    "average, clipping": {"noise_management": NM.AVERAGE_ABS_MAX, "out_bound": 0.6},
    "clipping": {"out_bound": 0.6},
    "clipping, not managed": {"out_bound": 0.6, "bound_management": BM.NONE},
    "clipping, worst case": {"out_bound": 0.6, "bound_management": BM.ITERATIVE_WORST_CASE},
    "clipping, worst case, coarse DAC": {
        "out_bound": 0.1,
        "inp_res": 20.0,
        "bound_management": BM.ITERATIVE_WORST_CASE,
    },
    "clipping, worst case after sum": {
        "out_bound": 0.3,
        "bound_management": BM.ITERATIVE_WORST_CASE,
        "noise_management": NM.ABS_MAX_NP_SUM,
    },
    "clipping, worst case alone": {
        "out_bound": 0.6,
        "bound_management": BM.ITERATIVE_WORST_CASE,
        "noise_management": NM.NONE,
    },
    "clipping, only positive": {"out_bound": 0.3, "bm_test_negative_bound": False},
    "clipping, factor up to 3": {"out_bound": 0.05, "max_bm_factor": 3},
    "clipping, factor up to 0": {"out_bound": 0.05, "max_bm_factor": 0},
    "clipping, DAC off": {"out_bound": 0.001, "inp_res": -1.0},
    "clipping, max_bm_res": {"out_bound": 0.05, "max_bm_res": 0.05},
    "input asymmetry": {"inp_asymmetry": 0.1},
    "negative input asymmetry": {"inp_asymmetry": -0.1},
    "output asymmetry": {"out_asymmetry": 0.2},
    "negative output asymmetry": {"out_asymmetry": -0.2},
    "negative output asymmetry, saturation": {"out_asymmetry": -0.2, "out_nonlinearity": 0.3},
    "IR drop": {"ir_drop": 1.0, "ir_drop_g_ratio": 50.0},
    "voltage offset": {"v_offset_std": 0.1},
    "voltage offset, half": {"v_offset_std": 0.1, "v_offset_w_min": -0.5},
    "voltage offset, no reference": {"v_offset_std": 0.1, "v_offset_w_min": 0.0},
    "series resistance": {"r_series": 0.05, "v_offset_std": 0.05},
    "series resistance, no offset": {"r_series": 0.05, "slope_calibration": 0.5},
    "series resistance, no reference": {"r_series": 0.05, "v_offset_std": 0.05, "v_offset_w_min": 0.0},
    "saturation": {"out_nonlinearity": 0.3, "out_nonlinearity_std": 0.2},
    "saturation, calibrated": {
        "out_nonlinearity": 0.3,
        "out_nonlinearity_std": 0.2,
        "slope_calibration": 0.5,
        "out_bound": 2.0,
    },
    "saturation, unbounded ADC": {
        "out_nonlinearity": 0.3,
        "slope_calibration": 0.5,
        "out_bound": 0.0,
        "out_res": -1.0,
    },
    "two passes": {"mv_type": MV.POS_NEG_SEPARATE, "out_bound": 1.0},
    "two passes, devices asymmetric": {"mv_type": MV.POS_NEG_SEPARATE, "w_read_asymmetry_dtod": 0.3},
    "two passes, added digitally": {
        "mv_type": MV.POS_NEG_SEPARATE_DIGITAL_SUM,
        "w_read_asymmetry_dtod": 0.3,
        "out_bound": 1.0,
    },
    "two passes, added digitally, only positive": {
        "mv_type": MV.POS_NEG_SEPARATE_DIGITAL_SUM,
        "bm_test_negative_bound": False,
        "out_bound": 0.5,
    },
    "two passes, everything": {
        "mv_type": MV.POS_NEG_SEPARATE,
        "w_read_asymmetry_dtod": 0.1,
        "inp_asymmetry": 0.05,
        "out_asymmetry": 0.1,
        "ir_drop": 1.0,
        "ir_drop_g_ratio": 100.0,
        "v_offset_std": 0.05,
        "r_series": 0.01,
        "out_nonlinearity": 0.1,
        "out_bound": 1.5,
    },
    "devices asymmetric, one pass": {"w_read_asymmetry_dtod": 0.3},
}
# These settings mean what the default means, or are ignored by aihwkit.
SAME_AS_DEFAULT = {"default", "negative output asymmetry", "devices asymmetric, one pass"}


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("name", CASES)
def test_every_setting(name: str, batch: int) -> None:
    pair = Pair(quiet(**CASES[name]), weights())
    x = inputs(batch=batch)
    theirs = pair.check(x)
    if batch == 64:
        plain = Pair(quiet(), weights()).theirs(x)
        assert torch.equal(theirs, plain) == (name in SAME_AS_DEFAULT), "the setting must do what it is for"


@pytest.mark.parametrize("in_size", [32, 288])
@pytest.mark.parametrize("mv_type", [MV.ONE_PASS, MV.POS_NEG_SEPARATE])
def test_ir_drop_on_long_lines(in_size: int, mv_type: AnalogMVType) -> None:
    io = quiet(ir_drop=2.0, ir_drop_g_ratio=in_size * 40.0, mv_type=mv_type, out_res=-1.0)
    pair = Pair(io, weights(2, 12, in_size))
    x = inputs(2, 16, in_size)
    theirs = pair.check(x)
    without = Pair(quiet(mv_type=mv_type, out_res=-1.0), weights(2, 12, in_size)).theirs(x)
    assert (theirs - without).abs().max() > 0.01 * without.abs().max()


@pytest.mark.parametrize("wire", [{}, {"ir_drop_g_ratio": 20_000.0}])
def test_hardware_aware_preset(wire: dict[str, float]) -> None:
    io = StandardHWATrainingPreset().forward
    io.out_noise = io.w_noise = 0.0
    io.w_noise_type = WeightNoiseType.NONE
    for name, value in wire.items():
        setattr(io, name, value)
    Pair(io, weights(4, 16, 288)).check(inputs(4, 32, 288) / 8)


def test_running_mean_of_the_largest_input_is_kept_per_tile_from_call_to_call() -> None:
    io = quiet(noise_management=NM.AVERAGE_ABS_MAX, out_res=-1.0)
    pair = Pair(io, weights())
    for seed in range(5):
        pair.check(inputs(batch=17, seed=seed) * 2.0**seed)
    mean = pair.periphery.average_abs_max
    assert mean is not None
    extra = [float(t.tile.dump_extra()["rpu.fb_pass.aux_nm_value"][0]) for t in pair.references]
    torch.testing.assert_close(mean, torch.tensor(extra), rtol=1e-6, atol=0)


def test_vectors_that_noise_management_finds_empty_give_exactly_zero() -> None:
    x = inputs()
    for name in ("default", "maximum", "clipping", "voltage offset"):
        pair = Pair(quiet(**CASES[name]), weights())
        rows = slice(2, 4) if name == "maximum" else slice(2, 3)
        assert pair.theirs(x)[:, rows].eq(0).all()
        assert pair.ours(x)[:, rows].eq(0).all()


@pytest.mark.parametrize("kind", [BM.ITERATIVE, BM.ITERATIVE_WORST_CASE])
def test_one_clipped_vector_repeats_alone(kind: BoundManagementType) -> None:
    io = quiet(out_bound=2.5, bound_management=kind)
    pair = Pair(io, weights())
    x = inputs() / 16
    x[:, 6] = 0.0
    x[1, 6] = pair.weight[1, 0].sign()  # every product of the first bit line adds
    x[0, 40] = pair.weight[0, 0].sign()
    pair.check(x)
    alone = Pair(io, pair.weight)
    others = x.clone()
    others[0, 40] = 0.0
    kept = torch.arange(64) != 40
    assert torch.equal(pair.ours(x)[:, kept], alone.ours(others)[:, kept])


def test_a_tile_does_not_see_its_neighbours() -> None:
    for name in ("clipping", "clipping, worst case", "sum", "saturation, calibrated"):
        pair = Pair(quiet(**CASES[name]), weights())
        x = inputs()
        together = pair.ours(x)
        shouted = x * torch.tensor([1.0, 1000.0, 1.0])[:, None, None]
        assert torch.equal(pair.ours(shouted)[::2], together[::2])


@pytest.mark.parametrize("kind", [BM.NONE, BM.ITERATIVE])
@pytest.mark.parametrize(
    ("steps", "bound"), [(510.0, 12.0), (254.0, 10.0), (14.0, 0.6), (30.0, 0.1), (0.3, 1.0), (126.0, 2.7)]
)
def test_every_code_of_the_adc_to_the_last_bit(steps: float, bound: float, kind: BoundManagementType) -> None:
    # One device of weight one: no sum, hence no rounding but the converter's own. With 510 steps up to 12 the
    # highest code is, in float32, just above the bound: aihwkit's bound management repeats such reads.
    io = quiet(noise_management=NM.NONE, inp_bound=-1.0, inp_res=-1.0, bound_management=kind)
    io.out_res, io.out_bound = steps, bound
    pair = Pair(io, torch.ones(1, 1, 1))
    x = torch.linspace(-1.1 * bound, 1.1 * bound, 4001)[None, :, None]
    assert torch.equal(pair.ours(x), pair.theirs(x))


@pytest.mark.parametrize(
    ("steps", "bound"), [(126.0, 1.0), (254.0, 1.0), (0.3, 1.0), (126.0, 2.7), (14.0, 0.6)]
)
def test_every_code_of_the_dac_to_the_last_bit(steps: float, bound: float) -> None:
    io = quiet(
        noise_management=NM.NONE, inp_bound=bound, inp_res=steps, bound_management=BM.NONE, out_res=-1.0
    )
    pair = Pair(io, torch.ones(1, 1, 1))
    x = torch.linspace(-1.1 * bound, 1.1 * bound, 4001)[None, :, None]
    assert torch.equal(pair.ours(x), pair.theirs(x))


def test_scale_of_the_sum_to_the_last_bit() -> None:
    # A single input divided by its own sum lies on a tie of 63 steps (31.5): the last bit of
    # sum * 0.6 / bound, computed in this order, decides the code.
    io = quiet(noise_management=NM.ABS_MAX_NP_SUM, nm_thres=0.7, inp_res=63.0, out_bound=0.6, out_res=-1.0)
    io.bound_management = BM.NONE
    pair = Pair(io, torch.full((1, 1, 1), 0.5))
    x = (torch.arange(1, 4097) / 1024)[None, :, None]
    # Two multiplications and one division: 3 * 2**-24 on either side.
    torch.testing.assert_close(pair.ours(x), pair.theirs(x), rtol=6 * EPS, atol=0)


@pytest.mark.parametrize("out_bound", [2.0, 0.0])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_gain_calibrated_against_the_mean_saturation(out_bound: float, spread: float) -> None:
    # Both sides draw their own saturation (all positive), so each must obey the law with its own.
    io = quiet(out_nonlinearity=0.3, out_nonlinearity_std=spread, r_series=0.05, slope_calibration=0.5)
    io.out_bound, io.out_res = out_bound, -1.0
    reference = InferenceTile(20, 3, InferenceRPUConfig(forward=io)).get_forward_parameters()
    ours = Periphery(io, 1, 20, 3, rng=torch.Generator().manual_seed(0))
    assert ours.out_nonlinearity is not None
    assert ours.nonlinearity_factor is not None
    bound = out_bound if out_bound > 0 else 1.0
    for strength, factor in (
        (reference["out_nonlinearity"], reference["out_nonlinearity_factor"][0]),
        (ours.out_nonlinearity[0], ours.nonlinearity_factor[0]),
    ):
        assert strength.ge(0).all()
        if spread == 0:
            torch.testing.assert_close(strength, torch.full((20,), 0.3 / bound))
        torch.testing.assert_close(factor, (1 + (strength.mean() + 0.05) * 0.5 * bound) ** 2)


def test_no_vectors() -> None:
    pair = Pair(quiet(), weights())
    assert pair.ours(torch.zeros(3, 0, 9)).shape == (3, 0, 6)


def settings_of_the_periphery() -> st.SearchStrategy[dict[str, Any]]:
    resolutions = st.sampled_from([-1.0, 0.0, 0.3, 1 / 30, 1 / 126, 14.0, 63.0, 254.0])
    noise_managements = [NM.NONE, NM.ABS_MAX, NM.ABS_MAX_NP_SUM, NM.MAX, NM.CONSTANT, NM.AVERAGE_ABS_MAX]
    mv_types = [MV.ONE_PASS, MV.ONE_PASS, MV.POS_NEG_SEPARATE, MV.POS_NEG_SEPARATE_DIGITAL_SUM]
    return st.fixed_dictionaries(
        {
            "inp_res": resolutions,
            "out_res": resolutions,
            "out_bound": st.sampled_from([0.1, 0.6, 1.0, 2.7, 12.0]),
            "out_scale": st.sampled_from([1.0, 0.3]),
            "mv_type": st.sampled_from(mv_types),
            "noise_management": st.sampled_from(noise_managements),
            "nm_thres": st.sampled_from([0.0, 0.7, 3.0]),
            "bound_management": st.sampled_from([BM.NONE, BM.ITERATIVE, BM.ITERATIVE_WORST_CASE]),
            "bm_test_negative_bound": st.booleans(),
            "max_bm_factor": st.sampled_from([0, 1, 5, 1000]),
            "max_bm_res": st.sampled_from([0.06, 0.25]),
            "inp_asymmetry": st.sampled_from([0.0, 0.1]),
            "out_asymmetry": st.sampled_from([0.0, 0.1]),
            "ir_drop": st.sampled_from([0.0, 1.0]),
            "ir_drop_g_ratio": st.just(200.0),
            "v_offset_std": st.sampled_from([0.0, 0.1]),
            "v_offset_w_min": st.sampled_from([-1.0, 0.0]),
            "r_series": st.sampled_from([0.0, 0.02]),
            "out_nonlinearity": st.sampled_from([0.0, 0.2]),
            "slope_calibration": st.sampled_from([0.0, 0.5]),
            "w_read_asymmetry_dtod": st.sampled_from([0.0, 0.2]),
        }
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(changes=settings_of_the_periphery(), seed=st.integers(0, 2**31), batch=st.sampled_from([1, 9, 20]))
def test_any_combination(changes: dict[str, Any], seed: int, batch: int) -> None:
    if changes["noise_management"] == NM.AVERAGE_ABS_MAX:
        changes = {**changes, "out_res": -1.0}
    pair = Pair(quiet(**changes), weights(3, 4, 11, seed))
    pair.check(inputs(3, batch, 11, seed + 1))
