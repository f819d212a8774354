"""The learning rules against aihwkit's own tiles: same devices, same deterministic pulses, the same in every batch.

Devices are copied from several tiles. Then all tiles and ours see the same batches, of 1 vector, of 64, and in
between, with vectors of zeros among them, and everything hidden is compared after each: weights, buffers, running
means, choppers, counters. Steps are 0.01 and values below about 10, rounded to 6e-8 of it at each of some hundred
additions, which differ in order: 1e-5 of the largest value (a fault of one pulse is 1e-2). A number that lies within
rounding of a whole number of pulses would be truncated differently; the seeds are such that this does not happen.
"""

import re
from copy import deepcopy

import pytest
import torch
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    ReferenceUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.enums import (
    NoiseManagementType,
    PulseType,
    VectorUnitCellUpdatePolicy,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile
from torch import Tensor

from crossbar.learning import (
    DynamicTransfer,
    MixedPrecision,
    OneSidedCells,
    SingleCells,
    UnitCells,
    make_cells,
)
from crossbar.learning.one_sided import invert_
from crossbar.reading.noise import NoiseStream
from devices.pulsed import DeviceArray, from_hidden

TILES = 2
BATCHES = (1, 3, 64, 1, 5, 64)
RELATIVE = 1e-5
PERFECT = IOParameters(is_perfect=True, out_scale=0.9)


def pulses(**settings) -> UpdateParameters:
    return UpdateParameters(pulse_type=PulseType.DETERMINISTIC_IMPLICIT, **settings)


def soft(**settings) -> SoftBoundsDevice:
    return SoftBoundsDevice(**{"dw_min": 0.01, "dw_min_std": 0.0, **settings})


def chain(compound, devices=2, fast=None, **settings) -> UnitCellRPUConfig:
    settings = {"transfer_forward": PERFECT, "transfer_update": pulses(desired_bl=5), **settings}
    cells = [fast or soft(), *[soft(dw_min=0.008) for _ in range(devices - 1)]]
    return UnitCellRPUConfig(device=compound(unit_cell_devices=cells, **settings), update=pulses())


def vector(policy, **settings) -> UnitCellRPUConfig:
    cells = [soft(), PowStepDevice(dw_min=0.02, dw_min_std=0.0), soft(dw_min=0.005)]
    cell = VectorUnitCell(
        unit_cell_devices=cells, update_policy=VectorUnitCellUpdatePolicy(policy), **settings
    )
    return UnitCellRPUConfig(device=cell, update=pulses())


def one_sided(device=None, **settings) -> OneSidedUnitCell:
    """Cells that are refreshed by one pulse: both lines pulse for certain if the difference exceeds 0.03.

    Deterministic pulses would not do: aihwkit writes them downwards there, as a sign cancels.
    """
    settings = {
        "refresh_forward": PERFECT,
        "refresh_upper_thres": 0.8,
        "refresh_lower_thres": 0.1,
        "refresh_update": UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False),
        **settings,
    }
    device = device or soft(dw_min=0.001, w_max=0.6, w_min=0.0, w_max_dtod=0.1, reset_std=0.0)
    return OneSidedUnitCell(unit_cell_devices=[device], **settings)


def mixed(device=None, **settings) -> DigitalRankUpdateRPUConfig:
    """Trains so long that they never saturate: a whole number of steps is a whole number of pulses.

    The rule manages lengths and probabilities even where that is switched off.
    """
    settings = {"stoc_round_x": False, "stoc_round_d": False, **settings}
    compound = MixedPrecisionCompound(device=device or soft(), **settings)
    update = pulses(desired_bl=1024, update_management=False, update_bl_management=False)
    return DigitalRankUpdateRPUConfig(device=compound, update=update)


