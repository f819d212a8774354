"""Networks at chance are named in every table, figure and page, and neither priced nor ranked nor compared."""

import csv
import io
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.commands.train import title_of
from experiments.data.chance import RULE, highest_by_chance, mark
from experiments.drawing.run_tables import table as run_table
from experiments.drawing.sections import csv_of, markdown_of
from experiments.runs.result import Result
from experiments.runs.run_folder import RunFolder
from experiments.studies.compare_devices import table as compared_table
from experiments.studies.compare_devices.config import CompareDevicesConfig
from experiments.studies.compare_devices.rows import Row as ComparedRow
from experiments.studies.compare_devices.rows import aged_of, groups_of
from experiments.studies.compare_devices.study import _summary
from experiments.studies.in_situ.study import Row as InSituRow
from experiments.studies.in_situ.study import _findings as in_situ_findings
from experiments.studies.paper.answers import answers
from experiments.studies.paper.points import Point as PaperPoint
from experiments.studies.paper.points import Setting
from experiments.studies.paper.rows import Row as PaperRow
from experiments.studies.paper.rows import Rows
from experiments.studies.paper.tables import notes as paper_notes
from experiments.studies.paper.tables import records as paper_records
from experiments.studies.paper.tables import tables
from experiments.studies.sharing_cost.figures import not_drawn
from experiments.studies.sharing_cost.flips import find_flips
from experiments.studies.sharing_cost.rows import FRESH, Costs, Row, Space, cells_of
from experiments.studies.sharing_cost.table import markdown, sections

YEAR = 365 * 86400.0


def result(trained, mode="hwa", **changes):
    values = {
        "model": "fcn_digits", "placement": "free", "data": "digits", "mode": mode, "device": "pcm",
        "compensation": "none", "seed": 0, "test_images": 359, "digital_accuracy": trained,
        "times": (1.0,), "accuracy": {"none": [[0.9]]},
    }  # fmt: skip
    return Result(**(values | changes))


def test_chance_is_the_most_frequent_class_and_three_deviations(tmp_path):
    assert highest_by_chance("mnist", 10_000) == pytest.approx(0.1135 + 3 * math.sqrt(0.1135 * 0.8865 / 1e4))
    assert highest_by_chance("svhn", 26_032) > 0.1959  # a fifth of them are ones
    np.savez(tmp_path / "own.npz", images=np.zeros((4, 1, 8, 8)), labels=np.array([1, 1, 1, 0]))
    assert highest_by_chance(str(tmp_path / "own.npz"), 48) == pytest.approx(0.75 + 3 / 16)
    assert highest_by_chance(str(tmp_path / "gone.npz"), 100) == pytest.approx(0.19)
    assert mark([True, True]) == ""
    assert mark([False, False]) == ", did not learn"
    assert mark([True, False]) == ", 1 of 2 did not learn"


def test_what_training_left_decides_not_what_a_chip_became_of_it():
    limit = highest_by_chance("digits", 359)
    assert not result(limit).did_learn
    assert result(limit + 0.01).did_learn
    assert result(0.9, accuracy={"none": [[0.1]]}).did_learn
    learns = result(0.9, mode="in-situ", as_trained=(0.1, 0.12))
    assert not learns.did_learn
    assert RULE in run_table(learns)
    assert RULE not in run_table(result(0.9))


def sharing_row(scheme, seed, did_learn):
    step = Costs(energy_uJ={"adc": 12.5}, analog_uJ=14.0, sequential_s=2e-3, pipelined_s=None)
    space = Space(packing="none", arrays=52, area_mm2=33.0, utilisation=0.0044)
    return Row(
        device="pcm", mechanism="in-situ", scheme=scheme, seed=seed, run=f"runs/{scheme}-{seed}", command="",
        profile="hermes-pcm", lr=1.0, epochs=4, validation_accuracy=0.1, residual={}, largest_residual={},
        accuracy={FRESH: 0.9 if did_learn else 0.1}, dynamics={}, inference=step, training=step,
        programming=None, unpacked=space, packed=space, pulses_per_step=99.0, steps_to_end_of_life=1e5,
        did_learn=did_learn,
    )  # fmt: skip


