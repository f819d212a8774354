"""What the study writes: rows there and back, means over seeds, Markdown and CSV."""

import csv
import io
import json
import statistics
from dataclasses import replace

import pytest

from experiments.drawing.sections import csv_of
from experiments.studies.sharing_cost.rows import (
    FRESH,
    Costs,
    Row,
    Space,
    accuracy_at,
    cells_of,
    energy_per_step,
    scheme_label,
)
from experiments.studies.sharing_cost.sensitivity import Flip
from experiments.studies.sharing_cost.sharing_frequency import difference, frequency_sections, verdict
from experiments.studies.sharing_cost.table import markdown, number, sections


def make_row(scheme="free", seed=0, mechanism="in-situ", device="pcm", **changes):
    """A row with numbers that are easily told apart; every third one depends on the seed."""
    step = Costs(
        energy_uJ={"adc": 10.0, "update": 5.0 + seed}, analog_uJ=14.0, sequential_s=2e-3, pipelined_s=None
    )
    image = Costs(energy_uJ={"adc": 1.5, "movement": 0.5}, analog_uJ=1.5, sequential_s=3e-6, pipelined_s=1e-6)
    values = {
        "device": device,
        "mechanism": mechanism,
        "scheme": scheme,
        "seed": seed,
        "run": f"runs/{scheme}-{seed}",
        "command": f"xbar train --seed {seed}",
        "profile": "hermes-pcm",
        "lr": 1.0,
        "epochs": 4,
        "validation_accuracy": 0.9,
        "accuracy": {FRESH: 0.90 + 0.02 * seed, "86400.0": 0.8},
        "residual": {FRESH: 0.0123} if scheme.startswith("replicated") else {},
        "largest_residual": {FRESH: 0.1} if scheme.startswith("replicated") else {},
        "dynamics": {"step": [0.0, 10.0], "weight_snr": [1.0, None]},
        "inference": image,
        "training": None if mechanism == "hwa" else step,
        "programming": None,
        "unpacked": Space(packing="none", arrays=52, area_mm2=33.0, utilisation=0.0044),
        "packed": Space(packing="union", arrays=8, area_mm2=5.0, utilisation=0.25),
        "packed_inference": replace(image, energy_uJ={"adc": 1.5}),
        "packed_training": None
        if mechanism == "hwa"
        else replace(step, energy_uJ={"adc": 12.0}, sequential_s=1e-3),
        "pulses_per_step": 99.0,
        "steps_to_end_of_life": 1e5,
    }
    return Row(**(values | changes))


def test_a_row_survives_json():
    for row in (make_row("replicated"), make_row(mechanism="hwa")):
        assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row
    with pytest.raises(ValueError, match="does not hold the fields of a row"):
        Row.from_json({"device": "pcm"})


def test_means_over_seeds():
    (cell,) = cells_of([make_row(seed=seed) for seed in (0, 1, 2)])
    assert cell.mean(accuracy_at(FRESH)) == pytest.approx(92.0)
    assert cell.spread(accuracy_at(FRESH)) == pytest.approx(2.0)
    assert cell.mean(energy_per_step) == pytest.approx(16.0)
    (single,) = cells_of([make_row()])
    assert single.spread(accuracy_at(FRESH)) is None
    assert single.mean(accuracy_at("1.0")) is None


def test_cells_are_grouped_by_device_mechanism_and_scheme():
    rows = [
        make_row(),
        make_row(seed=1),
        make_row("replicated"),
        make_row(device="ecram"),
        make_row(mechanism="hwa"),
    ]
    assert [len(cell.rows) for cell in cells_of(rows)] == [2, 1, 1, 1]
    assert [cell.scheme for cell in cells_of(rows, ("replicated",))] == ["replicated"]


def test_the_table_says_every_number():
    rows = [make_row(scheme, seed) for scheme in ("replicated", "free") for seed in (0, 2)]
    flip = Flip("pcm", "in-situ", "training step", "ADC energy", 2.5, "free", "replicated", True)
    hidden = Flip("pcm", "in-situ", "training step", "ADC energy", 3.5, "free", "replicated", False)
    left_out = {"ecram, hwa, free": "ecram has no model", "ecram, hwa, replicated": "ecram has no model"}
    ranges = {"pcm": {"ADC energy": (0.1, 20.0), "static power": (0.0, 10.0)}}
    text = markdown(rows, left_out, {"pcm, hwa, free, seed 3": "the loss became nan"}, [flip, hidden], ranges)
    assert "## pcm, in situ, by pulses (profile hermes-pcm)" in text
    assert (
        "| scheme | fresh | 1 day | copies, % | µJ / inference | latency, µs | µJ / step | ms / step | area, mm² | "
        "used, % | pulses / step | steps to wear-out |\n" in text
    )
    assert (
        "| `replicated` | 92.0 ± 2.8 | 80.0 ± 0.0 | 1.2 | 2.00 | 3.00 / 1.00 | 16.0 | 2.00 | 33.0 | "
        "0.44 | 99.0 | 1.0e5 |\n" in text
    )
    # Energy, time and area of the other packing stand together too.
    assert "The same with another packing, union:" in text
    assert "| scheme | µJ / inference | latency, µs | µJ / step | ms / step | area, mm² | used, % |\n" in text
    assert "| `replicated` | 1.50 | 3.00 | 12.0 | 1.00 | 5.00 | 25 |\n" in text
    assert "| `free` | 92.0 ± 2.8 | 80.0 ± 0.0 | - | 2.00 |" in text
    assert "- ecram has no model: ecram, hwa, free; ecram, hwa, replicated.\n" in text
    assert "- the loss became nan: pcm, hwa, free, seed 3.\n" in text
    assert "| pcm | in-situ | training step | ADC energy | `free` | 2.50 | `replicated` |\n" in text
    assert "3.50" not in text
    assert "No pair changes places with: static power." in text
    assert "- pcm: ADC energy x 0.100 to 20.0, static power x 0 to 10.0\n" in text
    assert "Mean ± standard deviation over 2 seeds (0, 2)." in text


