"""Variable connection patterns: absent inputs do nothing, have no devices, and cost nothing."""

import math

import pytest
import torch
from torch import nn

from crossbar import (
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    convert_to_analog,
    load_model,
    program_chip,
    record_events,
    replace_placement,
    save_model,
    tile_arrays,
)
from crossbar.aihwkit.adapter import AnalogSGD
from crossbar.placement.connections import present_inputs
from devices import get
from models import build, draw_connections, initialise

SIZES = (2, 3, 3, (6, 5))


def mask(share: float = 0.4, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(seed)) >= share


def layers(**options: object) -> tuple[LocallyConnected2d, LocallyConnected2d]:
    """A layer, and the same with absent inputs."""
    whole = LocallyConnected2d(*SIZES, **options)
    masked = LocallyConnected2d(*SIZES, connections=mask(), **options)
    with torch.no_grad():
        masked.weight.copy_(whole.weight)
        masked.bias.copy_(whole.bias)
        masked.connect(mask())
    return whole, masked


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1}])
def test_absent_inputs_are_zeros(options: dict[str, int]) -> None:
    whole, masked = layers(**options)
    x = torch.randn(4, 2, 6, 5)
    torch.testing.assert_close(masked(x), whole(x * mask()), rtol=1e-6, atol=1e-6)
    masked(x).square().sum().backward()
    present = present_inputs(mask(), masked.geometry)
    absent = ~present.reshape(len(present), 1, 2, 3, 3).expand_as(masked.weight)
    assert absent.any()
    assert bool((masked.weight[absent] == 0).all())
    assert bool((masked.weight.grad[absent] == 0).all())
    assert bool((masked.weight.grad[~absent] != 0).any())


def perfect(device: str, *, trains: bool = False) -> object:
    config = get(device).training_config() if trains else get(device).rpu_config(weight_noise=0.0)
    config.forward.is_perfect = True
    if trains:
        config.backward.is_perfect = True
    else:
        config.clip.type = type(config.clip.type).NONE
        config.remap.type = type(config.remap.type).NONE
        config.pre_post.input_range.enable = False
    return config


@pytest.mark.parametrize("largest", [0, 10])
def test_on_tiles_they_have_no_devices(largest: int) -> None:
    """Noise-free tiles compute what the digital layer does, and hold nothing where inputs are absent."""
    _, masked = layers()
    config = perfect("pcm")
    config.mapping.max_input_size = largest
    analog = AnalogLocallyConnected2d.from_digital(masked, config).eval()
    x = torch.randn(4, 2, 6, 5)
    torch.testing.assert_close(analog(x), masked(x), rtol=1e-5, atol=1e-5)
    array = analog.tile_array
    assert array.populated is not None
    present = present_inputs(mask(), masked.geometry)
    assert int(array.populated.sum()) == int(present.sum()) * 3
    array.program(seed=0)
    weight = analog.blocks.join(array.reading.weight)
    assert bool((weight[(~present)[:, None].expand_as(weight)] == 0).all())
    assert analog.get_weights()[0].shape == masked.weight.shape
    back = AnalogLocallyConnected2d.to_digital(analog)
    assert torch.equal(back.connections, mask())
    torch.testing.assert_close(back(x), masked(x), rtol=1e-5, atol=1e-5)


def test_absent_devices_receive_no_pulses() -> None:
    _, masked = layers()
    net = convert_to_analog(nn.Sequential(masked, nn.Flatten()), perfect("ecram", trains=True))
    (array,) = [array for _, array in tile_arrays(net)]
    before = array.weight.clone()
    optimizer = AnalogSGD(net.parameters(), lr=1.0)
    optimizer.regroup_param_groups(net)
    x = torch.rand(8, 2, 6, 5)
    with record_events(net) as ledger:
        net.train()(x).square().mean().backward()
        optimizer.step()
    changed = array.weight != before
    assert changed.any()
    assert not bool(changed[~array.populated].any())
    present = present_inputs(mask(), masked.geometry)
    (layer,) = ledger.layers.values()
    assert layer.counts["forward"]["dac_conversions"] == 8 * int(present.sum())
    assert layer.counts["forward"]["cell_reads"] == 8 * int(present.sum()) * 3
    assert layer.counts["forward"]["adc_conversions"] == 8 * 12 * 3
    moved = layer.counts["update"]["update_pulses"]
    assert 0 < moved <= int(array.populated.sum()) * 31 * 8  # trains have 31 pulses at most