T, B, C, A = TransferCompound, BufferedTransferCompound, ChoppedTransferCompound, DynamicTransferCompound
# Transfers scale neither inputs nor outputs, whatever is asked for; refreshes do.
ADC = IOParameters(
    out_noise=0.0,
    out_res=1 / 62,
    out_bound=0.3,
    out_scale=0.9,
    noise_management=NoiseManagementType.CONSTANT,
    nm_thres=2.0,
)
CASES = {
    "single": SingleRPUConfig(device=soft(), update=pulses()),
    "single, decaying": SingleRPUConfig(device=soft(lifetime=20.0, lifetime_dtod=0.1), update=pulses()),
    "vector, all": vector("All"),
    "vector, all, weighted": vector("All", gamma_vec=[0.3, 0.7, -0.2]),
    "vector, in turn": vector("SingleSequential", first_update_idx=1),
    "vector, fixed": vector("SingleFixed", first_update_idx=2),
    "reference": UnitCellRPUConfig(device=ReferenceUnitCell(unit_cell_devices=[soft()]), update=pulses()),
    "one-sided": UnitCellRPUConfig(device=one_sided(), update=pulses(desired_bl=310)),
    "one-sided, refreshed": UnitCellRPUConfig(
        device=one_sided(refresh_every=1), update=pulses(desired_bl=310)
    ),
    "one-sided, refreshed within batches": UnitCellRPUConfig(
        device=one_sided(refresh_every=7, units_in_mbatch=False), update=pulses(desired_bl=310)
    ),
    "one-sided, refreshed through an ADC": UnitCellRPUConfig(
        device=one_sided(refresh_every=1, refresh_forward=ADC), update=pulses(desired_bl=310)
    ),
    "one-sided, inverted": UnitCellRPUConfig(
        device=one_sided(LinearStepDevice(dw_min=0.01, dw_min_std=0.0, gamma_up=0.4), copy_inverted=True),
        update=pulses(desired_bl=310),
    ),
    "transfer": chain(T),
    "transfer, own rate": chain(T, fast_lr=0.0, transfer_lr=3.0),
    "transfer, fixed rate": chain(T, scale_transfer_lr=False, transfer_lr=0.05),
    "transfer, every third vector": chain(T, units_in_mbatch=False, transfer_every=3.0, fast_lr=0.2),
    "transfer, every half batch": chain(T, transfer_every=0.5, fast_lr=0.2),
    "transfer, three lines": chain(
        T, units_in_mbatch=False, transfer_every=2.0, n_reads_per_transfer=3, fast_lr=0.2
    ),
    "transfer, rows": chain(
        T, transfer_columns=False, units_in_mbatch=False, transfer_every=2.0, fast_lr=0.2
    ),
    "transfer, visible": chain(T, gamma=0.3, units_in_mbatch=False, fast_lr=0.1),
    "transfer, weighted": chain(T, gamma_vec=[0.2, 0.5], units_in_mbatch=False, fast_lr=0.1),
    "transfer, four devices": chain(T, 4, units_in_mbatch=False, gamma=0.5, fast_lr=0.2, transfer_every=1.0),
    "transfer, three devices, two lines": chain(
        T, 3, units_in_mbatch=False, gamma=0.5, fast_lr=0.2, transfer_every=1.0, n_reads_per_transfer=2
    ),
    "transfer, own schedule": chain(
        T,
        3,
        units_in_mbatch=False,
        transfer_every_vec=[2.0, 3.0, 0.0],
        transfer_lr_vec=[2.0, 4.0, 1.0],
        fast_lr=0.1,
    ),
    "transfer, with resets": chain(
        T,
        fast=soft(reset=0.02, reset_dtod=0.05, reset_std=0.0),
        with_reset_prob=1.0,
        units_in_mbatch=False,
        fast_lr=0.2,
    ),
    "transfer, with resets of three": chain(
        T,
        fast=soft(reset_std=0.0),
        with_reset_prob=1.0,
        units_in_mbatch=False,
        n_reads_per_transfer=3,
        transfer_every=2.0,
        fast_lr=0.2,
    ),
    "transfer, through an ADC": chain(T, transfer_forward=ADC, units_in_mbatch=False, fast_lr=0.2),
    "transfer of rows, through an ADC": chain(
        T, transfer_forward=ADC, units_in_mbatch=False, fast_lr=0.2, transfer_columns=False
    ),
    "buffered": chain(B, units_in_mbatch=False, fast_lr=0.2),
    "buffered, faithful": chain(B, units_in_mbatch=False, fast_lr=0.2, forget_buffer=False, thres_scale=0.7),
    "buffered, visible": chain(B, units_in_mbatch=False, fast_lr=0.2, gamma=0.4, step=2.0),
    "buffered, rows": chain(B, units_in_mbatch=False, fast_lr=0.2, transfer_columns=False),
    "buffered, three devices": chain(B, 3, units_in_mbatch=False, fast_lr=0.2, gamma=0.5, thres_scale=0.1),
    "buffered, two lines": chain(B, fast_lr=0.2, n_reads_per_transfer=2, transfer_every=0.3),
    "chopped, never": chain(C, fast_lr=0.2, in_chop_prob=0.0),
    "chopped": chain(C, fast_lr=0.2, in_chop_prob=0.34, in_chop_random=False),
    "chopped at every read": chain(C, fast_lr=0.2, in_chop_prob=1.0, in_chop_random=True),
    "chopped across": chain(C, fast_lr=0.2, in_chop_prob=0.5, in_chop_random=False, out_chop_prob=1.0),
    "chopped, rows": chain(
        C, fast_lr=0.2, in_chop_prob=0.5, in_chop_random=False, out_chop_prob=1.0, transfer_columns=False
    ),
    "chopped, scaled": chain(
        C, fast_lr=0.5, in_chop_prob=0.34, in_chop_random=False, auto_scale=True, auto_granularity=20
    ),
    "chopped, scaled, corrected": chain(
        C,
        fast_lr=0.3,
        in_chop_prob=0.34,
        in_chop_random=False,
        auto_scale=True,
        auto_momentum=0.8,
        correct_gradient_magnitudes=True,
    ),
    "chopped, faithful, slow": chain(
        C,
        fast_lr=0.2,
        in_chop_prob=0.34,
        in_chop_random=False,
        forget_buffer=False,
        momentum=0.3,
        transfer_every=3.0,
        auto_granularity=40,
        step=1.5,
    ),
    "chopped, no buffer": chain(
        C, fast_lr=0.2, in_chop_prob=0.34, in_chop_random=False, no_buffer=True, buffer_granularity=0.3
    ),
    "chopped, in batches": chain(C, fast_lr=0.2, in_chop_prob=1.0, units_in_mbatch=True, transfer_every=0.25),
    "chopped, through an ADC": chain(C, fast_lr=0.2, in_chop_prob=1.0, transfer_forward=ADC),
    "dynamic": chain(A, fast_lr=0.2, in_chop_prob=0.3),
    "dynamic at every read": chain(A, fast_lr=0.2, in_chop_prob=1.0, in_chop_random=True),
    "dynamic, scaled": chain(
        A, fast_lr=0.5, in_chop_prob=0.3, auto_scale=True, auto_granularity=20, tail_weightening=1.5
    ),
    "dynamic, faithful": chain(
        A, fast_lr=0.2, in_chop_prob=0.3, forget_buffer=False, buffer_cap=0.06, momentum=0.2
    ),
    "dynamic, corrected": chain(A, fast_lr=0.2, in_chop_prob=0.3, experimental_correct_accumulation=True),
    "dynamic, rows": chain(A, fast_lr=0.2, in_chop_prob=0.3, transfer_columns=False),
    "mixed precision": mixed(),
    "mixed precision, every second batch": mixed(transfer_every=2, transfer_lr=0.8),
    "mixed precision, two rows": mixed(n_rows_per_transfer=2, granularity=0.02),
    "mixed precision, bins": mixed(n_x_bins=8, n_d_bins=6),
    "mixed precision, exponential": mixed(ExpStepDevice(dw_min=0.01, dw_min_std=0.0)),
    "mixed precision, vector": mixed(vector("SingleSequential").device),
    "mixed precision, one-sided": mixed(one_sided(refresh_every=2), n_rows_per_transfer=3),
}


