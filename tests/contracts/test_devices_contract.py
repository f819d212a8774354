"""Every device model, of the catalogue or a user's own, keeps the same promises."""

import warnings

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from devices import ProgrammedTiles, catalogue, generator, get, program
from devices.aihwkit_adapter import (
    BaseNoiseModel,
    CustomDriftPCMLikeNoiseModel,
    CustomPairConductanceConverter,
    DualPairConductanceConverter,
    NPairConductanceConverter,
    PCMLikeNoiseModel,
    SinglePairConductanceConverter,
    StateIndependentNoiseModel,
)


class UserModel(BaseNoiseModel):
    """A user's model with dice in its drift and without drift coefficients."""

    def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
        return g_target + 0.5 * torch.randn_like(g_target)

    def apply_drift_noise_to_conductance(
        self, g_prog: Tensor, drift_noise_param: Tensor | None, t_inference: float
    ) -> Tensor:
        assert drift_noise_param is None
        return g_prog + 0.1 * torch.log1p(torch.tensor(t_inference)) * torch.randn_like(g_prog)


class CarelessModel(BaseNoiseModel):
    """A user's model that overwrites what it is given, with drift coefficients."""

    def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
        return g_target.add_(0.5 * torch.randn_like(g_target))

    def generate_drift_coefficients(self, g_target: Tensor) -> Tensor:
        return g_target / 100

    def apply_drift_noise_to_conductance(
        self, g_prog: Tensor, drift_noise_param: Tensor | None, t_inference: float
    ) -> Tensor:
        assert drift_noise_param is not None
        return g_prog.mul_((1 + t_inference) ** -drift_noise_param)


class UserConverter(SinglePairConductanceConverter):
    """A subclass may do anything, so it has to be called tile by tile."""


def custom_drift() -> BaseNoiseModel:
    # The table ends at the converter's g_max, and aihwkit clips what lies above in place.
    table = {"g_lst": [0.0, 10.0, 25.0], "nu_mean_lst": [0.1, 0.05, 0.05], "nu_std_lst": [0.01, 0.01, 0.02]}
    return CustomDriftPCMLikeNoiseModel(table)


MODELS = {name: get(name).noise_model for name in catalogue("inference")} | {
    "state-independent": StateIndependentNoiseModel,
    "custom drift": custom_drift,
    "dual pair": lambda: PCMLikeNoiseModel(g_converter=DualPairConductanceConverter([1.0, 3.0], g_min=0.1)),
    "three pairs": lambda: PCMLikeNoiseModel(g_converter=NPairConductanceConverter([1.0, 2.0, 4.0])),
    "custom pair": lambda: PCMLikeNoiseModel(
        g_converter=CustomPairConductanceConverter([1.0], [[0.0, 0.0, 25.0], [25.0, 0.0, 0.0]])
    ),
    "user's model": UserModel,
    "careless model": CarelessModel,
    "user's converter": lambda: PCMLikeNoiseModel(g_converter=UserConverter()),
}
WITHOUT_READ_NOISE = {"ideal", "reram-wan2022", "user's model", "careless model"}
DAY = 86400.0  # valid for all of them

every_model = pytest.mark.parametrize("name", MODELS)


def targets() -> Tensor:
    weights = torch.randn(5, 6, 4, generator=generator(0, "targets"))
    weights *= torch.tensor([1.0, 0.01, 30.0, 1.0, 0.0])[:, None, None]
    weights[3] = 0.25  # a tile without a range
    return weights


def chip(name: str, *, seed: int = 1, populated: Tensor | None = None) -> ProgrammedTiles:
    return program(MODELS[name](), targets(), seed=seed, populated=populated)


def read(tiles: ProgrammedTiles, *names: str | int) -> Tensor:
    return tiles.read_weights(DAY, rng=generator(0, *names))


@every_model
def test_one_chip_has_one_trajectory(name: str) -> None:
    tiles, again = chip(name), chip(name)
    first = tiles.drifted_weights(DAY)
    later_time = 2 * DAY
    tiles.drifted_weights(later_time)
    read(tiles, "between")
    assert torch.equal(first, tiles.drifted_weights(DAY))
    assert torch.equal(tiles.programmed_weights, again.programmed_weights)
    # Another order of asking, another object: still the same chip.
    assert torch.equal(tiles.drifted_weights(later_time), again.drifted_weights(later_time))
    assert torch.equal(first, again.drifted_weights(DAY))


@every_model
def test_two_chips_differ(name: str) -> None:
    one, two = chip(name, seed=1), chip(name, seed=2)
    is_ideal = name == "ideal"
    assert torch.equal(one.programmed_weights, two.programmed_weights) == is_ideal
    assert torch.equal(one.drifted_weights(DAY), two.drifted_weights(DAY)) == is_ideal


@every_model
def test_read_noise_comes_from_the_given_stream_only(name: str) -> None:
    tiles = chip(name)
    assert torch.equal(read(tiles, "read", 1), read(tiles, "read", 1))
    is_quiet = name in WITHOUT_READ_NOISE
    assert torch.equal(read(tiles, "read", 1), read(tiles, "read", 2)) == is_quiet
    assert torch.equal(read(tiles, "read", 1), tiles.drifted_weights(DAY)) == is_quiet


