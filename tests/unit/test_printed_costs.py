"""A ledger and a bill print as tables of a few lines, and a repr is one short line."""

from dataclasses import replace

import torch
from torch import nn

from crossbar import AnalogLinear, convert_to_analog, load_profile, price, record_events
from crossbar.aihwkit.adapter import InferenceRPUConfig


def recorded(layers):
    digital = nn.Sequential(*[nn.Linear(4, 4) for _ in range(layers)])
    model = convert_to_analog(digital, InferenceRPUConfig()).eval()
    with record_events(model) as ledger:
        model(torch.zeros(3, 4))
    return ledger


def test_ledger():
    ledger = recorded(2)
    assert str(ledger).splitlines() == [
        "3 images evaluated",
        "layer  tiles  MVMs  DAC  ADC",
        "0          1     3   12   12",
        "1          1     3   12   12",
        "all        2     6   24   24",
    ]
    assert repr(ledger) == "EventLedger(2 layers, 3 images, 0 steps, 6 MVMs, 0 update pulses)"
    assert repr(ledger.layers["0"]) == "LayerEvents(4 -> 4, 1 tiles, 3 MVMs, 0 update pulses)"


def test_many_layers_take_few_lines():
    lines = str(recorded(30)).splitlines()
    assert len(lines) == 24
    assert lines[-2].split() == ["10", "more", "layers", "10", "30", "120", "120"]
    assert lines[-1].split() == ["all", "30", "90", "360", "360"]
    assert "more layers" not in str(recorded(21))


def test_bill():
    ledger = recorded(2)
    bill = price(ledger, load_profile("hermes-pcm"))
    lines = str(bill).splitlines()
    assert lines[0] == "priced by hermes-pcm"
    assert [line.split()[0] for line in lines[1:6]] == ["layer", "0", "1", "all", "energy:"]
    assert lines[6].startswith("not in it:")
    assert lines[7:] == list(bill.notes)
    noted = replace(bill, notes=tuple("abcde"))
    assert str(noted).splitlines()[7:] == ["a", "b", "c", "and 2 more `notes`"]
    assert len(repr(bill)) < 100
    assert len(repr(bill.layers["0"])) < 100
    energy = sum(layer.total_energy for layer in bill.layers.values())
    assert abs(energy - bill.with_digital) < 1e-12 * energy


def test_digital_layers_and_empty_ledgers_print_too():
    with record_events(nn.Linear(4, 2)) as ledger:
        pass
    assert "digital" in str(ledger)
    assert "(model)" in str(ledger)
    with record_events(nn.ReLU()) as nothing:
        pass
    assert str(nothing).splitlines()[-1].startswith("all")
    assert "energy: none" in str(price(nothing, load_profile("hermes-pcm")))
    with record_events(AnalogLinear(2, 2).train()) as training:
        pass
    assert "0 images evaluated" in str(training)
