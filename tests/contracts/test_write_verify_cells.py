"""Cells that are written to digital targets: they train on every placement, go on exactly, and count what they do."""

import copy
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.configs.utils import PulseType
from torch import Tensor, nn

from crossbar import (
    AnalogLinear,
    LocallyConnected2d,
    NoiseStream,
    convert_to_analog,
    load_model,
    save_model,
    write_verify_config,
)
from crossbar.learning import OneSidedCells, SingleCells, WriteVerifyCells, make_cells
from crossbar.learning.write_verify_config import WriteVerifyRPUConfig
from crossbar.tiles.configuration import is_in_situ
from devices import get
from devices.pulsed import WriteCounts, WriteVerify
from helpers.layers import CLASSES, IMAGES, PLACEMENTS, network, train

TILES, OUT, IN = 4, 6, 7


def noise(*names: str | int) -> NoiseStream:
    return NoiseStream(0, "test", *names)


def config_of(name: str, **settings: Any) -> WriteVerifyRPUConfig:
    return write_verify_config(get(name).training_config(), **settings)


def cells_of(layer: Any) -> WriteVerifyCells:
    cells = layer.tile_array.cells
    assert isinstance(cells, WriteVerifyCells)
    return cells


@pytest.mark.parametrize(
    ("placement", "name"),
    [*((placement, "ecram") for placement in PLACEMENTS), ("replicated(tiles=4)", "pcm")],
)
def test_every_placement_learns_and_copies_have_one_target(placement: str, name: str) -> None:
    net = network(config_of(name), placement)
    assert is_in_situ(net[0].tile_array.rpu_config)
    losses = train(net, 30)
    # Over six seeds 0.52 to 0.61, redrawn tiles 0.83 to 0.91; a single loss after ten steps: up to 1.02.
    assert sum(losses[-5:]) / 5 < 0.95 * losses[0]
    for layer in (net[0], net[3]):
        cells = cells_of(layer)
        assert cells.last_write is not None
        assert 0 < cells.last_write.pulses < cells.writes_total.pulses
        kernels = layer.tile_array.kernel_of_tile
        for kernel in [] if kernels is None else kernels.unique():
            targets = cells.target[kernels == kernel]
            assert torch.equal(targets, targets[:1].expand_as(targets))


