"""Noisy learning against aihwkit's own tiles: the same mean and spread of every weight, over many tiles.

Devices are alike, pulses stochastic, steps and transfer reads noisy, choppers random. aihwkit's noise cannot be
seeded, and its table of normal numbers has a mean of its own, about 0.0055 of a standard deviation in each tile
(notes 3.9), which averages out over tiles. Sampling errors are those of means and standard deviations over the tiles;
the latter assume a kurtosis of at most 6 (discrete steps make the tails of a weight heavier than normal). Z = 4.9 for
each of 20 weights and two kinds: two false alarms in 100,000 runs.
"""

from math import sqrt

import pytest
import torch
from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import SoftBoundsDevice
from aihwkit.simulator.parameters.enums import VectorUnitCellUpdatePolicy
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile

from crossbar.learning import make_cells
from crossbar.reading.noise import NoiseStream

Z, KURTOSIS = 4.9, 6.0
THEIRS, OURS = 400, 4000
OUT, IN, BATCH, STEPS = 4, 5, 12, 5
NOISY = IOParameters(out_noise=0.02, inp_noise=0.01)
# Without noise of the DAC a batch and its transfers are compiled loops.
IN_LOOPS = IOParameters(out_noise=0.02)


def device(**settings) -> SoftBoundsDevice:
    alike = {"dw_min_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0, "up_down_dtod": 0.0, "reset_dtod": 0.0}
    return SoftBoundsDevice(**{"dw_min": 0.01, "dw_min_std": 0.3, **alike, **settings})


def chain(compound, **settings) -> UnitCellRPUConfig:
    settings = {"transfer_forward": NOISY, "units_in_mbatch": False, "fast_lr": 0.1, **settings}
    return UnitCellRPUConfig(device=compound(unit_cell_devices=[device(), device()], **settings))


CASES = {
    "vector": UnitCellRPUConfig(
        device=VectorUnitCell(
            unit_cell_devices=[device(), device(dw_min=0.02)],
            update_policy=VectorUnitCellUpdatePolicy.SINGLE_RANDOM,
        )
    ),
    "one-sided": UnitCellRPUConfig(
        device=OneSidedUnitCell(
            unit_cell_devices=[device(w_min=0.0, w_max=0.3)],
            refresh_every=1,
            refresh_upper_thres=0.5,
            refresh_update=UpdateParameters(desired_bl=31),
        )
    ),
    "transfer": chain(TransferCompound, random_selection=True, with_reset_prob=0.3),
    "buffered": chain(BufferedTransferCompound),
    "chopped": chain(
        ChoppedTransferCompound, in_chop_prob=0.3, out_chop_prob=0.3, auto_scale=True, auto_granularity=30
    ),
    "dynamic": chain(DynamicTransferCompound, in_chop_prob=0.5, in_chop_random=True),
    "transfer in loops": chain(TransferCompound, transfer_forward=IN_LOOPS, n_reads_per_transfer=2),
    "buffered in loops": chain(BufferedTransferCompound, transfer_forward=IN_LOOPS),
    "chopped in loops": chain(
        ChoppedTransferCompound,
        transfer_forward=IN_LOOPS,
        in_chop_prob=0.3,
        out_chop_prob=0.3,
        auto_scale=True,
        auto_granularity=30,
    ),
    "dynamic in loops": chain(
        DynamicTransferCompound, transfer_forward=IN_LOOPS, in_chop_prob=0.5, in_chop_random=True
    ),
    "mixed precision": DigitalRankUpdateRPUConfig(
        device=MixedPrecisionCompound(
            device=device(), n_x_bins=6, n_d_bins=6, n_rows_per_transfer=2, random_row=True
        )
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_same_mean_and_spread_as_aihwkit(name):
    config = CASES[name]
    rng = torch.Generator().manual_seed(0)
    cells = make_cells(config, OURS, OUT, IN, seed=0)
    tiles = [AnalogTile(OUT, IN, config) for _ in range(THEIRS)]
    for tile in tiles:
        tile.tile.set_weights(torch.zeros(OUT, IN))
        tile.set_learning_rate(0.2)
    for step in range(STEPS):
        x, d = torch.randn(BATCH, IN, generator=rng), torch.randn(BATCH, OUT, generator=rng) * 0.3
        for tile in tiles:
            tile.tile.update(x, d, False)
        cells.update(
            x.expand(OURS, -1, -1), d.expand(OURS, -1, -1), 0.2, noise=NoiseStream(0, step), engine="exact"
        )
    theirs, ours = torch.stack([tile.tile.get_weights() for tile in tiles]), cells.weights()
    spread = theirs.std(dim=0)
    assert float(spread.min()) > 0
    error = spread * sqrt(1 / THEIRS + 1 / OURS)
    assert float(((ours.mean(dim=0) - theirs.mean(dim=0)).abs() / error).max()) < Z
    ratio_error = sqrt((KURTOSIS - 1) / 4 * (1 / THEIRS + 1 / OURS))
    assert float((ours.std(dim=0) / spread).log().abs().max()) < Z * ratio_error