def sizes(config) -> tuple[int, int]:
    """Bit lines and word lines; aihwkit writes beyond its memory if it transfers rows longer than columns."""
    return (7, 5) if getattr(config.device, "transfer_columns", True) is False else (5, 7)


def fresh_tiles(config) -> list[AnalogTile]:
    tiles = []
    for number in range(TILES):
        config = deepcopy(config)
        config.device.construction_seed = 10 + number
        tiles.append(AnalogTile(*sizes(config), config))
    torch.manual_seed(0)
    for tile in tiles:
        tile.tile.set_weights(torch.rand(sizes(config)) * 0.4 - 0.2)
    return tiles


def ordered_arrays(cells: UnitCells) -> dict[str, DeviceArray]:
    """The devices by the suffix that aihwkit appends to their names."""
    if isinstance(cells, MixedPrecision):
        return ordered_arrays(cells.cells)
    if isinstance(cells, SingleCells):
        return {"": cells.array}
    if isinstance(cells, OneSidedCells):
        return {"_0": cells.minus, "_1": cells.plus}
    return {f"_{number}": array for number, array in enumerate(cells.arrays)}


def hidden_of(tile: AnalogTile) -> dict[str, Tensor]:
    return {**tile.get_hidden_parameters(), "hidden_weights": tile.tile.get_weights()}


