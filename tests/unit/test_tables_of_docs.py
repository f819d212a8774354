"""Tables in docs/ come out of the numbers kept beside them, byte for byte, also by the schema of earlier versions."""

import csv
from pathlib import Path

import pytest

from experiments.drawing.glossary import glossary_page
from experiments.drawing.sections import markdown_of, sections_from_json
from experiments.studies.in_situ import study as in_situ
from experiments.studies.results import read_results
from experiments.studies.retention import study as retention
from experiments.studies.sharing_cost.rows import FRESH, Costs, Row, Space
from experiments.studies.sharing_cost.table import TITLE, sections
from experiments.studies.wires_training import study as wires_training
from experiments.support.json_files import write_json

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("stem", "study"), [
    ("retention", retention), ("wires_training", wires_training),
])  # fmt: skip
def test_a_table_is_made_of_its_json(stem, study, tmp_path):
    results = read_results(DOCS / f"{stem}.json", study.NAME)
    found = study.findings_of(results, tmp_path)
    assert markdown_of("", found.sections) == (DOCS / f"{stem}.md").read_text()


def test_the_tables_of_in_situ_are_those_of_its_json():
    results = read_results(DOCS / "in_situ.json", in_situ.NAME)
    told = markdown_of(results.more["title"], sections_from_json(results.sections, DOCS))
    lines = [
        [line for line in text.splitlines() if line.startswith("|")]
        for text in (told, (DOCS / "in_situ.md").read_text())
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) > 30


def test_in_situ_of_version_1_is_read(tmp_path):
    points = [
        {"device": device, "placement": placement, "accuracy": [0.5, 0.7], "pulses": pulses}
        for device, pulses in (("ecram", [10.0, 12.0]), ("digital", None))
        for placement in ("free", "replicated", "time-multiplexed")
    ]
    write_json(tmp_path / "in_situ.json", {"config": {"seeds": [0, 1]}, "points": points})
    found = in_situ.findings_of(read_results(tmp_path / "in_situ.json", in_situ.NAME), tmp_path)
    assert "| ecram | 60.0 ± 14.1 | 60.0 ± 14.1 | 60.0 ± 14.1 |" in markdown_of("", found.sections)


def test_the_glossary_is_that_of_the_pages():
    assert (DOCS / "reference" / "glossary.md").read_text() == glossary_page(), (
        "write it: python -P -m experiments.drawing.glossary > docs/reference/glossary.md"
    )


def number(text):
    return float(text) if text else None


def costs(line, work):
    if not line.get(f"{work}_uJ"):
        return None
    names = [name for name in line if name.startswith(f"{work}_") and name.endswith("_uJ")]
    others = ("uJ", "analog_uJ", "refresh_uJ")
    names = [name for name in names if name not in [f"{work}_{other}" for other in others] and line[name]]
    return Costs(
        energy_uJ={name.removeprefix(f"{work}_").removesuffix("_uJ"): float(line[name]) for name in names},
        analog_uJ=float(line[f"{work}_analog_uJ"]),
        sequential_s=float(line[f"{work}_sequential_s"]),
        pipelined_s=number(line[f"{work}_pipelined_s"]),
        refresh_uJ=float(line[f"{work}_refresh_uJ"]),
    )


def packed_costs(line, work):
    """Of the second packing, the totals only."""
    if not line[f"packed_{work}_uJ"]:
        return None
    total, time = float(line[f"packed_{work}_uJ"]), float(line[f"packed_{work}_sequential_s"])
    return Costs(energy_uJ={"all": total}, analog_uJ=0.0, sequential_s=time, pipelined_s=None)


def space(line, name, packing):
    return Space(
        packing=packing,
        arrays=int(line[f"{name}_arrays"]),
        area_mm2=float(line[f"{name}_area_mm2"]),
        utilisation=float(line[f"{name}_utilisation"]),
    )


def row_of(line):
    """Read a row of sharing-cost back from its CSV."""

    def by_time(what):
        names = {
            name.removeprefix(f"{what}_"): name for name in line if name.startswith(f"{what}_") and line[name]
        }
        return {
            time if time == FRESH else str(float(time[:-1])): float(line[name])
            for time, name in names.items()
        }

    return Row(
        **{name: line[name] for name in ("device", "mechanism", "scheme", "profile", "run", "command")},
        seed=int(line["seed"]),
        lr=float(line["lr"]),
        epochs=int(line["epochs"]),
        validation_accuracy=float(line["validation_accuracy"]),
        accuracy=by_time("accuracy"),
        residual=by_time("residual"),
        largest_residual={},
        dynamics={},
        **{work: costs(line, work) for work in ("inference", "training", "programming")},
        unpacked=space(line, "unpacked", "none"),
        packed=space(line, "packed", "union"),
        packed_inference=packed_costs(line, "inference"),
        packed_training=packed_costs(line, "training"),
        did_learn=line["did_learn"] == "True",
        wear={
            name.removeprefix("pulses_per_step_"): float(line[name])
            for name in line
            if name.startswith("pulses_per_step_") and line[name]
        },
        pulses_per_step=number(line["pulses_per_step"]),
        steps_to_end_of_life=number(line["steps_to_end_of_life"]),
    )


def test_the_table_of_sharing_cost_is_made_of_its_csv():
    """But for where the ranking flips: that is found in the ledgers, which are not kept; and what is left out."""
    with (DOCS / "sharing_cost_mnist.csv").open() as file:
        rows = [row_of(line) for line in csv.DictReader(file)]
    written = (DOCS / "sharing_cost_mnist.md").read_text().partition("\n## Where the ranking flips")[0]
    *told, last = sections(rows, {}, {}, [], {})
    assert last.title == "What these prices leave out"
    assert markdown_of(TITLE, told) == written
