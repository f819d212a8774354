"""Faulty devices stay what they are, and disturb no other: on programmed chips and in devices that learn in place."""

import copy

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from torch import nn

from crossbar import (
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    age_chip,
    break_devices,
    convert_to_analog,
    device_yield,
    load_model,
    program_chip,
    save_model,
    tile_arrays,
)
from crossbar.aihwkit.adapter import PulseType
from devices import Faults, ProgrammedTiles, catalogue, get, program
from devices.aihwkit_adapter import BaseConductanceConverter
from devices.pulsed import WriteVerify, is_faulty, write_verify
from helpers import layers

FAULTS = Faults(stuck_low=0.1, stuck_high=0.1, stuck_random=0.1, dead_rows=0.05, dead_columns=0.05)
PCM = get("pcm").noise_model()
WEIGHTS = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
CONFIG = get("ecram").training_config()
MODELS = [name for name in catalogue("inference") if name != "ideal"]


# Programmed chips


@pytest.mark.parametrize("name", MODELS)
def test_working_devices_are_those_of_a_chip_without_faults(name):
    model = get(name).noise_model()
    whole, broken = program(model, WEIGHTS, seed=7), program(model, WEIGHTS, seed=7, faults=FAULTS)
    # Where single times were measured, there are no others.
    time = getattr(whole.valid_times, "times", (1e3,))[-1]
    for sound, faulty, stuck in zip(
        whole.conductances(time), broken.conductances(time), broken.g_stuck, strict=True
    ):
        works = stuck.isnan()
        assert works.any()
        assert not works.all()
        assert faulty[works].equal(sound[works])
        assert faulty[~works].equal(stuck[~works].to(faulty))


def test_faulty_devices_hold_their_conductance():
    """Not written, not drifting, not noisy, whatever was asked for."""
    low, high = PCM.g_converter.g_min, PCM.g_converter.g_max
    one = program(PCM, WEIGHTS, seed=7, faults=FAULTS)
    other = program(PCM, -WEIGHTS, seed=7, faults=FAULTS)
    for position, stuck in enumerate(one.g_stuck):
        fails = ~stuck.isnan()
        held = stuck[fails]
        assert ((held == 0) | ((held >= low) & (held <= high))).all()
        assert (held == high).any()
        assert ((held > low) & (held < high)).any()
        for tiles in (one, other):
            for time in (1.0, 1e3, 1e7):
                assert tiles.conductances(time)[position][fails].equal(held)


