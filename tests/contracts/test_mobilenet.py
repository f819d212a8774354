"""MobileNet-v3-small, with its grouped convolutions: everything that is done to a network is done to it."""

import warnings

import pytest
import torch
import torchvision
from torch import nn

from crossbar import (
    age_chip,
    conversion_report,
    convert_to_analog,
    load_model,
    load_profile,
    price,
    program_chip,
    record_events,
    save_model,
    seed_noise,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, StandardHWATrainingPreset

YEAR = 365 * 24 * 3600.0


def mobilenet() -> nn.Module:
    """Random weights, and statistics of batch norms as after some training."""
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_small(num_classes=10)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 32, 32))
    return model.eval()


IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_on_perfect_tiles_it_computes_what_it_did():
    digital = mobilenet()
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.weight_scaling_columnwise = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left without hardware
        analog = convert_to_analog(digital, config).eval()
    layers = [m for m in digital.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    report = conversion_report(analog)
    assert len(report.names("analog")) == len(layers)
    assert report.names("digital") == []
    grouped = [m for m in layers if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(grouped) == 11
    with torch.no_grad():
        assert (analog(IMAGES) - digital(IMAGES)).abs().max() < 1e-5
    with record_events(analog) as ledger, torch.no_grad():
        analog(IMAGES)
    with record_events(digital) as counted, torch.no_grad():
        digital(IMAGES)
    # Every weight cell that a product passes through is one multiplication of the digital network.
    assert ledger.total("cell_reads") == counted.total("digital_macs")
    assert ledger.images == 4


@pytest.mark.slow
def test_it_steps_ages_is_priced_and_saved(tmp_path):
    config = StandardHWATrainingPreset()
    analog = convert_to_analog(mobilenet(), config).train()
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.01)
    target = torch.tensor([0, 1, 2, 3])
    losses = []
    for step in range(3):
        seed_noise(analog, 0, "train", step)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(analog(IMAGES), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    analog.eval()
    program_chip(analog, seed=0)
    age_chip(analog, YEAR, seed=0)
    with record_events(analog) as ledger, torch.no_grad():
        analog(IMAGES)
    hermes = load_profile("hermes-pcm")
    alone, block = (price(ledger, hermes, packing=mode) for mode in ("none", "block"))
    depthwise = [name for name, layer in ledger.layers.items() if layer.shape.groups > 1]
    assert len(depthwise) == 11
    for name in depthwise:
        shape = ledger.layers[name].shape
        assert alone.layers[name].arrays == shape.groups
        assert block.layers[name].arrays < shape.groups / 4
    assert block.with_digital > 0
    save_model(analog, tmp_path / "model.safetensors")
    other = load_model(tmp_path / "model.safetensors", convert_to_analog(mobilenet(), config).eval())
    outputs = []
    for model in (analog, other):
        seed_noise(model, 1, "evaluation")
        with torch.no_grad():
            outputs.append(model(IMAGES))
    assert torch.equal(*outputs)
