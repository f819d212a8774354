"""Transfers in compiled loops: in one call as step by step, as the rules say in torch, and after memory has moved."""

from copy import deepcopy

import pytest
import torch
from aihwkit.simulator.configs import UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    TransferCompound,
)
from aihwkit.simulator.configs.devices import LinearStepDevice, SoftBoundsDevice
from aihwkit.simulator.parameters.enums import PulseType, WeightNoiseType
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters

from crossbar.learning import UnitCells, make_cells
from crossbar.reading.noise import NoiseStream

TILES, OUT, IN = 3, 6, 5
ADC = IOParameters(out_noise=0.0, out_res=1 / 62, out_bound=0.3, out_scale=0.9)
NOISY = IOParameters(out_noise=0.02, w_noise=0.01, w_noise_type=WeightNoiseType.PCM_READ)
RULES = {
    "transfer": (TransferCompound, {"units_in_mbatch": False}),
    "transfer of two lines": (TransferCompound, {"units_in_mbatch": False, "n_reads_per_transfer": 2}),
    "transfer, backwards": (TransferCompound, {"units_in_mbatch": True, "transfer_lr": -2.0}),
    "buffered": (BufferedTransferCompound, {"units_in_mbatch": False, "thres_scale": 0.5}),
    "chopped": (
        ChoppedTransferCompound,
        {"in_chop_prob": 0.5, "in_chop_random": False, "auto_scale": True, "auto_granularity": 4},
    ),
    "chopped, corrected": (
        ChoppedTransferCompound,
        {
            "in_chop_prob": 1.0,
            "out_chop_prob": 1.0,
            "auto_scale": True,
            "correct_gradient_magnitudes": True,
            "forget_buffer": False,
        },
    ),
    "dynamic": (DynamicTransferCompound, {"in_chop_prob": 0.5, "auto_scale": True, "auto_granularity": 20}),
    "dynamic, corrected": (
        DynamicTransferCompound,
        {"in_chop_prob": 0.5, "experimental_correct_accumulation": True, "buffer_cap": 0.06, "momentum": 0.2},
    ),
}


def cells_of(name: str, io: IOParameters, update: UpdateParameters, **device) -> UnitCells:
    compound, settings = RULES[name]
    devices = [
        LinearStepDevice(dw_min=0.01, **device),
        SoftBoundsDevice(dw_min=0.008, **device),
    ]
    settings = {"fast_lr": 0.3, "transfer_forward": io, "transfer_update": update, **settings}
    config = UnitCellRPUConfig(device=compound(unit_cell_devices=devices, **settings), update=update)
    return make_cells(config, TILES, OUT, IN, seed=1)


def learn(cells: UnitCells, batches: tuple[int, ...], tile_of_train=None) -> None:
    rng = torch.Generator().manual_seed(0)
    for step, batch in enumerate(batches):
        x, d = torch.randn(TILES, batch, IN, generator=rng), torch.randn(TILES, batch, OUT, generator=rng)
        cells.update(x, 0.3 * d, 0.2, noise=NoiseStream(0, "step", step), tile_of_train=tile_of_train)


def states(cells: UnitCells) -> dict[str, torch.Tensor]:
    counts = ("pulse_count", "line_pulses", "slots")
    return {
        name: value.double().nan_to_num(9.0)
        for name, value in cells.state_dict().items()
        if not name.endswith(counts)
    }


@pytest.mark.parametrize("name", RULES)
def test_one_call_and_several_give_the_same_numbers(name):
    cells = cells_of(name, NOISY, UpdateParameters(desired_bl=7), write_noise_std=1.0)
    assert cells.at_once is not None
    counted = deepcopy(cells)
    for array in counted.device_arrays().values():
        array.count_pulses()  # who counts goes step by step
    for one in (cells, counted):
        learn(one, (1, 12, 1, 5))
    assert cells.weights().abs().max() > 0
    after, step_by_step = states(cells), states(counted)
    for key, value in after.items():
        assert torch.equal(value, step_by_step[key]), key
    assert cells.periphery.rows_read == counted.periphery.rows_read > 0
    assert all(int(array.line_pulses) > 0 for array in counted.device_arrays().values())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("copies", [None, torch.tensor([1, 0, 1])], ids=["own", "copies"])
def test_the_loops_do_what_the_rules_say_in_torch(name, copies):
    update = UpdateParameters(pulse_type=PulseType.DETERMINISTIC_IMPLICIT, desired_bl=7)
    cells = cells_of(name, ADC, update, dw_min_std=0.0)
    in_torch = deepcopy(cells)
    in_torch.at_once = None
    for one in (cells, in_torch):
        learn(one, (1, 12, 1, 40), copies)
    assert cells.slow().weight.abs().max() > 0.01
    by_torch = states(in_torch)
    for key, value in states(cells).items():
        # Sums of a few hundred float32 numbers below 10, in another order.
        assert float((value - by_torch[key]).abs().max()) <= 1e-5, key


def test_devices_whose_memory_moves_are_found_again():
    cells = cells_of("chopped", NOISY, UpdateParameters())
    learn(cells, (1, 1))
    twin = deepcopy(cells)
    cells.share_memory()
    for one in (cells, twin):
        learn(one, (1, 9))
    mine, others = states(cells), states(twin)
    assert all(torch.equal(mine[key], others[key]) for key in mine)