@pytest.mark.parametrize("largest", [0, 10])
def test_the_bill_falls_with_the_share_that_is_absent(largest: int) -> None:
    """Conversions and cells by hand: present inputs of every location, times images and outputs."""
    counts = {}
    for share in (0.0, 0.5):
        connections = None if share == 0 else mask(share)
        digital = LocallyConnected2d(*SIZES, connections=connections)
        config = get("pcm").rpu_config()
        config.mapping.max_input_size = largest
        net = convert_to_analog(nn.Sequential(digital), config).eval()
        with record_events(net) as ledger:
            net(torch.rand(5, 2, 6, 5))
            program_chip(net, seed=0, compensation="none")
        (layer,) = ledger.layers.values()
        counts[share] = layer.counts
        present = 12 * 18 if connections is None else int(present_inputs(connections, digital.geometry).sum())
        assert layer.counts["forward"]["dac_conversions"] == 5 * present
        assert layer.counts["forward"]["cell_reads"] == 5 * present * 3
        assert layer.counts["programming"]["written_cells"] == present * 3
    assert counts[0.5]["forward"]["adc_conversions"] == counts[0.0]["forward"]["adc_conversions"]


def test_software_is_not_billed_for_them_either() -> None:
    digital = nn.Sequential(LocallyConnected2d(*SIZES, connections=mask(0.5)))
    with record_events(digital) as ledger, torch.no_grad():
        digital(torch.rand(5, 2, 6, 5))
    (layer,) = ledger.layers.values()
    present = present_inputs(mask(0.5), digital[0].geometry)
    assert layer.counts["forward"]["digital_macs"] == 5 * int(present.sum()) * 3


def test_connections_are_saved_and_carried_over(tmp_path) -> None:
    _, masked = layers()
    net = convert_to_analog(nn.Sequential(masked), get("pcm").rpu_config()).eval()
    save_model(net, tmp_path / "net.safetensors")
    other = convert_to_analog(
        nn.Sequential(LocallyConnected2d(*SIZES, connections=mask(seed=1))), get("pcm").rpu_config()
    )
    load_model(tmp_path / "net.safetensors", other)
    assert torch.equal(other[0].connections, mask())
    again = replace_placement(net, "free", (2, 6, 5))
    assert torch.equal(again[0].connections, mask())
    with pytest.raises(ValueError, match="`connections` must be left out with the placement"):
        LocallyConnected2d(*SIZES, placement="time_multiplexed", connections=mask())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`connections` must have the shape of an input, \(2, 6, 5\), but has"
    ):
        LocallyConnected2d(*SIZES, connections=mask()[:, :5])
    with pytest.raises(TypeError, match=r"`connections` must be a bool mask, but is torch\.float32"):
        LocallyConnected2d(*SIZES, connections=mask().float())
    with pytest.raises(ValueError, match=r"`absent` must lie in \[0, 1\), but is 1\.0"):
        draw_connections(build("fcn_digits"), 1.0, 0)
    with pytest.raises(ValueError, match="shared between"):
        draw_connections(build("cnn_digits"), 0.3, 0)


def test_a_network_loses_the_share_that_is_asked_for_and_more_is_the_same_and_more() -> None:
    networks = {}
    for share in (0.0, 0.3, 0.6):
        networks[share] = build("fcn_digits")
        initialise(networks[share], 0)
        draw_connections(networks[share], share, 0)
    assert networks[0.0].local1.connections is None
    for name in ("local1", "local2"):
        few, many = (getattr(networks[share], name).connections for share in (0.3, 0.6))
        for share, connections in ((0.3, few), (0.6, many)):
            inputs = math.prod(connections.shape)
            assert int((~connections).sum()) == round(share * inputs)
        assert not bool((many & ~few).any())
