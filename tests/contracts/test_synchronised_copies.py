"""Every kind of cell can hold copies that learn locally: they run, become equal, and go on exactly from a copy."""

import copy

import aihwkit.simulator.presets as presets
import pytest
import torch
from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
)
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.enums import PulseType
from torch import nn

from crossbar import (
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    convert_to_analog,
    copies_residual,
    load_model,
    save_model,
    sleep,
    write_verify_config,
)
from crossbar.cost.events import LayerEvents, LayerShape
from crossbar.learning import make_cells
from crossbar.learning.synchronisation import count_synchronisation, rewrite, synchronise
from crossbar.reading.noise import NoiseStream
from devices import get
from devices.pulsed import WriteVerify
from helpers.layers import state, train

CONFIGS = {
    "reram-sb": presets.ReRamSBPreset,
    "vector": presets.ReRamSB2Preset,
    "tiki-taka": presets.TikiTakaReRamSBPreset,
    "ttv2": presets.TTv2ReRamSBPreset,
    "c-ttv2": presets.ChoppedTTv2ReRamSBPreset,
    "agad": presets.AGADReRamSBPreset,
    "mixed-precision": presets.MixedPrecisionReRamSBPreset,
    "pcm": presets.PCMPreset,
}


def network(config, sync_every=3, seed=0):
    torch.manual_seed(seed)
    config.mapping.weight_scaling_omega = 0.5
    config.mapping.max_input_size = 5
    placement = f"replicated(tiles=4,sync_every={sync_every})"
    conv = AnalogLocallyConnected2d(1, 3, 3, 8, placement=placement, rpu_config=config)
    return nn.Sequential(conv, nn.Flatten(), nn.Linear(108, 4))


@pytest.mark.parametrize("name", CONFIGS)
def test_local_updates_run_and_go_on_exactly_in_the_middle_of_a_period(tmp_path, name):
    """After 4 steps with a synchronisation after every 3, from a state dictionary, a deep copy, and a file."""
    net = network(CONFIGS[name]())
    before = net[0].tile_array.weight.clone()
    train(net, 4)
    array = net[0].tile_array
    assert int(array.in_situ.updates_since_sync) == 1
    assert not torch.equal(array.weight, before)
    assert torch.isfinite(array.weight).all()
    loaded, read = network(CONFIGS[name](), seed=1), network(CONFIGS[name](), seed=2)
    loaded.load_state_dict(state(net))
    save_model(net, tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", read)
    nets = [net, copy.deepcopy(net), loaded, read]
    for each in nets:
        train(each, 3, first=4)  # over the synchronisation after step 6
    assert int(array.in_situ.updates_since_sync) == 1
    expected = state(net)
    for each in nets[1:]:
        found = state(each)
        assert expected.keys() == found.keys()
        assert [
            key for key in expected if not torch.equal(expected[key].nan_to_num(), found[key].nan_to_num())
        ] == []


def test_a_new_set_of_weights_begins_a_new_period():
    net = network(presets.ReRamSBPreset())
    train(net, 2)
    assert int(net[0].tile_array.in_situ.updates_since_sync) == 2
    net[0].set_weights(*net[0].get_weights())
    assert int(net[0].tile_array.in_situ.updates_since_sync) == 0


def test_broadcast_copies_keep_no_counter():
    net = network(presets.ReRamSBPreset(), sync_every=0)
    array = net[0].tile_array
    assert not any("updates_since_sync" in name for name in net.state_dict())
    received = []
    array.on_update = lambda x, d, *rest: received.append((x, d))
    train(net, 1)
    x = received[0][0]
    assert x.shape == (8, 6 * 36, 5)  # all copies, on two tiles each, get all vectors
    assert all(torch.equal(x[tile], x[tile % 2]) for tile in range(8))


def test_local_copies_get_the_vectors_of_their_own_locations():
    nets = [network(presets.ReRamSBPreset(), sync_every) for sync_every in (0, 3)]
    received = []
    for net in nets:
        net[0].tile_array.in_situ.backward_io.is_perfect = net[0].tile_array.rpu_config.forward.is_perfect = (
            True
        )
        net[0].tile_array.on_update = lambda x, d, *rest: received.append(torch.einsum("tvo,tvi->toi", d, x))
        train(net, 1)
    broadcast, local = received
    # Four copies: each moves four times as far for its own part, so that the mean is what all received before.
    for part in (0, 1):
        assert torch.allclose(local[part::2].mean(0), broadcast[part], atol=1e-5)
    assert (local[0] - local[2]).abs().max() > 0.01


SETTINGS = WriteVerify(tolerance=0.01, read_noise=0.0)
KERNELS = torch.tensor([0, 1, 0, 0])


def equal_devices(**options):
    step = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0, "dw_min_std": 0.0}
    return ConstantStepDevice(dw_min=0.004, w_max=1.0, w_min=-1.0, **step, **options)