def test_networks_trained_in_software_have_no_costs_of_training():
    text = markdown([make_row(mechanism="hwa")], {}, {}, [], {})
    assert "## pcm, trained in software, programmed" in text
    assert "/ step" not in text
    assert "flips" not in text


def test_a_ranking_that_holds_is_said_to_hold():
    text = markdown([make_row()], {}, {}, [], {"pcm": {"ADC energy": (0.1, 20.0)}})
    assert "No pair changes places: the ranking of the schemes holds over all ranges." in text


def test_the_csv_has_a_line_for_each_run_and_a_column_for_each_number():
    rows = [make_row("replicated"), make_row(mechanism="hwa")]
    records = list(csv.DictReader(io.StringIO(csv_of(sections(rows, {}, {}, [], {})))))
    assert [r["scheme"] for r in records] == ["replicated", "free"]
    assert float(records[0]["training_update_uJ"]) == 5.0
    assert records[1]["training_update_uJ"] == ""
    assert float(records[0]["accuracy_86400s"]) == 0.8
    assert float(records[0]["inference_uJ"]) == 2.0
    assert records[0]["command"] == "xbar train --seed 0"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.01234, "0.0123"), (12345.6, "12346"), (123456.0, "1.2e5"), (3e-7, "3.0e-7")],
)
def test_numbers_are_readable(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("scheme", "label"),
    [
        ("time_multiplexed", "one tile"),
        ("replicated", "copies, broadcast"),
        ("replicated(tiles=4, sync_every=10)", "4 copies, sync 10"),
        ("random(tiles=4,redraw=True)", "random 4, redrawn"),
        ("blocks(rows=2,cols=3)", "blocks 2x3"),
        ("interleaved(period=2)", "interleaved 2"),
        ("free", "free"),
    ],
)
def test_labels_of_schemes(scheme, label):
    assert scheme_label(scheme) == label


def test_flips_that_differ_in_one_respect_share_a_line():
    flips = [
        Flip("pcm", mechanism, "inference", "static power", 0.5, "time_multiplexed", above, True)
        for mechanism in ("in-situ", "hwa")
        for above in ("free", "replicated")
    ]
    flips.append(Flip("pcm", "hwa", "inference", "static power", 0.7, "random(tiles=4)", "free", True))
    text = markdown([make_row()], {}, {}, flips, {"pcm": {"static power": (0.0, 10.0)}})
    shared = "| pcm | in-situ, hwa | inference | static power | `time_multiplexed` | 0.500 | `free`, `replicated` |"
    assert shared in text
    assert "| pcm | hwa | inference | static power | `random(tiles=4)` | 0.700 | `free` |" in text
    assert text.count("| inference |") == 2


def test_how_often_copies_must_be_made_equal_is_judged_by_paired_intervals():
    def rows(scheme, *accuracies):
        return [
            make_row(scheme, seed=seed, accuracy={FRESH: accuracy})
            for seed, accuracy in enumerate(accuracies)
        ]

    cells = cells_of(
        [
            *rows("time_multiplexed", 0.90, 0.80, 0.85),
            *rows("replicated(sync_every=1)", 0.90, 0.801, 0.85),  # above 99 % in every seed
            *rows("replicated(sync_every=10)", 0.89, 0.60, 0.86),
            *rows("replicated(sync_every=100)", 0.80, 0.70, 0.75),
            *rows("replicated", 0.70, 0.61, 0.65),
        ]
    )
    exact, copies = cells[0], {cell.scheme: cell for cell in cells[1:]}
    assert [verdict(cell, exact) for cell in copies.values()] == ["kept", "open", "lost", "lost"]
    mean = difference(copies["replicated(sync_every=1)"], exact)
    values = [90 - 0.99 * 90, 80.1 - 0.99 * 80, 85 - 0.99 * 85]
    assert mean is not None
    assert mean.value == pytest.approx(statistics.fmean(values))
    assert mean.reach == pytest.approx(
        4.3027 * statistics.stdev(values) / 3**0.5, rel=1e-4
    )  # Student's t, 2 degrees
    (section,) = frequency_sections(cells)
    assert (
        "kept if made equal at every step; lost if made equal every 100 steps, never; not decided by these "
        "seeds if made equal every 10 steps." in section.text[-1]
    )
    assert [row[0] for row in section.table.rows] == [
        "at every step",
        "every 10 steps",
        "every 100 steps",
        "never",
        "one tile",
    ]
    assert frequency_sections(cells[:2]) == []  # one interval says nothing about how often
