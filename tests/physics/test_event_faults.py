"""What ledgers once counted wrongly: time by batches, weights that were set, wear of added ledgers and layers."""

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.configs.utils import BoundManagementType

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    convert_to_analog,
    load_profile,
    price,
    record_events,
)
from crossbar.network.event_recording import enter_wear


def clipping() -> InferenceRPUConfig:
    """Without noise, with an ADC so narrow that products have to be repeated, some more often than others."""
    config = InferenceRPUConfig()
    config.forward.is_perfect = False
    for name in ("inp_noise", "out_noise", "w_noise", "ir_drop"):
        setattr(config.forward, name, 0.0)
    config.forward.out_bound = 0.5
    config.forward.bound_management = BoundManagementType.ITERATIVE
    config.mapping.weight_scaling_omega = 1.0
    return config


@pytest.mark.parametrize("placement", ["free", "time_multiplexed", "random(tiles=3)"])
def test_time_does_not_depend_on_how_images_are_batched(placement: str) -> None:
    torch.manual_seed(0)
    layer = AnalogLocallyConnected2d(3, 4, 2, 4, placement=placement, rpu_config=clipping()).eval()
    x = torch.randn(16, 3, 4, 4) * torch.logspace(-1, 1, 16)[:, None, None, None]
    counts = []
    for size in (1, 4, 16):
        with record_events(layer) as ledger:
            for part in x.split(size):
                layer(part)
        counts.append(dict(ledger.layers[""].counts["forward"]))
    assert counts[0] == counts[1] == counts[2]
    width = {"free": 1, "time_multiplexed": 9, "random(tiles=3)": layer.grouping.width}[placement]
    assert counts[0]["serial_mvms"] > 16 * width  # products were repeated
    assert counts[0]["mvms"] > 16 * 9


def test_an_image_takes_as_long_as_its_busiest_tile() -> None:
    """Two tiles of which each repeats on another image: 2 images x (1 + 1) steps, not 2 + the repeats of one tile."""
    layer = AnalogLocallyConnected2d(1, 1, 1, (1, 2), bias=False, rpu_config=clipping()).eval()
    layer.set_weights(torch.ones(2, 1, 1, 1, 1))
    # Noise management scales each vector to 1, which an ADC of 0.5 clips once; zero is never repeated.
    x = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    with record_events(layer) as ledger:
        layer(x)
    repeats = ledger.total("mvms") - 4
    assert repeats > 0
    assert ledger.total("serial_mvms") == 2 + repeats


def one_way() -> SingleRPUConfig:
    names = ("dw_min_dtod", "dw_min_std", "up_down", "up_down_dtod", "w_max_dtod", "w_min_dtod")
    device = ConstantStepDevice(dw_min=2.0**-10, w_max=1000.0, w_min=-1000.0, **dict.fromkeys(names, 0.0))
    config = SingleRPUConfig(device=device)
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.0
    return config


def test_weights_that_are_set_in_situ_are_written_to_devices() -> None:
    layer = AnalogLocallyConnected2d(1, 3, 2, 3, placement="replicated(tiles=2)", rpu_config=one_way())
    with record_events(layer) as ledger:
        layer.set_weights(torch.rand(1, 3, 1, 2, 2))
        layer.set_weights(torch.rand(1, 3, 1, 2, 2))
    assert ledger.layers[""].counts["programming"] == {"written_cells": 2 * 2 * 4 * 3}
    assert price(ledger, load_profile("hermes-pcm")).energy("programming", "programming") > 0
    trained = AnalogLinear(4, 3)  # weights in a memory are written when a chip is
    with record_events(trained) as ledger:
        trained.set_weights(torch.rand(3, 4))
    assert ledger.total("written_cells") == 0


def step(layer: torch.nn.Module, x: torch.Tensor, rows: slice) -> None:
    optimizer = AnalogSGD(layer.parameters(), lr=0.05)
    layer(x)[:, rows].sum().backward()
    optimizer.step()


def test_wear_of_steps_adds_device_by_device() -> None:
    """Steps on different devices are worth their sum at most and their largest at least; devices know which."""
    torch.manual_seed(0)
    layer = AnalogLinear(8, 4, bias=False, rpu_config=one_way()).train()
    x = 0.1 + torch.rand(6, 8)
    devices = layer.tile_array.cells.slow()
    devices.count_pulses()
    ledgers = []
    for rows in (slice(0, 2), slice(2, 4), slice(0, 2)):
        with record_events(layer) as ledger:
            step(layer, x, rows)
        ledgers.append(ledger)
    parts = [ledger.most_pulses for ledger in ledgers]
    total = sum(ledgers[1:], ledgers[0])
    real = int(devices.pulses().max())
    events = total.layers[""]
    assert max(parts) <= events.most_pulses_at_least <= real <= events.most_pulses == sum(parts)
    assert max(parts) < real < sum(parts)
    assert any("upper bound" in note for note in price(total, load_profile("hermes-pcm")).notes)
    enter_wear(total, layer)
    assert events.most_pulses == events.most_pulses_at_least == real
    assert price(total, load_profile("hermes-pcm")).notes == ()


def test_wear_is_that_of_every_layer() -> None:
    torch.manual_seed(0)
    net = convert_to_analog(
        torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2)), one_way()
    ).train()
    optimizer = AnalogSGD(net.parameters(), lr=0.05)
    with record_events(net) as ledger:
        net(0.1 + torch.rand(6, 8)).sum().backward()
        optimizer.step()
    bill = price(ledger, load_profile("hermes-pcm"))
    wear = {name: layer.pulses for name, layer in bill.layers.items()}
    assert all(pulses > 0 for pulses in wear.values())
    assert bill.pulses == max(wear.values())
    assert len(set(wear.values())) == 2
