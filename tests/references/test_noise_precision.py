"""Products in bfloat16 that only noise and voltage drops follow from: their law, real tiles, and where they serve."""

import copy
import math
import pickle

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType, WeightNoiseType
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.tiles.inference import InferenceTile

from crossbar import AnalogLinear, tile_arrays, use_noise_precision
from crossbar.reading.mvm import Periphery, analog_mvm, moments
from crossbar.reading.mvm.currents import bit_line_currents
from crossbar.reading.noise import NoiseStream
from devices.working_memory import parts_of_at_most

Z = 4.9  # two-sided, one false alarm in a million
READS = 20_000
TABLE = 32_768  # normal numbers that an aihwkit tile draws from
UNIT = 2.0**-8  # of bfloat16's rounding: half of the distance of two neighbours at one
# |w|, v² and their sum are rounded once each; a standard deviation moves by half of what a variance does.
STD_BOUND = (1 + UNIT) ** 1.5 - 1
SIZES = (2, 8, 160)  # tiles, outputs, inputs


@pytest.fixture(autouse=True)
def on_any_processor(monkeypatch):
    """Torch computes the same with bfloat16 numbers, slowly, where the processor cannot."""
    monkeypatch.setattr(moments, "multiplies_short_numbers", lambda: True)


def io_with(**changes):
    off = {
        "out_noise": 0.0,
        "inp_res": -1.0,
        "out_res": -1.0,
        "noise_management": NoiseManagementType.NONE,
        "bound_management": BoundManagementType.NONE,
    }
    return IOParameters(**{**off, **changes})


NOISY = {"w_noise": 0.1, "w_noise_type": WeightNoiseType.PCM_READ}
DROPS = {"ir_drop": 1.0, "ir_drop_g_ratio": 2_000.0}


def weights_and_voltages(batch=64):
    rng = torch.Generator().manual_seed(0)
    tiles, outputs, inputs = SIZES
    weight = torch.randn(tiles, outputs, inputs, generator=rng).clamp(-3, 3) / 3
    return weight, torch.rand(tiles, batch, inputs, generator=rng) * 2 - 1


def periphery_of(io, precision="bfloat16"):
    periphery = Periphery(io, *SIZES, rng=torch.Generator().manual_seed(0))
    periphery.noise_precision = precision
    return periphery


def short_currents(io, weight, v):
    stages = periphery_of(io).of(slice(0, len(weight)))
    assert isinstance(moments.moments_of(weight, v, io, stages), moments.ShortMoments)
    return bit_line_currents(weight, v, io, stages)


@pytest.mark.parametrize("flipped", [False, True])
def test_numbers_are_rounded_as_torch_rounds_them(flipped):
    values = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1))
    values[0, 0, :4] = torch.tensor([1 + UNIT, 1 + 3 * UNIT, -1 - UNIT, 0.0])  # ties, to even both ways
    values = values.transpose(1, 2) if flipped else values
    rows = moments.as_rows(values)
    short = [torch.empty_like(values, dtype=torch.bfloat16) for _ in range(3)]
    moments.shorten_voltages(rows[0], *map(moments._bits, short))
    for mine, exact in zip(short, (values, values.abs(), values * values), strict=True):
        assert torch.equal(mine, exact.bfloat16())
    weight, shares = values.contiguous(), torch.rand(values.shape[2])
    short = [torch.empty_like(weight, dtype=torch.bfloat16) for _ in range(2)]
    moments.shorten_weights(moments.as_rows(weight)[0], shares.numpy(), *map(moments._bits, short))
    assert torch.equal(short[0], (weight * shares).bfloat16())
    assert torch.equal(short[1], weight.abs().bfloat16())


def test_the_spread_of_read_noise_keeps_its_law():
    weight, v = weights_and_voltages()
    _, variance = short_currents(io_with(**NOISY), weight, v)
    law = 0.01 * torch.bmm(v.double().square(), weight.double().abs().transpose(1, 2))
    ratio = (variance.double() / law).sqrt() - 1
    assert ratio.abs().max() < STD_BOUND
    assert ratio.std() > UNIT / 20  # it is rounded


def test_voltage_drops_are_off_by_no_more_than_their_rounding():
    weight, v = weights_and_voltages()
    y, _ = short_currents(io_with(**NOISY, **DROPS), weight, v)
    stages = periphery_of(io_with(**NOISY, **DROPS), "float32").of(slice(0, 2))
    exact, _ = bit_line_currents(weight, v, io_with(**NOISY, **DROPS), stages)
    currents = torch.bmm(v, weight.transpose(1, 2))
    # The drop is a cubic of sum |w| |v|, whose relative slope is at most one, times sum w v s: three roundings each.
    factor = (currents - exact).abs() / torch.bmm(v, (weight * moments._shares(v)).transpose(1, 2)).abs()
    most = torch.bmm(v.abs(), weight.abs().transpose(1, 2)) * factor
    assert ((y - exact).abs() <= (1 + UNIT) ** 6 * most - most + 1e-6).all()
    assert not torch.equal(y, exact)


