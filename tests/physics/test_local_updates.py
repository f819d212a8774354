"""Copies that learn from their own locations and are made equal again: together they are one shared tile.

The mean of C copies moves by (1/C) sum_c C g_c = sum_c g_c, whatever vectors each has seen.
"""

import copy

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import nn

from crossbar import AnalogConv2d, AnalogLinear, TileArray, copies_residual, write_verify_config
from crossbar.learning.synchronisation import synchronise
from devices.pulsed import WriteVerify
from helpers.layers import train


def without_pulses(pulse_type=PulseType.NONE):
    device = ConstantStepDevice(w_max=1.0, w_min=-1.0, w_max_dtod=0.0, w_min_dtod=0.0)
    config = SingleRPUConfig(device=device, update=UpdateParameters(pulse_type=pulse_type))
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.5
    config.mapping.max_input_size, config.mapping.max_output_size = 20, 2  # kernels on several, uneven tiles
    return config


def network(placement, config, seed=0):
    """36 locations on copies, then 16 with the first kernel of the second layer of 27 inputs."""
    torch.manual_seed(seed)
    sizes = (8, 6)
    layers = [
        AnalogConv2d(cin, 3, 3, input_size=size, placement=placement, rpu_config=config)
        for cin, size in zip((1, 3), sizes, strict=True)
    ]
    return nn.Sequential(
        layers[0], nn.Tanh(), layers[1], nn.Tanh(), nn.Flatten(), AnalogLinear(48, 4, rpu_config=config)
    )


def difference(first, second):
    """Largest difference of weights and biases over all layers."""
    pairs = [(first[i].get_weights(), second[i].get_weights()) for i in (0, 2, 5)]
    return max(float((a - b).abs().max()) for one, other in pairs for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("pulse_type", [PulseType.NONE, PulseType.NONE_WITH_DEVICE])
@pytest.mark.parametrize("tiles", [2, 5, 16])
def test_synchronising_every_update_is_time_multiplexing(tiles, pulse_type):
    """16 divides neither 36 nor is divided: copies have 2 or 3 locations; 5 copies have 7 or 8, and 3 or 4."""
    shared = network("time_multiplexed", without_pulses(pulse_type))
    copies = network(f"replicated(tiles={tiles},sync_every=1)", without_pulses(pulse_type))
    start = copy.deepcopy(shared)
    assert difference(shared, copies) < 2**-22  # the mean of equal copies, rounded
    for net in (shared, copies):
        train(net, 5)
    assert difference(shared, copies) < 1e-5
    assert difference(shared, start) > 0.01
    assert copies_residual(copies[0].tile_array).largest == 0


def test_between_synchronisations_the_mean_still_moves_as_one_tile_would():
    """Exactly so for one step; then the copies compute with different weights."""
    shared = network("time_multiplexed", without_pulses())
    copies = network("replicated(tiles=5,sync_every=3)", without_pulses())
    for net in (shared, copies):
        train(net, 1)
    assert difference(shared, copies) < 1e-6
    array = copies[0].tile_array
    assert int(array.in_situ.updates_since_sync) == 1
    assert copies_residual(array).rms > 0.01
    train(copies, 1, first=1)
    assert copies_residual(array).rms > 0.01
    mean = copies[0].get_weights()[0]
    assert int(array.in_situ.updates_since_sync) == 2
    train(copies, 1, first=2, learning_rate=1e-30)
    assert copies_residual(array).largest == 0
    assert int(array.in_situ.updates_since_sync) == 0
    assert torch.allclose(copies[0].get_weights()[0], mean, rtol=0, atol=2**-22)


def pulsed(**device):
    """Devices that differ in nothing but chance; noise-free peripheries."""
    equal = dict.fromkeys(["dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod"], 0.0)
    config = SingleRPUConfig(device=ConstantStepDevice(**{**equal, "w_max": 1.0, "w_min": -1.0, **device}))
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.5
    return config


def test_pulses_move_the_mean_of_copies_as_far_as_one_tile():
    """The gain <dw, g> / <g, g> on the wanted change g has the mean 1, to 5 standard errors of 40 updates.

    (Student's t with 39 degrees of freedom: one false alarm in 80,000.) Copies have 1, 2 and 3 vectors; where x and d
    are largest, up to 31 pulses are wanted, a whole train, and three times as many of the copy that has this vector.
    """
    config, rng = pulsed(dw_min=0.002), torch.Generator().manual_seed(0)
    x, d = torch.rand(3, 3, 10, generator=rng), 0.2 * torch.randn(3, 3, 6, generator=rng)
    x = x * torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1]])[..., None]  # (vectors, copies, in)
    wanted = -0.1 * torch.einsum("vto,vti->oi", d, x)
    gains = []
    for seed in range(40):
        kernel = torch.zeros(3, dtype=torch.long)
        array = TileArray(3, 6, 10, config, kernel_of_tile=kernel, sync_every=2, seed=seed)
        array.set_learning_rate(0.1)
        array.update(x, d)
        moved = array.weight.mean(0)
        gains.append((moved * wanted).sum() / wanted.square().sum())
    assert 10 < 0.1 * (x.amax(2) * d.abs().amax(2)).max() / 0.002 < 31
    gains = torch.stack(gains)
    assert abs(gains.mean() - 1) < 5 * gains.std() / 40**0.5
    assert gains.std() < 0.2