def test_absent_devices_cannot_fail():
    exists = torch.rand(WEIGHTS.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    tiles = program(PCM, WEIGHTS, seed=7, populated=exists, faults=Faults(stuck_high=1.0))
    assert tiles.faulty_and_existing() == (2 * int(exists.sum()), 2 * int(exists.sum()))
    for g in tiles.conductances(1.0):
        assert (g[~exists] == 0).all()
        assert (g[exists] == PCM.g_converter.g_max).all()


def test_state_of_a_chip_keeps_its_faults():
    tiles = program(PCM, WEIGHTS, seed=7, faults=FAULTS)
    again = ProgrammedTiles.from_state(PCM, tiles.state())
    assert again.faulty_and_existing() == tiles.faulty_and_existing()
    assert again.drifted_weights(1e4).equal(tiles.drifted_weights(1e4))


def test_a_converter_without_bounds_is_refused():
    class OwnConverter(BaseConductanceConverter):
        def convert_to_conductances(self, weights):
            return [weights.clamp(min=0) * 25, (-weights).clamp(min=0) * 25], {}

        def convert_back_to_weights(self, conductances, params):
            return (conductances[0] - conductances[1]) / 25

    model = get("pcm").noise_model()
    model.g_converter = OwnConverter()
    program(model, WEIGHTS, seed=7)
    with pytest.raises(
        ValueError, match="`noise_model` must have a converter that states `g_min` and `g_max`"
    ):
        program(model, WEIGHTS, seed=7, faults=FAULTS)


def perfect_config():
    """Read out without any noise, so that currents can be added up by hand."""
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    return config


def test_currents_add_up_to_those_of_the_devices():
    """Kirchhoff, from the conductances of a chip on which no device works, so that none has noise."""
    torch.manual_seed(0)
    analog = convert_to_analog(nn.Sequential(nn.Linear(30, 20, bias=False)), perfect_config()).eval()
    program_chip(analog, PCM, seed=3, faults=Faults(stuck_random=1.0, dead_rows=0.1, dead_columns=0.1))
    age_chip(analog, 1e6, seed=0)
    assert device_yield(analog) == 0
    ((_, array),) = tile_arrays(analog)
    plus, minus = (stuck[0].double() for stuck in array.programmed.g_stuck)
    assert (plus == 0).all(dim=0).equal((minus == 0).all(dim=0))  # word lines in common
    weight = (plus - minus) * array.programmed.target_weights.abs().max() / PCM.g_converter.g_max
    x = torch.rand(50, 30)
    by_hand = x.double() @ weight.T * array.scales()[0]
    # 30 products and sums in float32, of at most 1 each
    tolerance = 60 * torch.finfo(torch.float32).eps * float(array.scales().max())
    assert (analog(x) - by_hand).abs().max() < tolerance
    assert by_hand.std() > 1e3 * tolerance


def test_a_saved_model_keeps_the_faults_of_its_chip(tmp_path):
    def make():
        torch.manual_seed(0)
        return convert_to_analog(
            nn.Sequential(LocallyConnected2d(1, 2, 3, 8), nn.Flatten(), nn.Linear(72, 4)), perfect_config()
        ).eval()

    analog, again = make(), make()
    program_chip(analog, PCM, seed=3, faults=FAULTS)
    save_model(analog, tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", again)
    for net in (analog, again):
        age_chip(net, 1e5, seed=0)
    assert device_yield(again) == device_yield(analog) < 0.8
    assert again(X).equal(analog(X))


# Devices that learn in place


def learning(name, faults=FAULTS, engine="auto", backend="batched"):
    torch.manual_seed(0)
    config = get(name).training_config()
    conv = LocallyConnected2d(1, 3, 3, 8)
    digital = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.Linear(108, 4))
    net = convert_to_analog(digital, config, backend=backend, faults=faults)
    for _, array in tile_arrays(net):
        array.in_situ.engine = engine
    return net


def train(net, steps=3, first=0):
    layers.train(net, steps, first, learning_rate=0.5, images=X)


def arrays_of(net):
    return {
        (layer, role): devices
        for layer, array in tile_arrays(net)
        for role, devices in array.in_situ.cells.device_arrays().items()
    }


CASES = [
    *((name, "aggregated") for name in ("ecram", "reram-es", "pcm", "capacitor", "ttv2-reram-sb")),
    *((name, "exact") for name in ("ecram", "reram-es", "capacitor")),
]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_no_pulse_moves_a_faulty_device(name, engine):
    """In both engines, with decay, diffusion, resets and write noise where the device has them; the others learn."""
    net = learning(name, engine=engine)
    before = {key: (is_faulty(array), array.weight.clone()) for key, array in arrays_of(net).items()}
    train(net)
    moved = 0
    for key, array in arrays_of(net).items():
        fails, weight = before[key]
        assert fails.any()
        assert not fails.all()
        assert array.weight[fails].equal(weight[fails])
        moved += int((array.weight[~fails] != weight[~fails]).sum())
    assert moved > 100


@pytest.mark.parametrize("name", ["ecram", "reram-es", "capacitor"])
def test_no_pulse_of_aihwkit_moves_a_faulty_device(name):
    """aihwkit's C++ tiles take over our devices, and find them as stuck as we do; the others learn."""
    net = learning(name, backend="aihwkit")
    before = {key: (is_faulty(array), array.weight.clone()) for key, array in arrays_of(net).items()}
    train(net)
    for key, array in arrays_of(net).items():
        fails, weight = before[key]
        assert fails.any()
        assert array.weight[fails].equal(weight[fails])
        assert (array.weight[~fails] != weight[~fails]).sum() > 20


def test_where_devices_are_stuck():
    sound, broken = learning("ecram", faults=None), learning("ecram")
    for key, array in arrays_of(broken).items():
        whole = arrays_of(sound)[key]
        stays = is_faulty(array)
        assert array.stuck.equal(stays)
        weight = array.weight[stays]
        low, high = whole.min_bound[stays], whole.max_bound[stays]
        inside = (weight >= low - 1e-6) & (weight <= high + 1e-6)
        assert (inside | (weight == 0)).all()
        assert (weight == low).any()
        assert (weight == high).any()
        for values in ("weight", "max_bound", "min_bound", "scale_up", "scale_down"):
            assert getattr(array, values)[~stays].equal(getattr(whole, values)[~stays])


def test_faults_belong_to_the_state_of_a_model_that_learns(tmp_path):
    """Saved in the middle and loaded into a model whose devices failed otherwise: it goes on the same."""
    net, again = learning("ecram"), learning("ecram", faults=Faults(stuck_high=0.5))
    other = copy.deepcopy(net)
    train(net)
    save_model(net, tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", again)
    train(other)
    for each in (net, again, other):
        train(each, first=3)
    for each in (again, other):
        assert device_yield(each) == device_yield(net) < 0.8
        for name, tensor in net.state_dict().items():
            assert each.state_dict()[name].equal(tensor), name


def test_stuck_cells_do_not_drift_after_the_training():
    net = learning("pcm", faults=Faults(stuck_high=1.0))
    program_chip(net, PCM, seed=0)
    for _, array in tile_arrays(net):
        assert array.programmed.drifted_weights(1e7).equal(array.programmed.drifted_weights(1.0))


def test_write_verify_gives_up_on_stuck_devices():
    net = learning("ecram", faults=Faults(stuck_low=0.2))
    array = arrays_of(net)[next(iter(arrays_of(net)))]
    fails, weight = is_faulty(array), array.weight.clone()
    settings = WriteVerify(max_iterations=5)
    rng = torch.Generator().manual_seed(0)
    counts = write_verify(array, torch.zeros(array.shape), settings, rng=rng)
    assert counts.iterations == settings.max_iterations
    assert counts.unfinished >= int(fails.sum()) > 0
    assert array.weight[fails].equal(weight[fails])


def test_what_is_refused():
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="`model` must have devices that are trained in place, but has none"):
        convert_to_analog(dense, InferenceRPUConfig(), faults=FAULTS)
    taken_over = convert_to_analog(dense, get("ecram").training_config(), backend="aihwkit")
    with pytest.raises(ValueError, match="`faults` must be given before aihwkit's own tiles take over"):
        break_devices(taken_over, FAULTS)
    config = get("ecram").training_config()
    config.update.pulse_type = PulseType.NONE
    with pytest.raises(ValueError, match="`faults` must be left out without pulses"):
        convert_to_analog(dense, config, faults=FAULTS)
    net = learning("pcm")
    with pytest.raises(ValueError, match="`faults` must be None for devices that were trained in place"):
        program_chip(net, PCM, seed=0, faults=FAULTS)
    with pytest.raises(ValueError, match="`model` must hold devices, but is not programmed"):
        device_yield(convert_to_analog(dense, InferenceRPUConfig()))


def test_a_local_layer_with_faults_keeps_its_class():
    assert isinstance(learning("ecram")[0], AnalogLocallyConnected2d)


def test_every_chip_has_faults_of_its_own():
    def faults_of_chip(seed):
        torch.manual_seed(seed)
        digital = nn.Sequential(nn.Linear(30, 20), nn.Linear(30, 20))
        return [
            is_faulty(array)
            for array in arrays_of(convert_to_analog(digital, CONFIG, faults=FAULTS)).values()
        ]

    one, same, other = faults_of_chip(0), faults_of_chip(0), faults_of_chip(1)
    assert all(map(torch.equal, one, same))
    assert not any(map(torch.equal, one, other))
    assert not one[0].equal(one[1])  # layers differ, too
