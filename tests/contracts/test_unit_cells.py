"""Every preset of aihwkit that trains devices: the promises of unit cells; and what rules leave to chance."""

from copy import deepcopy
from math import sqrt

import pytest
import torch
from aihwkit.simulator import presets
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import (
    IdealDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.parameters.enums import (
    AnalogMVType,
    PulseType,
    VectorUnitCellUpdatePolicy,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor

from crossbar.learning import UnitCells, make_cells, why_not_batched
from crossbar.reading.noise import NoiseStream

Z = 4.9  # two-sided, one false alarm in a million
TRAINING = (SingleRPUConfig, UnitCellRPUConfig, DigitalRankUpdateRPUConfig)
PRESETS = sorted(
    name
    for name in dir(presets)
    if isinstance(getattr(presets, name), type) and issubclass(getattr(presets, name), TRAINING)
)
TILES, OUT, IN, BATCH = 3, 4, 5, 7
DETERMINISTIC = UpdateParameters(pulse_type=PulseType.DETERMINISTIC_IMPLICIT)
PERFECT = IOParameters(is_perfect=True)


def quiet(**settings) -> SoftBoundsDevice:
    return SoftBoundsDevice(**{"dw_min": 0.01, "dw_min_std": 0.0, **settings})


def vectors(seed: int, tiles: int = TILES, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(tiles, batch, IN, generator=rng), torch.randn(tiles, batch, OUT, generator=rng) * 0.3


def train(cells: UnitCells, steps: range) -> None:
    for step in steps:
        noise = NoiseStream(0, "step", step)
        cells.update(*vectors(step), 0.2, noise=noise)
        cells.end_batch(noise=noise)


def everything(cells: UnitCells) -> dict[str, Tensor]:
    return {"read": cells.weights().clone()} | {
        name: value.clone() for name, value in cells.state_dict().items()
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal to the last bit; NaN stands for what has not happened yet."""
    marked = [
        {name: value.double().nan_to_num(nan=9.0) for name, value in one.items()} for one in (first, second)
    ]
    return first.keys() == second.keys() and all(
        torch.equal(value, marked[1][name]) for name, value in marked[0].items()
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_on_from_a_copy_or_a_file_as_if_nothing_had_happened(name):
    config = getattr(presets, name)()
    assert why_not_batched(config) is None
    cells = make_cells(config, TILES, OUT, IN, seed=3)
    train(cells, range(3))
    copy = deepcopy(cells)
    loaded = make_cells(config, TILES, OUT, IN, seed=4)
    assert not same(everything(loaded), everything(cells))
    loaded.load_state_dict(cells.state_dict())
    before = everything(cells)
    for twin in (cells, copy, loaded):
        train(twin, range(3, 6))
    after = everything(cells)
    assert not same(before, after)
    assert same(after, everything(copy))
    assert same(after, everything(loaded))


@pytest.mark.parametrize(
    "name",
    ["GokmenVlasovPreset", "PCMPreset", "Idealized2Preset", "TTv2IdealizedPreset", "MixedPrecisionPCMPreset"],
)
def test_cells_have_the_shapes_and_roles_that_they_promise(name):
    cells = make_cells(getattr(presets, name)(), TILES, OUT, IN, seed=0)
    assert cells.weights().shape == (TILES, OUT, IN)
    assert cells.slow() in cells.device_arrays().values()
    target = torch.full((TILES, OUT, IN), 0.1)
    cells.set_weights(target, noise=NoiseStream(0, "set"))
    inside = torch.ones_like(target, dtype=torch.bool)
    for array in cells.device_arrays().values():
        inside &= (array.max_bound > 0.1) & (array.min_bound < 0)
    torch.testing.assert_close(cells.weights()[inside], target[inside])


RANDOM = {
    "vector": UnitCellRPUConfig(
        device=VectorUnitCell(
            unit_cell_devices=[quiet() for _ in range(3)],
            update_policy=VectorUnitCellUpdatePolicy.SINGLE_RANDOM,
        ),
        update=DETERMINISTIC,
    ),
}


def chain(compound, **settings) -> UnitCellRPUConfig:
    settings = {"transfer_forward": PERFECT, "units_in_mbatch": False, **settings}
    return UnitCellRPUConfig(
        device=compound(unit_cell_devices=[quiet(), quiet()], **settings), update=DETERMINISTIC
    )


def share(chosen: Tensor, expected: float) -> None:
    """A share of independent choices lies within its sampling error."""
    number = chosen.numel()
    assert abs(float(chosen.float().mean()) - expected) < Z * sqrt(expected * (1 - expected) / number)


def odds(lines: int) -> list[float]:
    """With which aihwkit's clamping macros, which draw again, choose each line."""
    other = (lines - 1) / lines**2
    middle = (1 - other) * other
    return [other * (2 - other), *[middle] * (lines - 2), 1 - other * (2 - other) - middle * (lines - 2)]


def test_random_policy_chooses_every_device_equally_often_for_every_tile_and_vector():
    tiles, batch = 40, 60
    cells = make_cells(RANDOM["vector"], tiles, OUT, IN, seed=0)
    chosen = []
    for step in range(batch):
        before = [array.weight.clone() for array in cells.arrays]
        cells.update(*vectors(step, tiles, 1), 0.5, noise=NoiseStream(0, step))
        moved = [
            (array.weight != old).any(dim=(1, 2)) for array, old in zip(cells.arrays, before, strict=True)
        ]
        chosen.append(torch.stack(moved))
    is_chosen = torch.stack(chosen)  # (steps, devices, tiles)
    assert bool((is_chosen.sum(dim=1) == 1).all())
    for device in range(3):
        share(is_chosen[:, device], 1 / 3)
    share(is_chosen[1:, 0] & is_chosen[:-1, 0], 1 / 9)
    share(is_chosen[:, 0, 1:] & is_chosen[:, 0, :-1], 1 / 9)


def test_random_lines_are_chosen_with_the_odds_of_aihwkit():
    tiles = 500
    cells = make_cells(
        chain(TransferCompound, random_selection=True, fast_lr=0.3, transfer_every=4.0),
        tiles,
        OUT,
        IN,
        seed=0,
    )
    written = torch.zeros(tiles, IN, dtype=torch.bool)
    cells.update(*vectors(0, tiles, 4), 1.0, noise=NoiseStream(0, "once"))
    written = (cells.slow().weight != 0).any(dim=1)
    assert bool((written.sum(dim=1) <= 1).all())
    assert int(written.sum()) > 0.98 * tiles
    for line in range(IN):
        share(written[written.any(dim=1), line], odds(IN)[line])


def test_resets_happen_with_their_probability():
    tiles = 2000
    config = chain(TransferCompound, with_reset_prob=0.3, fast_lr=0.3, transfer_every=4.0)
    config.device.unit_cell_devices[0] = quiet(reset_std=0.0)
    cells = make_cells(config, tiles, OUT, IN, seed=0)
    cells.update(*vectors(0, tiles, 4), 1.0, noise=NoiseStream(0, "once"))
    fast = cells.device_arrays()["fast"]
    bias = torch.zeros_like(fast.weight) if fast.reset_bias is None else fast.reset_bias
    is_reset = (fast.weight == bias).all(dim=1)
    share(is_reset[:, 0], 0.3)
    assert int(is_reset[:, 1:].sum()) == 0


@pytest.mark.parametrize("compound", [ChoppedTransferCompound, DynamicTransferCompound])
def test_choppers_turn_with_their_probability(compound):
    tiles, probability = 400, 0.1
    config = chain(compound, in_chop_prob=probability, in_chop_random=True, out_chop_prob=0.2)
    cells = make_cells(config, tiles, OUT, IN, seed=0)
    choppers = cells.choppers
    before = choppers.is_turned.clone()
    cells.update(*vectors(0, tiles, IN), 0.1, noise=NoiseStream(0, "sweep"))
    share(choppers.is_turned != before, probability)
    if compound is ChoppedTransferCompound:
        share(choppers.is_other_turned, 0.2)
    else:
        assert not bool(choppers.is_other_turned.any())
    # After one over the probability sweeps, the dynamic rule turns all lines that chance did not turn then.
    cells.update(*vectors(1, tiles, 9 * IN), 0.1, noise=NoiseStream(0, "nine more"))
    by_chance = 10 if compound is ChoppedTransferCompound else 9
    odd = (1 - (1 - 2 * probability) ** by_chance) / 2
    share(choppers.is_turned, odd if compound is ChoppedTransferCompound else 1 - odd)


def test_random_rows_and_bins_follow_chance():
    tiles = 900
    compound = MixedPrecisionCompound(
        device=quiet(), n_rows_per_transfer=1, random_row=True, n_x_bins=4, n_d_bins=4
    )
    config = DigitalRankUpdateRPUConfig(device=compound, update=DETERMINISTIC)
    cells = make_cells(config, tiles, OUT, IN, seed=0)
    x = torch.tensor([1.0, 0.2, -0.2, 0.0, 0.5]).expand(tiles, 1, IN)
    d = torch.tensor([1.0, -1.0, 0.5, 0.1]).expand(tiles, 1, OUT)
    cells.update(x, d, 1.0, noise=NoiseStream(0, "bins"))
    # A width of a half: 0.2 becomes a half in 2 of 5 cases, 0.5 stays; rounding is unbiased.
    share(cells.chi[:, 0, 1] == 0.5, 0.4)
    share(cells.chi[:, 0, 2] == -0.5, 0.4)
    share(cells.chi[:, 3, 0] == 0.5, 0.2)
    assert bool((cells.chi[:, 0, 4] == 0.5).all())
    before = cells.weights().clone()
    cells.update(x, d, 1.0, noise=NoiseStream(0, "rows"))
    rows = (cells.weights() != before).any(dim=2)
    assert bool((rows.sum(dim=1) <= 1).all())
    for row in range(3):
        share(rows[:, row], odds(OUT)[row])


@pytest.mark.parametrize(
    "name",
    [
        "ReRamSBPreset",
        "PCMPreset",
        "ReRamES2Preset",
        "TikiTakaReRamSBPreset",
        "ChoppedTTv2ReRamSBPreset",
        "AGADReRamSBPreset",
        "MixedPrecisionReRamSBPreset",
    ],
)
def test_copies_receive_the_vectors_of_their_kernel(name):
    """Ideal copies stay equal; each copy sees exactly what a tile with its own vectors would."""
    config = getattr(presets, name)()
    config.update = DETERMINISTIC
    if hasattr(config.device, "transfer_forward"):
        config.device.transfer_forward = PERFECT
        config.device.transfer_update = DETERMINISTIC
        config.device.in_chop_random = False
    if hasattr(config.device, "update_policy"):
        config.device.update_policy = VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL
    cells = getattr(config.device, "unit_cell_devices", None) or [
        config.device.device if "Mixed" in name else config.device
    ]
    for device in cells:
        device.dw_min_std = 0.0
        device.write_noise_std = 0.0
        device.diffusion = 0.0
    if name == "PCMPreset":
        config.device.refresh_every = 0
    tile_of_train = torch.tensor([1, 0, 1])
    shared = make_cells(config, TILES, OUT, IN, seed=0)
    alone = make_cells(config, TILES, OUT, IN, seed=0)
    for step in range(4):
        x, d = vectors(step, 2)
        shared.update(x, d, 0.2, noise=NoiseStream(0, step), tile_of_train=tile_of_train)
        alone.update(x[tile_of_train], d[tile_of_train], 0.2, noise=NoiseStream(0, step))
    for name, value in shared.state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)


def compound_with(compound, **settings):
    return UnitCellRPUConfig(device=compound(unit_cell_devices=[quiet(), quiet()], **settings))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (InferenceRPUConfig(), "InferenceRPUConfig"),
        (SingleRPUConfig(device=IdealDevice()), "IdealDevice"),
        (UnitCellRPUConfig(device=VectorUnitCell(unit_cell_devices=[VectorUnitCell()])), "VectorUnitCell"),
        (UnitCellRPUConfig(device=VectorUnitCell()), "0 devices"),
        (
            UnitCellRPUConfig(
                device=VectorUnitCell(unit_cell_devices=[quiet()]),
                update=UpdateParameters(pulse_type=PulseType.NONE),
            ),
            "pulse_type",
        ),
        (compound_with(ChoppedTransferCompound, n_reads_per_transfer=2), "n_reads_per_transfer"),
        (compound_with(ChoppedTransferCompound, gamma=0.1), "gamma"),
        (compound_with(ChoppedTransferCompound, transfer_every=-1.0), "transfer_every"),
        (compound_with(DynamicTransferCompound, no_self_transfer=False), "no_self_transfer"),
        (compound_with(TransferCompound, with_reset_prob=0.1, transfer_columns=False), "with_reset_prob"),
        (
            compound_with(
                BufferedTransferCompound,
                transfer_forward=IOParameters(mv_type=AnalogMVType.SPLIT_MODE)
                if hasattr(AnalogMVType, "SPLIT_MODE")
                else IOParameters(out_noise=-1.0),
            ),
            "transfer_forward",
        ),
        (
            UnitCellRPUConfig(
                device=OneSidedUnitCell(unit_cell_devices=[quiet(write_noise_std=1.0)], refresh_every=1)
            ),
            "refresh_every",
        ),
        (DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=quiet(), n_x_bins=1)), "n_x_bins"),
        (
            DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=quiet(), transfer_lr=-1.0)),
            "transfer_lr",
        ),
    ],
)
def test_what_only_aihwkit_honours_is_named(config, named):
    reason = why_not_batched(config)
    assert reason is not None
    assert named in reason
    with pytest.raises(ValueError, match="`rpu_config` must be one that runs batched"):
        make_cells(config, 1, OUT, IN, seed=0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            compound_with(VectorUnitCell, gamma_vec=[1.0]),
            "`gamma_vec` must have one weight for each of the 2 devices, but has 1",
        ),
        (
            compound_with(VectorUnitCell, first_update_idx=2),
            "`first_update_idx` must be .* from 0 to 1, but is 2",
        ),
        (compound_with(TransferCompound, gamma_vec=[1.0, 0.0]), r"the last not zero, but is \[1.0, 0.0\]"),
        (
            compound_with(TransferCompound, transfer_every_vec=[1.0]),
            "`transfer_every_vec` must .* 2 devices, but has 1",
        ),
        (
            compound_with(TransferCompound, transfer_lr_vec=[1.0]),
            "`transfer_lr_vec` must .* 2 devices, but has 1",
        ),
    ],
)
def test_contradictions_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        make_cells(config, 1, OUT, IN, seed=0)