def test_sharing_cost_prices_and_ranks_only_what_learned():
    rows = [sharing_row("free", seed, False) for seed in (0, 1)]
    rows += [sharing_row("replicated", seed, seed == 0) for seed in (0, 1)]
    text = markdown(rows, {}, {}, [], {})
    assert RULE in text
    nothing = "| - | - / - | - | - | - | - | - | - |"
    assert f"| `free`, did not learn | 10.0 ± 0.0 {nothing}\n" in text
    assert "| `replicated`, 1 of 2 did not learn | 50.0 ± 56.6 | 12.5 |" in text
    assert [line["did_learn"] for line in csv.DictReader(io.StringIO(csv_of(sections(rows, {}, {}, [], {}))))] == [
        *("False",) * 2, "True", "False",
    ]  # fmt: skip
    assert [row.to_json()["did_learn"] for row in rows] == [False, False, True, False]
    cells = cells_of(rows)
    assert [cell.label for cell in cells] == [
        "free, did not learn", "copies, broadcast, 1 of 2 did not learn",
    ]  # fmt: skip
    assert not_drawn(cells) == "\nNot drawn, as they did not learn: pcm in-situ free."
    none_learned = [row for row in rows if not row.did_learn]
    assert find_flips(none_learned, {}, ("free", "replicated"), {}, SimpleNamespace()) == ({}, {}, [])


def test_compared_devices_are_ranked_only_if_they_learned():
    def row(device, seed, accuracy, did_learn):
        return ComparedRow(
            device=device, mode="in-situ", network="cnn", seed=seed, run="", command="", trained=accuracy,
            accuracy={}, chips={}, extrapolated=(), pulses=1.0, at_bound=0.0, did_learn=did_learn,
        )  # fmt: skip

    # The one at chance happens to end above the other.
    rows = [row("lucky", seed, 0.2, False) for seed in (0, 1)]
    rows += [row("slow", 0, 0.15, True), row("slow", 1, 0.15, False)]
    groups = groups_of(rows, "cnn")
    assert [line[:3] for line in compared_table.cells(groups, {})] == [
        ["1", "slow, in situ, 1 of 2 did not learn", "15.0 ± 0.0 %"],
        ["-", "lucky, in situ, did not learn", "20.0 ± 0.0 %"],
    ]
    assert RULE in compared_table.markdown(rows, {}, {}, "xbar compare-devices")
    assert RULE not in compared_table.markdown(rows[2:3], {}, {}, "xbar compare-devices")
    assert "no network learned on lucky, in-situ." in _summary(rows)
    assert "did_learn" in compared_table.records(rows)[0]
    assert "A quick look" in compared_table.markdown(rows[:1], {}, {}, "xbar compare-devices")


def test_devices_age_in_one_list_at_one_time():
    def row(device, **accuracy):
        times = {float(name[1:]): value for name, value in accuracy.items()}
        return ComparedRow(
            device=device, mode="hwa", network="cnn", seed=0, run="", command="", trained=0.9,
            accuracy=times, chips={}, extrapolated=(), pulses=None, at_bound=None,
        )  # fmt: skip

    rows = [
        row("a", t1=0.9, t10=0.5, t100=0.4),
        row("b", t1=0.8, t10=0.7, t100=0.6),
        row("c", t1=0.95, t10=0.6),
    ]
    groups = groups_of(rows, "cnn")
    assert [group.first.device for group in groups] == ["c", "a", "b"]
    time, aged = aged_of(groups)
    assert time == 10.0  # the last one at which all three are known
    assert [group.first.device for group in aged] == ["b", "c", "a"]
    text = compared_table.markdown(rows, {}, {}, "xbar compare-devices")
    assert "| 3 | a, written | 50.0 % | 40.0 |" in text
    assert aged_of([]) == (None, [])


def test_a_device_of_ones_own_gets_a_rate_of_its_own():
    own = CompareDevicesConfig(devices=("pcm", "my.toml"))
    assert own.resolved().tune == 6
    assert replace(own, tune=3).resolved().tune == 3
    assert replace(own, tune=0).resolved().tune == 0
    assert replace(own, quick=True).resolved().tune == 0
    assert CompareDevicesConfig(devices=("pcm",)).resolved().tune is None
    with pytest.raises(ValueError, match="`tune` must be 0 or more, but is -1"):
        CompareDevicesConfig(tune=-1)