@pytest.mark.parametrize("compound", [ChoppedTransferCompound, DynamicTransferCompound])
@pytest.mark.parametrize("columns", [True, False])
def test_fast_devices_are_averaged_as_the_choppers_see_them(compound, columns):
    """A gradient g is held as the product of g and the signs of both lines; so are its running means."""
    device = compound(unit_cell_devices=[equal_devices(), equal_devices()], transfer_columns=columns)
    cells = make_cells(UnitCellRPUConfig(device=device), 4, 5, 6, seed=0)
    rng = torch.Generator().manual_seed(0)
    for name in ("is_turned", "is_other_turned"):
        getattr(cells.choppers, name).copy_(
            torch.rand(getattr(cells.choppers, name).shape, generator=rng) < 0.5
        )
    first, second = (1 - 2.0 * getattr(cells.choppers, name) for name in ("is_turned", "is_other_turned"))
    x_sign, d_sign = (first, second) if columns else (second, first)
    signs = d_sign[:, :, None] * x_sign[:, None, :]
    memories = {"buffer": torch.ones(4, 5, 6)}
    if compound is DynamicTransferCompound:
        memories |= {"running_mean": signs, "reference": signs}
    gradient = 0.3 * torch.randn(4, 5, 6, generator=rng)
    cells.chain[0].weight.copy_(gradient * signs)
    cells.slow().weight.copy_(gradient)
    for name, seen in memories.items():
        getattr(cells, name).copy_(gradient * seen)
    synchronise(cells, KERNELS, SETTINGS, noise=NoiseStream(0, "test"))
    mean = gradient.clone()
    mean[KERNELS == 0] = gradient[KERNELS == 0].mean(0)
    assert (cells.chain[0].weight * signs - mean).abs().max() <= 0.01 + 1e-6
    assert (cells.slow().weight - mean).abs().max() <= 0.01 + 1e-6
    for name, seen in memories.items():
        assert torch.allclose(getattr(cells, name) * seen, mean, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "memory"),
    [("mixed-precision", "chi"), ("ttv2", "buffer"), ("tiki-taka", None), ("vector", None)],
)
def test_all_devices_and_memories_of_a_compound_become_equal(name, memory):
    cells = make_cells(CONFIGS[name](), 4, 5, 6, seed=0)
    rng = torch.Generator().manual_seed(0)
    values = 0.1 * torch.randn(4, 5, 6, generator=rng)
    for array in cells.device_arrays().values():
        array.weight.copy_(values)
    if memory is not None:
        getattr(cells, memory).copy_(values)
    counts = synchronise(cells, KERNELS, SETTINGS, noise=NoiseStream(0, "test"))
    mean = values.clone()
    mean[KERNELS == 0] = values[KERNELS == 0].mean(0)
    for array in cells.device_arrays().values():
        # Of these devices many cannot be told to stand there: their bounds are closer, or their steps larger.
        assert (array.weight - mean).abs().median() <= 0.01
    if memory is not None:
        assert torch.allclose(getattr(cells, memory).reshape(4, 5, 6), mean, atol=1e-6)
    averaged = len(cells.device_arrays()) + (memory is not None)
    assert counts.allreduce_adds == averaged * 2 * 30
    assert counts.readback_rows == len(cells.device_arrays()) * 4 * 6


