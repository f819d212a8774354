"""What work takes in between is bounded, and no number depends on it: writing, ageing, reading, fabrication."""

import pytest
import torch

from crossbar import AnalogLocallyConnected2d, TileArray, age_chip, bounded_memory, program_chip
from crossbar.aihwkit.adapter import (
    GlobalDriftCompensation,
    InferenceRPUConfig,
    PerColumnDriftCompensation,
    StandardHWATrainingPreset,
    WeightModifierType,
)
from devices import Faults, get, program
from devices.pulsed import fabricate
from devices.working_memory import bytes_of, divided, parts_of_at_most
from helpers.memory import most_bytes

TILES, OUT, IN = 70, 6, 9
MODELS = ["pcm", "pcm-hermes", "pcm-hermes-single", "reram-wan2022", "reram-cmo", "pcm-custom-drift"]


def weights(tiles=TILES):
    return torch.rand(tiles, OUT, IN, generator=torch.Generator().manual_seed(0)) - 0.5


def life(name, faults=None):
    """Return all that a chip tells of itself."""
    chip = program(get(name).noise_model(), weights(), seed=3, faults=faults)
    time = 3600.0 if name != "reram-wan2022" else 86400.0
    read = chip.read_weights(time, rng=torch.Generator().manual_seed(5))
    kept = [values for values in chip.drawn if values is not None]
    found = [*chip.state().values(), *kept, *chip.conductances(time), chip.drifted_weights(time), read]
    return [torch.nan_to_num(values, nan=-1.0) for values in (*found, *chip.g_target)]  # NaN: it works


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("faults", [None, Faults(stuck_low=0.1, dead_rows=0.1)])
def test_a_chip_is_the_same_however_many_tiles_are_written_at_a_time(name, faults):
    with parts_of_at_most(2**40):
        whole = life(name, faults)
    with parts_of_at_most(1):
        parts = life(name, faults)
    assert all(map(torch.equal, whole, parts))
    assert len(whole) == len(parts)


def test_exponents_that_are_drawn_again_are_those_that_were_drawn():
    chip = program(get("pcm").noise_model(), weights(700), seed=3)
    with bounded_memory("256KiB"):
        small = program(get("pcm").noise_model(), weights(700), seed=3)
        assert small._drawn is None
        assert chip._drawn is not None
        again = small.read_weights(1e6, rng=torch.Generator().manual_seed(5))
        assert all(map(torch.equal, small.drawn, chip.drawn))
    assert torch.equal(again, chip.read_weights(1e6, rng=torch.Generator().manual_seed(5)))
    assert all(torch.equal(values, chip.state()[name]) for name, values in small.state().items())


@pytest.mark.parametrize("device", ["ReRamESPresetDevice", "EcRamPresetDevice", "PowStepReferenceDevice"])
def test_devices_are_the_same_however_many_are_made_at_a_time(device):
    from aihwkit.simulator import presets

    from devices import aihwkit_adapter

    made = getattr(presets, device, None) or getattr(aihwkit_adapter, device)
    with parts_of_at_most(2**40):
        whole = fabricate(made(), TILES, OUT, IN, seed=1).state_dict()
    with parts_of_at_most(1):
        parts = fabricate(made(), TILES, OUT, IN, seed=1).state_dict()
    for name, values in whole.items():
        assert torch.equal(values, parts[name]), name


def modified(kind):
    config = StandardHWATrainingPreset()
    config.modifier.type, config.modifier.std_dev, config.modifier.res = kind, 0.1, 0.05
    return config