def paper_row(network, strength, seed, accuracy, *, did_learn=True, vcp=0.0):
    sharing = {"local1": {"euclidean 1": 0.1, "orthogonal 1": 0.12, "cosine 1": 0.9, "snr": 0.01}}
    names = ("plain", "translation", "rotation", "noise", "edge-noise", "quadrant-swap")
    return PaperRow(
        point=PaperPoint(Setting("in-situ", "ecram"), network, strength, vcp, seed), run="", command="",
        history=[{"epoch": 1, "accuracy": 0.0, "validation_accuracy": accuracy}],
        start=sharing if network == "fcn" else {}, trained=sharing if network == "fcn" else {},
        fit={"training": accuracy, "validation": accuracy},
        chips=[[{"time": None, "scores": dict.fromkeys(names, accuracy), "sharing": sharing}]],
        energy_per_epoch=1e6, energy_per_image=2.0, did_learn=did_learn,
    )  # fmt: skip


def test_the_papers_answers_leave_out_what_did_not_learn_and_say_so():
    rows = [paper_row(network, 0.0, seed, 0.9) for network in ("fcn", "cnn") for seed in (0, 1)]
    rows += [paper_row("fcn", 0.2, 0, 0.8), paper_row("fcn", 0.2, 1, 0.8)]
    rows += [paper_row("cnn", 0.2, seed, 0.1, did_learn=False) for seed in (0, 1)]
    rows += [paper_row("fcn", 0.2, 0, 0.1, did_learn=False, vcp=0.6)]
    found = answers(Rows(rows))
    for (sentence,) in found.values():
        assert (
            "Not counted, as they did not learn: CNN with shifts of 0.2 (seed 0, 1); FCN with shifts of"
            in (sentence)
        )
        assert "60 % of the inputs absent (seed 0)." in sentence
        assert "+70.0" not in sentence  # the FCN is not praised for the CNN's failure
    (price,) = found["3. Can acceptable accuracy be reached without it, and at which price?"]
    assert "µJ" not in price
    accuracy, _, absent = tables(Rows(rows), is_papers_data=False)
    assert [line[1] for line in accuracy[1]] == ["FCN", "CNN", "FCN", "CNN, did not learn"]
    assert [line[2:5] for line in absent[1]] == [
        ["0 %", "80.0 ± 0.0 %", "2"], ["60 %, did not learn", "10.0 %", "-"],
    ]  # fmt: skip
    assert RULE in paper_notes(Rows(rows), False)
    marks = [line for line in paper_records(rows) if line["what"] == "did_learn"]
    assert [line["value"] for line in marks] == [1] * 6 + [0] * 3
    some = [replace(row, did_learn=row.point.seed == 0) for row in rows if row.point.network == "fcn"]
    assert tables(Rows(some), False)[1][1][0][1] == "0, 1 of 2 did not learn"


def test_the_table_of_learning_in_situ_marks_them():
    def told(*rows):
        found = [
            InSituRow(device=device, placement="free", seed=0, run="", command="", accuracy=accuracy, pulses=None,
                      did_learn=did_learn)
            for device, accuracy, did_learn in rows
        ]  # fmt: skip
        return markdown_of("", in_situ_findings(found, {}, Path("nowhere")).sections)

    text = told(("ecram", 0.9, True), ("ecram", 0.1, False), ("pcm", 0.1, False), ("pcm", 0.1, False))
    assert "| ecram | 50.0 ± 56.6, 1 of 2 did not learn |" in text
    assert "| pcm | 10.0 ± 0.0, did not learn |" in text
    assert RULE in text
    assert RULE not in told(("ecram", 0.9, True))


@pytest.mark.parametrize("did_learn", [True, False])
def test_figures_show_them_apart(did_learn, monkeypatch):
    from experiments.studies.paper import figures

    drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: drawn.append(figure))
    rows = Rows(
        [
            paper_row(network, 0.0, seed, 0.5, did_learn=did_learn)
            for network in ("fcn", "cnn")
            for seed in (0, 1)
        ]
    )
    figures.draw_translation(rows, False, Path())
    figures.draw_price(rows, False, Path())
    translation, price = drawn
    rings = [
        line for line in translation.axes[0].lines if line.get_markersize() == 11 and len(line.get_xdata())
    ]
    assert bool(rings) == (not did_learn)
    assert ("did not learn" in translation.get_supxlabel()) == (not did_learn)
    by_epoch, by_energy = price.axes[:2]
    assert {line.get_linestyle() for line in by_epoch.lines} == {"-" if did_learn else ":"}
    assert bool(by_energy.lines) == did_learn


@pytest.mark.parametrize(("trained", "expected"), [(0.9, "run"), (0.1, "run, did not learn")])
def test_a_single_learning_curve_says_so(trained, expected):
    assert title_of(RunFolder(Path("runs/run")), result(trained)) == expected