def copied(config, tiles: list[AnalogTile]) -> UnitCells:
    cells = make_cells(config, TILES, *sizes(config), seed=0)
    hidden = [hidden_of(tile) for tile in tiles]
    for suffix, array in ordered_arrays(cells).items():
        weights = [values[f"hidden_weights{suffix}"] for values in hidden]
        twin = from_hidden(array.device, hidden, weights, suffix=suffix, granularity=float(array.granularity))
        for name, values in twin.named_buffers():
            assert (getattr(array, name) is None) == (values is None), name
        array.load_state_dict(twin.state_dict())
    return cells


def ours(cells: UnitCells) -> dict[str, Tensor]:
    """Everything hidden, by aihwkit's names."""
    values = {f"hidden_weights{suffix}": array.weight for suffix, array in ordered_arrays(cells).items()}
    values["weights"] = cells.weights()
    if isinstance(cells, MixedPrecision):
        values["hidden_weights_chi"] = cells.chi
    if "dynamic" in type(cells).__name__.lower():
        values["buffered_FP_weight"] = cells.buffer
        values["running_mean_weight"], values["past_mean_weight"] = cells.running_mean, cells.reference
    elif hasattr(cells, "choppers"):
        values["buffered_FP_weight_0"] = cells.buffer
    elif hasattr(cells, "buffer"):
        values |= {f"buffered_FP_weight_{number}": buffer for number, buffer in enumerate(cells.buffer)}
    return values


def our_counters(cells: UnitCells) -> dict[str, Tensor]:
    """Counters and choppers, by aihwkit's names."""
    values: dict[str, Tensor] = {}
    if isinstance(cells, MixedPrecision):
        values = {"current_update_index": cells.updates, "current_row_index": cells.next_row}
        if isinstance(cells.cells, OneSidedCells):
            values["rpu_device.current_update_idx"] = cells.cells.updates
    elif hasattr(cells, "updates"):
        values = {"current_update_idx": cells.updates}
    if hasattr(cells, "next_line"):
        values["current_slice_indices"] = cells.next_line[:-1]
    if hasattr(cells, "current"):
        values["current_device_idx"] = cells.current
    if hasattr(cells, "choppers"):
        values["in_chopper"] = cells.choppers.is_turned
        values["out_chopper"] = cells.choppers.is_other_turned
        values["transfer_counter"] = cells.choppers.sweeps
        values["m_x"], values["m_d"] = cells.maxima.x, cells.maxima.d
    if isinstance(cells, DynamicTransfer):
        values["in_chopper_switched"] = cells.is_switched
    return values


