"""Devices copied from aihwkit's tiles, and copied on to others: all three are the same devices.

Copies are equal to the last bit, and so are aihwkit's own tiles after the same deterministic pulses. Ours
follow to 1e-6: some ten steps of 0.01 on weights below 1, each rounded to 6e-8.
"""

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import VectorUnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.inference import DriftParameter
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile
from torch import Tensor

from devices.pulsed import DeviceArray, fabricate, from_hidden, pulsed_update, to_hidden

TILES, OUT_SIZE, IN_SIZE, BATCH = 3, 6, 5, 8
ALL = {
    "lifetime": 10.0,
    "lifetime_dtod": 0.3,
    "diffusion": 0.01,
    "diffusion_dtod": 0.3,
    "reset": 0.1,
    "reset_dtod": 0.1,
    "corrupt_devices_prob": 0.1,
    "drift": DriftParameter(nu=0.1, nu_dtod=0.3),
    "dw_min_std": 0.0,
    "dw_min": 0.01,
}
DEVICES = [
    ConstantStepDevice(**ALL),
    ConstantStepDevice(dw_min_std=0.0),
    LinearStepDevice(gamma_up=0.2, gamma_down=0.3, **ALL),
    LinearStepDevice(gamma_up=0.2, gamma_down=0.3, write_noise_std=20.0, **ALL),
    SoftBoundsDevice(**ALL),
    SoftBoundsPmaxDevice(dw_min_std=0.0),
    SoftBoundsReferenceDevice(reference_std=0.1, **ALL),
    SoftBoundsReferenceDevice(subtract_symmetry_point=True, write_noise_std=20.0, **ALL),
    ExpStepDevice(**ALL),
    PowStepDevice(**ALL),
    # Wide bounds: where weight and reference together lie beyond one, aihwkit takes a root of a negative number
    # and lands on the other bound; ours stay. So it is with stuck devices, which aihwkit does not clip.
    PowStepReferenceDevice(
        reference_std=0.1,
        **{**ALL, "corrupt_devices_prob": 0.0},
        **{"w_max": 2.0, "w_max_dtod": 0.1, "w_min": -2.0, "w_min_dtod": 0.1},
    ),
    PiecewiseStepDevice(piecewise_up=[1.5, 1.0, 0.4], piecewise_down=[0.3, 1.0, 1.4], **ALL),
]
every_device = pytest.mark.parametrize("device", DEVICES, ids=lambda device: type(device).__name__)


def deterministic() -> UpdateParameters:
    return UpdateParameters(pulse_type=PulseType.MEAN_COUNT)


def make_tiles(device: PulsedDevice) -> list[AnalogTile]:
    config = SingleRPUConfig(device=device, update=deterministic())
    tiles = [AnalogTile(OUT_SIZE, IN_SIZE, config) for _ in range(TILES)]
    for tile, weight in zip(tiles, vectors(0, TILES, OUT_SIZE, IN_SIZE), strict=True):
        tile.tile.set_weights(0.2 * weight)
    return tiles