@pytest.mark.parametrize("placement", [*PLACEMENTS[:5], "interleaved(period=2)"])
def test_weights_that_are_written_exactly_are_those_of_digital_training(placement: str) -> None:
    """Numbers instead of devices and a perfect periphery: torch's SGD, up to 1e-5 for sums in other orders."""
    config = config_of("idealized")
    config.update.pulse_type = PulseType.NONE
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.5
    torch.manual_seed(0)
    local = LocallyConnected2d(1, 3, 3, 8, placement=placement)
    digital = nn.Sequential(local, nn.Tanh(), nn.Flatten(), nn.Linear(108, 4))
    analog = convert_to_analog(digital, config)
    before = digital[0].weight.detach().clone()
    optimizer = torch.optim.SGD(digital.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(digital(IMAGES), CLASSES).backward()
        optimizer.step()
    train(analog, 5)
    for number in (0, 3):
        weight, bias = analog[number].get_weights()
        assert (weight - digital[number].weight).abs().max() < 1e-5
        assert (bias - digital[number].bias).abs().max() < 1e-5
        assert cells_of(analog[number]).writes_total == WriteCounts()
    assert (digital[0].weight - before).abs().max() > 1e-3


def gradients(trains: int, batch: int = 5) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    return torch.randn(trains, batch, IN, generator=rng), torch.randn(trains, batch, OUT, generator=rng)


@pytest.mark.parametrize("tile_of_train", [None, torch.tensor([0, 1, 0, 0])])
def test_the_gradient_is_the_sum_of_outer_products(tile_of_train: Tensor | None) -> None:
    cells = make_cells(config_of("ecram"), TILES, OUT, IN, seed=0)
    assert isinstance(cells, WriteVerifyCells)
    x, d = gradients(TILES if tile_of_train is None else 2)
    cells.update(x, d, 0.01, noise=noise(), tile_of_train=tile_of_train)
    whose = range(TILES) if tile_of_train is None else tile_of_train
    for tile, train_index in enumerate(whose):
        expected = -0.01 * sum(
            torch.outer(one_d, one_x) for one_x, one_d in zip(x[train_index], d[train_index], strict=True)
        )
        # Float32 sums of five products below 10, times 0.01.
        assert (cells.target[tile] - expected).abs().max() < 1e-7 * 5
    assert cells.last_write is not None
    error = (cells.weights() - cells.target).abs()
    assert int((error > 0.02 + 5.5 * 0.005).sum()) <= cells.last_write.unfinished


def test_writes_happen_every_so_many_batches_and_not_without_a_rate() -> None:
    cells = make_cells(config_of("ecram", write_every=3), TILES, OUT, IN, seed=0)
    assert isinstance(cells, WriteVerifyCells)
    x, d = gradients(TILES)
    writes = []
    for number in range(7):
        before = cells.writes_total
        cells.update(x, d, 0.01, noise=noise(number))
        writes.append(cells.writes_total != before)
        cells.update(x, d, 0.0, noise=noise(number, "nothing"))
    assert writes == [False, False, True, False, False, True, False]
    assert (cells.target - cells.weights()).abs().max() > 0.02


def test_targets_stay_where_nominal_devices_reach() -> None:
    for name, lowest, highest in (("idealized", -1.0, 1.0), ("pcm", -2.0, 2.0)):
        cells = make_cells(config_of(name), TILES, OUT, IN, seed=0)
        assert isinstance(cells, WriteVerifyCells)
        x, d = gradients(TILES)
        cells.update(x, d, 10.0, noise=noise())
        assert cells.target.min() == lowest
        assert cells.target.max() == highest


@pytest.mark.parametrize("name", ["ecram", "pcm", "reram-sb"])
def test_training_goes_on_exactly_from_a_copy_or_a_file(name: str, tmp_path: Any) -> None:
    config = config_of(name, write_every=2)
    net = network(config, "replicated(tiles=4)")
    train(net, 3)
    twin = copy.deepcopy(net)
    save_model(net, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", network(config, "replicated(tiles=4)", seed=1))
    for one in (net, twin, loaded):
        train(one, 3, first=3)
    state = net.state_dict()
    for other in (twin, loaded):
        others = other.state_dict()
        assert state.keys() == others.keys()
        assert [
            key for key in state if not torch.equal(state[key].nan_to_num(), others[key].nan_to_num())
        ] == []
    assert cells_of(net[0]).writes_total == cells_of(loaded[0]).writes_total


def test_pairs_are_written_up_and_down_again_and_again() -> None:
    """Without refreshes they would fill up and stay."""
    cells = make_cells(get("pcm").training_config(), 8, 32, 32, seed=0)
    assert isinstance(cells, OneSidedCells)
    for array in cells.device_arrays().values():
        array.count_pulses()
    rng = torch.Generator().manual_seed(0)
    target = 0.2 * torch.randn(8, 32, 32, generator=rng)
    settings = WriteVerify()
    pulses = 0
    for write in range(12):
        counts = cells.write(target, settings, noise=noise(write))
        pulses += counts.pulses
        error = (cells.weights() - target).abs()
        assert counts.unfinished < 0.09 * target.numel(), write  # 8,192 pairs: sampling errs by 0.3 %
        assert int((error > 0.02 + 5.5 * 0.005).sum()) <= counts.unfinished
        target = -target
    assert int(cells.refreshes.sum()) > 0
    assert pulses == sum(int(array.pulses().sum()) for array in cells.device_arrays().values())
    cells.cell.refresh_every = 0
    before = cells.refreshes.clone()
    for write in range(12, 20):
        counts = cells.write(target, settings, noise=noise(write))
        target = -target
    assert torch.equal(cells.refreshes, before)
    assert counts.unfinished > 0.2 * target.numel()


def test_a_full_pair_is_refreshed_and_costs_two_more_reads_and_pulses() -> None:
    cells = make_cells(get("pcm").training_config(), 1, 2, 3, seed=0)
    assert isinstance(cells, OneSidedCells)
    for array in (cells.plus, cells.minus):
        array.max_bound.fill_(2.0)
        array.hidden_weight[0, 1, 2] = 1.6
    cells.minus.weight[0, 1, 2] = 1.5
    target = cells.weights().clone()
    target[0, 1, 2] = 0.0
    settings = WriteVerify(tolerance=0.05, read_noise=0.0)
    counts = cells.write(target, settings, noise=noise())
    assert cells.refreshes.tolist() == [1]
    # Both devices come back to about 0.01, which is within the tolerance of 0.
    assert counts == WriteCounts(
        pulses=2, verify_rows=3 + 1 + 2, serial_rows=6, adc=12, devices=1, unfinished=0, iterations=1,
        refreshed=1, refresh_pulses=2, refresh_rows=2, refresh_serial_rows=2,
    )  # fmt: skip
    assert cells.plus.weight[0, 1, 2] < 0.2


@pytest.mark.parametrize(
    ("name", "device", "cells_class"),
    [
        ("ecram", "EcRamPresetDevice", SingleCells),
        ("pcm", "PCMPresetUnitCell", OneSidedCells),
        ("reram-sb-2", "ReRamSBPresetDevice", SingleCells),
        ("tiki-taka-reram-sb", "ReRamSBPresetDevice", SingleCells),
        ("agad-ecram", "EcRamPresetDevice", SingleCells),
        ("mixed-precision-ecram", "EcRamPresetDevice", SingleCells),
        ("mixed-precision-pcm", "PCMPresetUnitCell", OneSidedCells),
    ],
)
def test_what_remains_of_a_compound(name: str, device: str, cells_class: type) -> None:
    config = config_of(name, settings=WriteVerify(tolerance=0.1), write_every=4)
    assert type(config.device).__name__ == device
    cells = make_cells(config, 1, 2, 3, seed=0)
    assert isinstance(cells, WriteVerifyCells)
    assert isinstance(cells.cells, cells_class)
    assert cells.settings == WriteVerify(tolerance=0.1)
    assert cells.write_every == 4


def test_reads_back_are_noisy_and_those_of_numbers_are_not() -> None:
    cells = make_cells(get("ecram").training_config(), 10, 30, 40, seed=0)
    read = cells.read_back(WriteVerify(read_noise=0.01), noise=noise())
    # 12,000 draws: the spread is known to 0.65 %, five of these.
    assert 0.967 < float((read - cells.weights()).std()) / 0.01 < 1.033
    config = get("ecram").training_config()
    config.update.pulse_type = PulseType.NONE
    numbers = make_cells(config, 1, 2, 3, seed=0)
    target = torch.full((1, 2, 3), 7.0)
    assert numbers.write(target, WriteVerify(), noise=noise()) == WriteCounts()
    assert torch.equal(numbers.read_back(WriteVerify(), noise=noise()), target)


def test_what_cannot_be_written_is_refused() -> None:
    compound = make_cells(get("tiki-taka-reram-sb").training_config(), 1, 2, 3, seed=0)
    with pytest.raises(ValueError, match=r"`cells` must be of one device, or one pair, .* but are Transfer"):
        compound.write(torch.zeros(1, 2, 3), WriteVerify(), noise=noise())
    with pytest.raises(ValueError, match="`write_every` must be at least 1, but is 0"):
        config_of("ecram", write_every=0)
    wrong = config_of("ecram")
    wrong.device = get("tiki-taka-reram-sb").training_config().device
    with pytest.raises(ValueError, match=r"`device` must be a plain device .* but is a TransferCompound"):
        make_cells(wrong, 1, 2, 3, seed=0)
    layer = AnalogLinear(3, 2, rpu_config=WriteVerifyRPUConfig(device=ConstantStepDevice()))
    with pytest.raises(
        ValueError, match=r"`rpu_config` must train by pulses .* but is a WriteVerifyRPUConfig"
    ):
        layer.tile_array.use_backend("aihwkit")