def test_reads_scatter_as_those_of_real_tiles():
    io = io_with(**NOISY, **DROPS, out_noise=0.05)
    weight, v = weights_and_voltages(1)
    ours = analog_mvm(
        weight, v.expand(-1, READS, -1).contiguous(), io, periphery_of(io), NoiseStream(0, "reads")
    )
    for tile in range(2):
        theirs = InferenceTile(*SIZES[1:], InferenceRPUConfig(forward=io))
        theirs.tile.set_weights(weight[tile])
        read = theirs.tile.forward(v[tile].expand(READS, -1).contiguous(), False)
        std, their_std = ours[tile].std(dim=0), read.std(dim=0)
        error = std * math.sqrt(1 / (2 * READS) * 2 + 1 / (2 * TABLE))
        assert ((std - their_std).abs() < Z * error + STD_BOUND * std).all()
        # Their numbers come from a table, whose own mean is off: by two sums of numbers, of read and output noise.
        error = std * math.sqrt(2 / READS + 2 / TABLE)
        drop = (weight[tile] @ v[tile, 0] - read.mean(dim=0)).abs()
        off = ours[tile].mean(dim=0) - read.mean(dim=0)
        assert (off.abs() < Z * error + 8 * UNIT * drop).all()


def layer_and_images():
    torch.manual_seed(0)
    config = InferenceRPUConfig(forward=io_with(**NOISY, **DROPS, out_noise=0.05))
    layer = AnalogLinear(160, 8, rpu_config=config)
    layer.tile_array.noise = NoiseStream(0, "layer")
    return layer.eval(), torch.rand(64, 160)


def read(layer, x):
    layer = copy.deepcopy(layer)
    layer.tile_array.noise = NoiseStream(0, "layer")
    with torch.no_grad():
        return layer(x)


def test_short_numbers_are_used_where_they_are_asked_for_only():
    layer, x = layer_and_images()
    exact = read(layer, x)
    use_noise_precision(layer, "bfloat16")
    short = read(layer, x)
    assert not torch.equal(short, exact)
    assert torch.equal(short, read(pickle.loads(pickle.dumps(layer)), x))
    array = next(iter(tile_arrays(layer)))[1]
    array.replace_rpu_config(array.rpu_config)
    assert array.periphery.noise_precision == "bfloat16"
    use_noise_precision(layer, "float32")
    assert torch.equal(read(layer, x), exact)


def test_numbers_do_not_depend_on_how_many_tiles_are_read_at_a_time():
    io = io_with(**NOISY, **DROPS)
    rng = torch.Generator().manual_seed(0)
    weight, v = torch.randn(40, 8, 160, generator=rng) / 3, torch.rand(40, 64, 160, generator=rng)
    periphery = Periphery(io, 40, 8, 160, rng=rng)
    periphery.noise_precision = "bfloat16"

    def read_in_parts_of(number):
        with parts_of_at_most(number):
            return analog_mvm(weight, v, io, periphery, NoiseStream(0, "reads"))

    assert torch.equal(read_in_parts_of(1), read_in_parts_of(2**40))


@pytest.mark.parametrize("reason", ["processor", "few vectors", "few inputs", "no noise", "double"])
def test_elsewhere_the_numbers_are_those_of_float32(reason, monkeypatch):
    changes = {} if reason == "no noise" else {**NOISY, "out_noise": 0.05}
    io = io_with(**changes, **DROPS)
    weight, v = weights_and_voltages(32 if reason == "few vectors" else 64)
    if reason == "few inputs":
        weight, v = weight[..., :100].contiguous(), v[..., :100].contiguous()
    if reason == "processor":
        monkeypatch.setattr(moments, "multiplies_short_numbers", lambda: False)
    if reason == "double":
        weight, v = weight.double(), v.double()
    results = [
        bit_line_currents(weight, v, io, periphery_of(io, precision).of(slice(0, 2)))
        for precision in ("float32", "bfloat16")
    ]
    assert torch.equal(results[0][0], results[1][0])


def test_another_precision_is_refused():
    layer, _ = layer_and_images()
    with pytest.raises(ValueError, match="`precision` must be 'float32' or 'bfloat16', but is 'half'"):
        use_noise_precision(layer, "half")
    with pytest.raises(ValueError, match="`model` must have analog layers"):
        use_noise_precision(torch.nn.Linear(2, 2), "bfloat16")
