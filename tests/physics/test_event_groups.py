"""Counts and prices of grouped, depthwise and transposed convolutions, worked out by hand."""

import pytest
import torch
from torch import nn

from crossbar import (
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConvTranspose1d,
    AnalogLocallyConnected1d,
    EventLedger,
    load_profile,
    price,
    record_events,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig
from crossbar.cost.events import LayerShape
from crossbar.cost.packing import pack

HERMES = load_profile("hermes-pcm")  # arrays of 256 x 256


def counted(layer: nn.Module, x: torch.Tensor) -> tuple[dict[str, int], EventLedger]:
    with record_events(layer.eval()) as ledger, torch.no_grad():
        layer(x)
    assert ledger.images == len(x)
    return dict(ledger.layers[""].counts["forward"]), ledger


def one_round() -> InferenceRPUConfig:
    """No product is repeated."""
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    return config


def test_a_depthwise_layer():
    """Four channels, a 3 x 3 kernel each, on 5 x 5: 9 locations, for each of which 4 tiles of 9 x 1 work at once."""
    layer = AnalogConv2d(4, 4, 3, groups=4, rpu_config=one_round())
    counts, ledger = counted(layer, torch.rand(2, 4, 5, 5))
    assert counts == {
        "mvms": 72,
        "dac_conversions": 648,
        "adc_conversions": 72,
        "cell_reads": 648,
        "serial_mvms": 18,
        "scalings": 72,
        "input_bytes": 648,
        "output_bytes": 72,
        "network_bytes": 720,
    }
    shape = ledger.layers[""].shape
    assert (shape.kernels, shape.tiles, shape.in_size, shape.out_size, shape.groups) == (4, 4, 9, 1, 4)
    assert layer.tile_array.weight.numel() == 36  # and no device for the zeros beside the diagonal
    alone, block, dense, union = (pack(shape, HERMES, mode) for mode in ("none", "block", "dense", "union"))
    assert (alone.arrays, block.arrays, dense.arrays) == (4, 1, 1)
    assert (block.word_lines, block.bit_lines, block.parallel) == (36, 4, 4)
    assert block.powered_cells == 4.0  # 36 x 4 cells carry current for 36 weights
    assert dense.serial == 4
    assert union == block  # groups see different channels
    # Cells that carry current, by packing; time: four kernels of an array one after the other.
    bills = {mode: price(ledger, HERMES, packing=mode) for mode in ("none", "block", "dense")}
    assert bills["block"].energy("cells") == pytest.approx(4 * bills["none"].energy("cells"))
    assert bills["dense"].energy("cells") == pytest.approx(bills["none"].energy("cells"))
    assert bills["dense"].seconds("forward") == pytest.approx(4 * bills["none"].seconds("forward"))


def test_groups_on_copies_and_a_tile_for_each_location():
    """Length 6, kernel 3: 4 locations. Two groups of 2 inputs channels (6 word lines) and 3 outputs."""
    x = torch.rand(5, 4, 6)
    config = one_round()
    copies = AnalogConv1d(4, 6, 3, groups=2, input_size=6, placement="replicated(tiles=3)", rpu_config=config)
    counts, ledger = counted(copies, x)
    assert (counts["mvms"], counts["dac_conversions"], counts["adc_conversions"]) == (40, 240, 120)
    assert counts["serial_mvms"] == 10  # of four locations, two meet the busiest of three copies
    shape = ledger.layers[""].shape
    assert (shape.tiles, shape.kernels, shape.map_size, shape.kernel_size) == (6, 2, (4,), (3,))
    free = AnalogLocallyConnected1d(4, 6, 3, 6, groups=2, rpu_config=config)
    counts, ledger = counted(free, x)
    assert (counts["mvms"], counts["serial_mvms"]) == (40, 5)
    assert ledger.layers[""].shape.tiles == 8
    back = EventLedger.from_json(ledger.to_json())
    assert back == ledger


def test_a_volume():
    """3 x 3 x 3 locations of 2 x 2 x 2 kernels."""
    counts, _ = counted(AnalogConv3d(2, 5, 2, rpu_config=one_round()), torch.rand(3, 2, 4, 4, 4))
    assert (counts["mvms"], counts["dac_conversions"], counts["adc_conversions"]) == (81, 81 * 16, 81 * 5)
    digital = nn.Conv3d(2, 4, 2, groups=2)
    with record_events(digital) as ledger:
        digital.eval()(torch.rand(3, 2, 4, 4, 4))
    assert ledger.layers[""].counts["forward"] == {"digital_macs": 81 * 4 * 8}
    assert ledger.images == 3


def test_a_transposed_convolution():
    """Length 4, kernel 3, stride 2: patches of 3 lie on 9 places, neighbours share one."""
    layer = AnalogConvTranspose1d(2, 3, 3, stride=2, rpu_config=one_round())
    counts, ledger = counted(layer, torch.rand(5, 2, 4))
    assert (counts["mvms"], counts["dac_conversions"], counts["adc_conversions"]) == (20, 40, 180)
    assert counts["overlap_adds"] == 5 * 3 * 3
    assert counts["serial_mvms"] == 20
    adds = 45 * HERMES["add_energy"]
    without = EventLedger.from_json(ledger.to_json())
    del without.layers[""].counts["forward"]["overlap_adds"]
    expected = price(without, HERMES).energy("digital") + adds
    assert price(ledger, HERMES).energy("digital") == pytest.approx(expected)
    digital = nn.ConvTranspose1d(2, 3, 3, stride=2)
    with record_events(digital) as ledger:
        digital.eval()(torch.rand(5, 2, 4))
    assert ledger.layers[""].counts["forward"] == {"digital_macs": 5 * 4 * 2 * 9}


def test_ledgers_of_before_have_no_groups():
    shape = LayerShape(in_size=4, out_size=2, tile_shape=(2, 4), in_channels=4)
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(shape).items()}
    del values["groups"]
    assert LayerShape.from_json(values) == shape