def vectors(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def copy_from(device: PulsedDevice, tiles: list[AnalogTile]) -> DeviceArray:
    hidden = [tile.get_hidden_parameters() for tile in tiles]
    return from_hidden(device, hidden, [tile.tile.get_weights() for tile in tiles])


def copy_to(array: DeviceArray, tiles: list[AnalogTile]) -> None:
    for tile, hidden, weight in zip(tiles, to_hidden(array), array.hidden_weight, strict=True):
        tile.set_hidden_parameters(hidden)
        tile.tile.set_weights(weight)


def hidden_weights(tiles: list[AnalogTile]) -> Tensor:
    """What pulses act on: with write noise it is not what is read."""
    weights = []
    for tile in tiles:
        hidden = tile.get_hidden_parameters()
        weights.append(hidden.get("persistent_weights", tile.tile.get_weights()))
    return torch.stack(weights)


def check_equal_parameters(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> None:
    for our_tile, their_tile in zip(ours, theirs, strict=True):
        assert list(our_tile) == list(their_tile)
        for name in their_tile:
            assert torch.equal(our_tile[name], their_tile[name]), name


@every_device
def test_there_and_back(device: PulsedDevice) -> None:
    tiles, others = make_tiles(device), make_tiles(device)
    array = copy_from(device, tiles)
    assert torch.equal(array.weight, torch.stack([tile.tile.get_weights() for tile in tiles]))
    assert torch.equal(array.hidden_weight, hidden_weights(tiles))
    (granularity,) = tiles[0].tile.dump_extra()["rpu.rpu_device.weight_granularity"]
    assert array.granularity.item() == pytest.approx(granularity, rel=2e-7)

    theirs = [tile.get_hidden_parameters() for tile in tiles]
    check_equal_parameters(to_hidden(array), theirs)
    copy_to(array, others)
    check_equal_parameters([tile.get_hidden_parameters() for tile in others], theirs)
    if array.persistent_weight is None:
        for tile, other in zip(tiles, others, strict=True):
            assert torch.equal(other.tile.get_weights(), tile.tile.get_weights())


@every_device
def test_tiles_and_copies_move_alike(device: PulsedDevice) -> None:
    tiles, others = make_tiles(device), make_tiles(device)
    array = copy_from(device, tiles)
    copy_to(array, others)
    x, d = vectors(1, TILES, BATCH, IN_SIZE), vectors(2, TILES, BATCH, OUT_SIZE)
    before = hidden_weights(tiles)
    for tile, other, tile_x, tile_d in zip(tiles, others, x, d, strict=True):
        for each in (tile, other):
            each.set_learning_rate(0.02)
            each.update(tile_x, tile_d)
    pulsed_update(array, x, d, 0.02, deterministic(), rng=torch.Generator())
    moved = (hidden_weights(tiles) - before).abs()
    assert (moved > 1e-4).float().mean() > 0.5
    assert torch.equal(hidden_weights(others), hidden_weights(tiles))
    torch.testing.assert_close(array.hidden_weight, hidden_weights(tiles), rtol=0.0, atol=1e-6)


@every_device
def test_fabricated_devices_live_in_aihwkit(device: PulsedDevice) -> None:
    """What we fabricate can be handed to a tile, comes back the same, and moves alike."""
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=3)
    array.set_weights(0.2 * vectors(0, TILES, OUT_SIZE, IN_SIZE), rng=torch.Generator())
    tiles = make_tiles(device)
    copy_to(array, tiles)
    check_equal_parameters(to_hidden(copy_from(device, tiles)), to_hidden(array))
    x, d = vectors(1, TILES, BATCH, IN_SIZE), vectors(2, TILES, BATCH, OUT_SIZE)
    for tile, tile_x, tile_d in zip(tiles, x, d, strict=True):
        tile.set_learning_rate(0.02)
        # A tile of few devices may estimate another `dw_min` from them, and with it another granularity.
        extra = tile.tile.dump_extra()
        extra["rpu.rpu_device.weight_granularity"] = [array.granularity.item()]
        tile.tile.load_extra(extra, True)
        tile.update(tile_x, tile_d)
    pulsed_update(array, x, d, 0.02, deterministic(), rng=torch.Generator())
    torch.testing.assert_close(array.hidden_weight, hidden_weights(tiles), rtol=0.0, atol=1e-6)


def test_parts_of_a_compound() -> None:
    parts = [DEVICES[2], DEVICES[7]]
    config = UnitCellRPUConfig(device=VectorUnitCell(unit_cell_devices=parts))
    tile = AnalogTile(OUT_SIZE, IN_SIZE, config)
    theirs = tile.get_hidden_parameters()
    written = {}
    for index, device in enumerate(parts):
        suffix = f"_{index}"
        array = from_hidden(device, [theirs], [theirs[f"hidden_weights{suffix}"]], suffix=suffix)
        assert torch.equal(array.weight[0], theirs[f"hidden_weights{suffix}"])
        written |= to_hidden(array, suffix=suffix)[0]
    assert set(theirs) - set(written) == {"hidden_weights_0", "hidden_weights_1"}
    for name, values in written.items():
        assert torch.equal(values, theirs[name]), name


def test_a_copy_shares_nothing_with_the_tile() -> None:
    device = DEVICES[0]
    tiles = make_tiles(device)
    array = copy_from(device, tiles)
    written = to_hidden(array)
    written[0]["max_bound"].zero_()
    array.weight.zero_()
    assert array.max_bound.abs().min() > 0
    assert tiles[0].tile.get_weights().abs().max() > 0


def test_what_a_device_does_not_use_is_not_kept() -> None:
    array = copy_from(DEVICES[1], make_tiles(DEVICES[1]))
    unused = (array.decay_scale, array.diffusion_rate, array.reset_bias, array.drift_nu, array.reference)
    assert unused == (None,) * 5
    fresh = fabricate(DEVICES[1], 1, 2, 3, seed=0)
    assert set(fresh.state_dict()) == set(array.state_dict())


def test_a_granularity_of_its_own() -> None:
    tiles = make_tiles(DEVICES[1])
    hidden = [tile.get_hidden_parameters() for tile in tiles]
    array = from_hidden(DEVICES[1], hidden, [tile.tile.get_weights() for tile in tiles], granularity=0.25)
    assert array.granularity == 0.25


def test_too_few_weights_are_refused() -> None:
    hidden = [tile.get_hidden_parameters() for tile in make_tiles(DEVICES[1])]
    with pytest.raises(
        ValueError, match=r"`weights` must have one tensor for each tile.* are 1 .* of 3 tiles"
    ):
        from_hidden(DEVICES[1], hidden, torch.zeros(1, OUT_SIZE, IN_SIZE))


def test_a_missing_name_is_named() -> None:
    hidden = [tile.get_hidden_parameters() for tile in make_tiles(DEVICES[1])]
    with pytest.raises(
        ValueError, match=r"`hidden_parameters` must have 'max_bound_0', but has \['decay_scales"
    ):
        from_hidden(DEVICES[1], hidden, torch.zeros(3, OUT_SIZE, IN_SIZE), suffix="_0")