def test_trains_are_longer_by_the_number_of_copies():
    nets = [network(name, pulsed()) for name in ("replicated(tiles=6)", "replicated(tiles=6,sync_every=2)")]
    lengths = [net[0].tile_array.cells.update_parameters.desired_bl for net in nets]
    assert lengths == [31, 186]
    assert nets[1][0].tile_array.rpu_config.update.desired_bl == 31


def written(tolerance, steps, sync_every, read_noise=0.0):
    """Residual right after training, in units of the conductances: (rms, largest) over both layers."""
    net = network(f"replicated(tiles=6,sync_every={sync_every})", pulsed(dw_min=0.001))
    for i in (0, 2):
        net[i].tile_array.in_situ.write_verify = WriteVerify(tolerance=tolerance, read_noise=read_noise)
    train(net, steps)
    weights = [net[i].tile_array.weight for i in (0, 2)]
    differences = torch.cat([(weight - weight.mean(0)).flatten() for weight in weights])
    return float(differences.square().mean().sqrt()), float(differences.abs().max())


@pytest.mark.parametrize("tolerance", [0.005, 0.02])
def test_right_after_a_synchronisation_copies_differ_by_the_tolerance_of_writing(tolerance):
    """Without read noise every copy is within the tolerance of its target, and so of the mean of all within twice it.

    Unless nothing had to be written, errors fill the tolerance: their rms is some tenths of it.
    """
    rms, largest = written(tolerance, 4, 2)
    assert largest <= 2 * tolerance
    assert 0.1 * tolerance < rms < tolerance


def test_copies_part_with_the_number_of_local_updates():
    rms = [written(0.005, steps, 100)[0] for steps in (1, 3, 9)]
    assert rms[0] > 0.005
    assert 1.3 * rms[0] < rms[1]
    assert 1.3 * rms[1] < rms[2]


def test_what_a_synchronisation_takes():
    """By hand: 2 kernels of 4 x 3, with 3 copies and 1; devices of step 0.01 without noise, no read noise.

    Copies at 0, 0.05 and 0.10 in one cell: the mean is 0.05, two devices get 5 pulses each. First all 4 x 3 word
    lines are read, then the two lines that hold an unfinished device, of two tiles.
    """
    kernel = torch.tensor([0, 1, 0, 0])
    config = pulsed(dw_min=0.01, dw_min_std=0.0)
    array = TileArray(4, 4, 3, config, kernel_of_tile=kernel, sync_every=1)
    assert array.in_situ.sync_every == 1
    cells = array.cells
    cells.array.weight[:, 2, 1] = torch.tensor([0.0, 0.5, 0.05, 0.10])
    counts = synchronise(cells, kernel, WriteVerify(read_noise=0.0), noise=array.noise)
    assert torch.allclose(cells.array.weight[:, 2, 1], torch.tensor([0.05, 0.5, 0.05, 0.05]), atol=1e-6)
    assert int((cells.array.weight != 0).sum()) == 4
    write = counts.write
    assert (write.pulses, write.devices, write.unfinished, write.iterations) == (10, 2, 0, 1)
    assert (write.verify_rows, write.serial_rows, write.adc) == (12 + 2, 3 + 1, 14 * 4)
    assert (counts.readback_rows, counts.serial_readback_rows) == (12, 3)
    # A ring for each kernel: 2 (3 - 1) numbers of 2 bytes for each of 12 devices; nothing for the single tile.
    assert (counts.allreduce_bytes, counts.allreduce_adds) == (2 * 2 * 12 * 2, 2 * 12)


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0]])
def test_the_order_of_the_copies_does_not_matter(order):
    states = []
    for index in ([0, 1, 2], order):
        array = TileArray(
            3, 4, 5, pulsed(dw_min_std=0.0), kernel_of_tile=torch.zeros(3, dtype=torch.long), sync_every=1
        )
        weight = 0.3 * torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
        array.cells.array.weight.copy_(weight[index])
        counts = synchronise(
            array.cells, array.kernel_of_tile, WriteVerify(read_noise=0.0), noise=array.noise
        )
        states.append((array.cells.array.weight[torch.tensor(index).argsort()], counts))
    # Devices without noise make whole steps from where they are: rounding of the mean could add or drop none.
    assert torch.allclose(states[0][0], states[1][0], atol=1e-6)
    assert states[0][1] == states[1][1]


def test_copies_that_are_told_to_stay_equal_are_refused_where_they_cannot_be():
    for config in (InferenceRPUConfig(), write_verify_config(pulsed())):
        with pytest.raises(
            ValueError, match="must be 0 unless devices are trained in place by pulses, but is 3"
        ):
            AnalogConv2d(
                1, 2, 3, input_size=8, placement="replicated(tiles=2,sync_every=3)", rpu_config=config
            )
    placement = "replicated(tiles=2,sync_every=3)"
    with pytest.raises(
        ValueError, match="`sync_every` must be 0 on aihwkit's own tiles, but is 3, and `backend`"
    ):
        AnalogConv2d(1, 2, 3, input_size=8, placement=placement, rpu_config=pulsed(), backend="aihwkit")
    layer = AnalogConv2d(1, 2, 3, input_size=8, placement=placement, rpu_config=pulsed())
    with pytest.raises(ValueError, match="`sync_every` must be 0 on aihwkit's own tiles, but is 3"):
        layer.tile_array.use_backend("aihwkit")
    single = AnalogConv2d(
        1,
        2,
        3,
        input_size=8,
        placement="replicated(tiles=1,sync_every=3)",
        rpu_config=pulsed(),
        backend="aihwkit",
    )
    assert single.tile_array.in_situ.sync_every == 0  # one tile is always equal to itself