@pytest.mark.parametrize("compensation", [None, GlobalDriftCompensation, PerColumnDriftCompensation])
@pytest.mark.parametrize("kind", [WeightModifierType.ADD_NORMAL, WeightModifierType.DISCRETIZE_ADD_NORMAL])
def test_a_network_is_the_same_with_any_bound(compensation, kind):
    def numbers():
        config = modified(kind)
        config.noise_model = get("pcm").noise_model()
        config.drift_compensation = None if compensation is None else compensation()
        array = TileArray(TILES, OUT, IN, config, seed=1)
        array.set_kernels(weights())
        x = torch.rand(TILES, 3, IN, generator=torch.Generator().manual_seed(2))
        y = array.train()(x)
        y.square().sum().backward()
        with torch.no_grad():
            array.weight -= 0.1 * array.weight.grad
        array.eval()
        array.program(seed=4)
        array.at(86400.0, seed=5)
        found = [y.detach(), array.weight.detach(), array(x).detach(), array.reading.weight]
        return found if compensation is None else [*found, array.reading.factor, array.reading.baseline]

    with parts_of_at_most(2**40):
        whole = numbers()
    with parts_of_at_most(1):
        parts = numbers()
    assert all(map(torch.equal, whole, parts))


def test_the_copy_that_tells_whether_weights_changed_is_what_the_chip_was_asked_to_hold():
    array = TileArray(TILES, OUT, IN, StandardHWATrainingPreset())
    array.set_kernels(weights())
    array.eval()
    array.program(get("pcm").noise_model(), seed=0)
    kept, asked = array.trained.settled.kept, array.programmed.target_weights
    assert kept.data_ptr() == asked.data_ptr()
    before, chip = asked.clone(), array.programmed
    with torch.no_grad():
        array.weight.mul_(0.5)
    with pytest.warns(UserWarning, match="the chip is forgotten"):
        array.settle()
    assert torch.equal(chip.target_weights, before)  # the chip of before is left as it was
    assert array.trained.settled.kept.data_ptr() != before.data_ptr()


def test_a_chip_whose_write_is_refused_is_still_there():
    array = TileArray(TILES, OUT, IN, StandardHWATrainingPreset()).eval()
    array.set_kernels(weights())
    array.program(get("pcm").noise_model(), seed=0)
    with pytest.raises(TypeError, match="must be an aihwkit noise model"):
        array.program("pcm")
    array.settle()
    assert array.is_programmed


def test_writing_and_ageing_take_no_more_than_the_bound_beside_what_stays():
    tiles, budget = 4000, 2**19
    target = weights(tiles)
    with bounded_memory(budget):
        program(get("pcm").noise_model(), target[:500], seed=0)  # what libraries keep from their first use
        chips = []
        made = most_bytes(lambda: chips.append(program(get("pcm").noise_model(), target, seed=0)))
        read = most_bytes(lambda: chips[0].read_weights(3600.0, rng=torch.Generator().manual_seed(0)))
    assert chips[0]._drawn is None
    assert made <= 3 * target.nbytes + budget  # what was asked for, and what two devices hold
    assert read <= target.nbytes + budget


def test_what_cannot_be_divided_so_far_is_refused():
    with (
        bounded_memory("1KiB"),
        pytest.raises(ValueError, match=r"`memory` must be at least 0.0\d+ MiB here"),
    ):
        program(get("pcm").noise_model(), weights(), seed=0)
    layer = AnalogLocallyConnected2d(1, 8, 3, 12, rpu_config=InferenceRPUConfig()).eval()
    with bounded_memory(100), pytest.raises(ValueError, match="give fewer images at a time"):
        layer(torch.rand(4, 1, 12, 12))


@pytest.mark.parametrize("size", ["2GB", "-1MiB", "", "0", 0, "much"])
def test_memory_is_given_in_units_that_exist(size):
    with pytest.raises(ValueError, match="`memory` must be a positive number of bytes, KiB, MiB or GiB"):
        bytes_of(size)


def test_a_layer_that_is_little_is_not_divided():
    assert len(divided(64, 2**10)) == 1
    with bounded_memory("32KiB"):
        assert len(divided(64, 2**10)) == 2


def test_a_model_of_chips_may_be_programmed_within_a_bound():
    def factor():
        layer = AnalogLocallyConnected2d(1, 8, 3, 22, rpu_config=get("pcm").rpu_config(), seed=0).eval()
        program_chip(layer, seed=0, compensation="global")
        age_chip(layer, "1d", seed=0)
        return layer.tile_array.reading.factor

    torch.manual_seed(0)
    free = factor()
    torch.manual_seed(0)
    with bounded_memory("512KiB"):
        assert torch.equal(factor(), free)