def vectors(batch: int, out_size: int, in_size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(TILES, batch, in_size, generator=rng) * 0.5
    d = torch.randn(TILES, batch, out_size, generator=rng) * 0.3
    if batch > 1:
        x[:, 1] = 0.0
    return x, d


def check_equal(cells: UnitCells, tiles: list[AnalogTile], batch: int) -> None:
    for name, values in ours(cells).items():
        theirs = torch.stack(
            [tile.tile.get_weights() if name == "weights" else hidden_of(tile)[name] for tile in tiles]
        )
        assert values.shape == theirs.shape, name
        limit = RELATIVE * max(1.0, float(theirs.abs().max()))
        assert float((values - theirs).abs().max()) <= limit, f"{name} after a batch of {batch}"
    for name, values in our_counters(cells).items():
        for number, tile in enumerate(tiles):
            theirs = torch.tensor(tile.tile.dump_extra()[f"rpu.rpu_device.{name}"])
            mine = values if values.dim() == 0 or name == "current_slice_indices" else values[number]
            torch.testing.assert_close(
                mine.reshape(-1).float(), theirs[: mine.numel()].float(), rtol=RELATIVE, atol=0, msg=name
            )


@pytest.mark.parametrize("name", CASES)
def test_same_as_aihwkit(name):
    config = CASES[name]
    tiles = fresh_tiles(config)
    cells, noise = copied(config, tiles), NoiseStream(0, "test")
    rng = torch.Generator().manual_seed(sum(map(ord, name)))
    moved = torch.zeros(())
    for step, batch in enumerate(BATCHES):
        x, d = vectors(batch, *sizes(config), rng)
        rate = 0.1 if step < 3 else 0.05
        for number, tile in enumerate(tiles):
            tile.set_learning_rate(rate)
            tile.tile.update(x[number].contiguous(), d[number].contiguous(), False)
            tile.post_update_step()
        before = cells.weights().clone()
        cells.update(x, d, rate, noise=noise)
        cells.end_batch(noise=noise)
        check_equal(cells, tiles, batch)
        moved = moved + (cells.weights() != before).float().mean()
    # The schedules were reached: weights have moved, and more than once.
    assert float(moved) > 0.2


@pytest.mark.parametrize(
    "name",
    [
        "single",
        "vector, in turn",
        "vector, fixed",
        "one-sided, refreshed within batches",
        "transfer, every third vector",
        "transfer, visible",
        "transfer, weighted",
        "buffered, three devices",
        "chopped across",
        "dynamic, scaled",
        "mixed precision, two rows",
    ],
)
def test_set_weights_as_aihwkit(name):
    config = CASES[name]
    tiles = fresh_tiles(config)
    cells, noise = copied(config, tiles), NoiseStream(0, "test")
    rng = torch.Generator().manual_seed(1)
    for _ in range(2):
        x, d = vectors(16, *sizes(config), rng)
        weight = torch.rand(TILES, *sizes(config), generator=rng) - 0.5
        for number, tile in enumerate(tiles):
            tile.set_learning_rate(0.1)
            tile.tile.update(x[number].contiguous(), d[number].contiguous(), False)
            tile.tile.set_weights(weight[number].contiguous())
            tile.tile.update(x[number].contiguous(), d[number].contiguous(), False)
        cells.update(x, d, 0.1, noise=noise)
        cells.set_weights(weight, noise=noise)
        cells.update(x, d, 0.1, noise=noise)
        check_equal(cells, tiles, 16)


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(),
        LinearStepDevice(gamma_up=0.3, gamma_down=0.2, gamma_up_dtod=0.1),
        SoftBoundsReferenceDevice(reference_std=0.1, slope_up_dtod=0.1),
        PowStepDevice(pow_gamma=1.5, pow_gamma_dtod=0.2, pow_up_down=0.1),
        PowStepReferenceDevice(reference_std=0.1, pow_gamma_dtod=0.2),
        ExpStepDevice(),
    ],
    ids=lambda device: type(device).__name__,
)
def test_inverted_as_aihwkit(device):
    def plus_and_minus(copy_inverted: bool) -> list[DeviceArray]:
        cell = OneSidedUnitCell(unit_cell_devices=[device], copy_inverted=copy_inverted, construction_seed=7)
        hidden = AnalogTile(5, 7, UnitCellRPUConfig(device=cell)).get_hidden_parameters()
        return [
            from_hidden(device, [hidden], [hidden[f"hidden_weights{suffix}"]], suffix=suffix)
            for suffix in ("_1", "_0")
        ]

    plus, minus = plus_and_minus(False)
    inverted, same_minus = plus_and_minus(True)
    assert not torch.equal(plus.max_bound, inverted.max_bound)
    assert torch.equal(minus.max_bound, same_minus.max_bound)
    invert_(plus, minus)
    for name, values in inverted.named_buffers():
        if name not in ("weight", "granularity"):
            torch.testing.assert_close(getattr(plus, name), values, rtol=0, atol=0, msg=name)


def test_nothing_happens_at_rate_zero():
    config = CASES["chopped"]
    cells, noise = make_cells(config, TILES, 5, 7, seed=0), NoiseStream(0, "test")
    before = {name: values.clone() for name, values in cells.state_dict().items()}
    cells.update(torch.ones(TILES, 3, 7), torch.ones(TILES, 3, 5), 0.0, noise=noise)
    assert all(torch.equal(values, before[name]) for name, values in cells.state_dict().items())


def test_names_of_the_cases_say_what_they_test():
    kinds = {re.split("[, ]", name)[0] for name in CASES}
    assert kinds == {
        "single",
        "vector",
        "reference",
        "one-sided",
        "transfer",
        "buffered",
        "chopped",
        "dynamic",
        "mixed",
    }