@every_model
def test_absent_devices_have_no_weight_and_no_conductance(name: str) -> None:
    populated = torch.rand(5, 6, 4, generator=generator(0, "mask")) < 0.7
    populated[1] = False
    tiles = chip(name, populated=populated)
    for weights in (tiles.programmed_weights, tiles.drifted_weights(DAY), read(tiles, "read")):
        assert weights.isfinite().all()
        assert (weights[~populated] == 0).all()
        assert (weights[populated] != 0).any()
    for g in (*tiles.g_target, *tiles.g_programmed, *tiles.conductances(DAY)):
        assert (g[~populated] == 0).all()


@every_model
def test_a_mask_broadcasts(name: str) -> None:
    populated = torch.arange(4) < 3
    whole = chip(name, populated=populated.expand(5, 6, 4))
    assert torch.equal(read(chip(name, populated=populated), "read"), read(whole, "read"))
    assert (read(whole, "read")[:, :, 3] == 0).all()


@every_model
def test_the_global_generator_stands_still(name: str) -> None:
    before = torch.get_rng_state()
    tiles = chip(name)
    read(tiles, "read")
    tiles.drifted_weights(DAY)
    assert torch.equal(before, torch.get_rng_state())


@every_model
def test_the_global_generator_has_no_say(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        one = read(chip(name), "read")
        torch.default_generator.manual_seed(2)
        assert torch.equal(one, read(chip(name), "read"))


@every_model
@pytest.mark.parametrize("masked", [False, True])
def test_state_brings_the_chip_back(name: str, masked: bool) -> None:
    populated = torch.rand(5, 6, 4, generator=generator(0, "mask")) < 0.7 if masked else None
    tiles = chip(name, populated=populated)
    back = ProgrammedTiles.from_state(MODELS[name](), load(save(tiles.state())))
    assert torch.equal(tiles.programmed_weights, back.programmed_weights)
    assert torch.equal(tiles.drifted_weights(DAY), back.drifted_weights(DAY))
    assert torch.equal(read(tiles, "read"), read(back, "read"))
    assert all(torch.equal(g, h) for g, h in zip(tiles.g_target, back.g_target, strict=True))


@every_model
def test_a_tile_is_spread_over_its_own_range(name: str) -> None:
    together = chip(name).g_target
    for tile, weights in enumerate(targets()):
        alone = program(MODELS[name](), weights[None], seed=1).g_target
        assert all(torch.equal(g[tile], h[0]) for g, h in zip(together, alone, strict=True))


@every_model
def test_a_small_tile_has_small_noise(name: str) -> None:
    # Two tiles of one pattern, the second 1000 times larger: all noise scales with it. The ratio of the
    # spreads of n Gaussians each has a relative standard error of 1 / sqrt(n), and 4.9 of them make a false
    # alarm of one in a million; the noise is no Gaussian exactly and gets twice as much.
    n = 4000
    pattern = torch.linspace(-1, 1, n).reshape(1, 40, n // 40)
    weights = torch.cat([pattern, 1000 * pattern])
    tiles = program(MODELS[name](), weights, seed=1)
    error = tiles.read_weights(DAY, rng=generator(0, "read")) - weights
    if name == "ideal":
        return
    ratio = float(error[1].std() / error[0].std())
    assert abs(ratio / 1000 - 1) < 2 * 4.9 / n**0.5


@every_model
def test_time_flows_without_jumps(name: str) -> None:
    tiles = chip(name)
    if 2 * DAY + 1 not in tiles.valid_times:
        return
    step = 1e-4  # in ln(t)
    change = (tiles.drifted_weights(DAY * (1 + step)) - tiles.drifted_weights(DAY)).abs().amax((1, 2))
    # Slopes per unit of ln(t), relative to the range of a tile: drift exponents stay below 0.1 + 6 * 0.05
    # (mean and spread of the state-independent model) on both devices of a pair; relaxation and the user's
    # model move by less than 6 * 0.1 of 25 µS. A fresh draw would change a weight by some 1e-2 of the range.
    largest = targets().abs().amax((1, 2)).clamp(min=1e-7)
    float_noise = 64 * torch.finfo(torch.float32).eps
    assert (change <= largest * (2 * 0.4 * step + float_noise) * 1.5).all()
    if name != "ideal":
        assert (change[:3] > 0).all()


@every_model
def test_inputs_are_left_alone(name: str) -> None:
    model, weights = MODELS[name](), targets()
    kept, copy = model.__dict__.copy(), weights.clone()
    program(model, weights, seed=1, populated=torch.arange(4) < 3)
    tiles = program(model, weights, seed=1)
    read(tiles, "read")
    assert torch.equal(weights, copy)
    assert model.__dict__ == kept
    before = tiles.drifted_weights(DAY)
    weights.zero_()
    assert torch.equal(tiles.target_weights, copy)
    model.g_max = model.prog_noise_scale = model.drift_scale = model.noise_scale = 0.5
    assert torch.equal(before, tiles.drifted_weights(DAY))


@every_model
def test_no_warning_reaches_the_user(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(chip(name), "read")
    assert not caught


def test_drift_coefficients_are_those_of_the_targets() -> None:
    tiles = chip("careless model")
    for g_target, drawn in zip(tiles.g_target, tiles.drawn, strict=True):
        assert drawn is not None
        assert torch.equal(drawn, g_target / 100)


@every_model
def test_weights_return_in_the_dtype_of_the_targets(name: str) -> None:
    tiles = program(MODELS[name](), targets().double(), seed=1)
    assert tiles.programmed_weights.dtype == torch.float64
    assert read(tiles, "read").dtype == torch.float64