def test_pairs_are_written_by_the_weight_that_they_show():
    cells = make_cells(get("pcm").training_config(), 4, 5, 6, seed=0)
    values = 0.3 * torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    noise = NoiseStream(0, "test")
    cells.set_weights(values, noise=noise)
    held = cells.weights().clone()
    counts = synchronise(cells, KERNELS, WriteVerify(), noise=noise)
    mean = held.clone()
    mean[KERNELS == 0] = held[KERNELS == 0].mean(0)
    before, after = (held - mean).square().mean().sqrt(), (cells.weights() - mean).square().mean().sqrt()
    assert after < 0.5 * before
    assert counts.write.pulses > 0
    assert counts.readback_rows == 4 * 6


@pytest.mark.parametrize("is_mixed", [True, False], ids=["mixed-precision", "single"])
def test_weights_that_are_numbers_in_a_memory_are_not_read(is_mixed):
    """With NONE_WITH_DEVICE, whatever rule moves them: a rewrite takes neither pulses nor word lines."""
    device = ConstantStepDevice()
    config = SingleRPUConfig(device=device)
    if is_mixed:
        config = DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=device))
    config.update.pulse_type = PulseType.NONE_WITH_DEVICE
    cells = make_cells(config, 4, 5, 6, seed=0)
    counts = rewrite(cells, lambda seen: seen + 0.01, SETTINGS, noise=NoiseStream(0, "test"))
    assert torch.allclose(cells.weights(), torch.tensor(0.01))
    assert (counts.readback_rows, counts.serial_readback_rows, counts.write.pulses) == (0, 0, 0)


def test_the_ledger_is_told_what_happened():
    net = network(presets.ReRamSBPreset(), sync_every=1)
    array = net[0].tile_array
    shape = LayerShape(in_size=9, out_size=3, tile_shape=(3, 5), in_channels=1, tiles=4, grid=(1, 2))
    array.events = LayerEvents(shape=shape)
    train(net, 2)
    total = array.events.total
    assert total("synchronisations") == 2
    assert total("readback_rows") == 2 * 8 * 5
    # Four copies of 3 x 9 weights take three sums each; what the second tile of five lines has too many is no weight.
    assert total("allreduce_adds") == 2 * 3 * 27
    assert total("allreduce_bytes") == 4 * total("allreduce_adds")
    rows = total("readback_rows") + total("verify_rows")
    assert total("mvms", "synchronisation") == total("dac_conversions", "synchronisation") == rows
    assert total("adc_conversions", "synchronisation") == total("cell_reads", "synchronisation") == 3 * rows
    assert total("programming_pulses") > 0
    assert total("serial_mvms", "synchronisation") == 2 * 5 + total("serial_rows", "synchronisation")
    count_synchronisation(None, None)


@pytest.mark.parametrize("name", ["reram-sb", "mixed-precision", "ttv2", "pcm", "write-verify"])
def test_devices_sleep_too(name):
    torch.manual_seed(0)
    config = (
        write_verify_config(SingleRPUConfig(device=equal_devices()))
        if name == "write-verify"
        else CONFIGS[name]()
    )
    config.mapping.weight_scaling_omega = 0.3
    config.mapping.max_output_size = 2
    digital = LocallyConnected2d(1, 3, 3, 5, placement="free")
    layer = convert_to_analog(digital, config)
    array = layer.tile_array
    array.in_situ.write_verify = WriteVerify(tolerance=0.01)
    before = layer.get_weights()
    sleep(layer, 0.0, seed=0)
    assert torch.equal(layer.get_weights()[0], before[0])
    sleep(layer, 1.0, seed=0)
    weight, bias = layer.get_weights()
    assert torch.allclose(bias, before[1].mean(0).expand(9, -1), atol=1e-6)
    error, spread = weight - before[0].mean(0), before[0] - before[0].mean(0)
    assert error.abs().median() < 0.2 * spread.abs().median()


def test_cells_that_nobody_can_write_say_so():
    layer = AnalogLocallyConnected2d(1, 3, 3, 5, rpu_config=presets.ReRamSB2Preset())
    with pytest.raises(ValueError, match="must be of one device, or one pair"):
        sleep(layer, 1.0, seed=0)


def test_copies_of_a_network_become_equal_with_every_period():
    net = network(presets.ReRamSBPreset(), sync_every=2)
    rms = []
    for step in range(4):
        train(net, 1, first=step)
        rms.append(copies_residual(net[0].tile_array).rms)
    assert rms[1] < rms[0]
    assert rms[3] < rms[2]
