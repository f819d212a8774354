"""A ledger and a bill print as tables of a few lines, and a repr is one short line."""

import html
import re
from dataclasses import replace

import torch
from torch import nn

from crossbar import AnalogLinear, conversion_report, convert_to_analog, load_profile, price, record_events
from crossbar.aihwkit.adapter import InferenceRPUConfig
from crossbar.cost.tables import Sheet


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
    assert lines[5].endswith(" (its power is assumed)")
    assert " static " in lines[5].rpartition(",")[2]
    each = (bill.energy() - bill.energy(phase="programming")) / 3
    assert lines[6].startswith(f"for each of 3 images, without programming: {1e6 * each:.3g} pJ, ")
    assert lines[7].startswith("not in it:")
    assert lines[8:] == list(bill.notes)
    noted = replace(bill, notes=tuple("abcde"))
    assert str(noted).splitlines()[8:] == ["a", "b", "c", "and 2 more `notes`"]
    assert len(repr(bill)) < 100
    assert len(repr(bill.layers["0"])) < 100
    energy = sum(layer.total_energy for layer in bill.layers.values())
    assert abs(energy - bill.with_digital) < 1e-12 * energy


def cells_of(page):
    """Return the cells of the one table of a page, row by row."""
    assert page.count("<table>") == page.count("</table>") == 1
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_notebooks_show_the_same_as_tables():
    ledger = recorded(2)
    bill, report = (
        price(ledger, load_profile("hermes-pcm")),
        conversion_report(nn.Sequential(nn.Linear(2, 3))),
    )
    for shown in (ledger, bill, report):
        page, printed = shown._repr_html_(), str(shown).splitlines()
        texts = [re.sub(r"<[^>]+>", "", html.unescape(part)) for part in re.findall(r"<p>.*?</p>", page)]
        rows = cells_of(page)
        table = [line for line in printed if line not in texts]
        assert len(texts) + len(table) == len(printed)
        assert [re.sub(r"\s", "", line) for line in table] == [
            re.sub(r"\s", "", html.unescape("".join(row))) for row in rows
        ]


def test_what_is_shown_in_notebooks_is_no_markup():
    sheet = Sheet(rows=[["layer"], ["<b>"]], above=["a & b"])
    assert '<td style="text-align: left">&lt;b&gt;</td>' in sheet.to_html()
    assert sheet.to_html().startswith("<p>a &amp; b</p>")


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
