"""What `xbar paper` says of a study whose numbers were made up, so that its sentences and tables are known."""

import csv
import io
from pathlib import Path

import pytest

from experiments.drawing.sections import Section, csv_of
from experiments.studies.paper import figures as paper_figures
from experiments.studies.paper.answers import answers
from experiments.studies.paper.points import DIGITAL, Point, Setting
from experiments.studies.paper.rows import Row, Rows, score_of
from experiments.studies.paper.tables import markdown, records, tables
from experiments.support.durations import parse_times

HWA = Setting("hwa", "pcm")
IN_SITU = Setting("in-situ", "ecram")
YEAR = parse_times("1y")[0]
NAMES = ("plain", "translation", "rotation", "noise", "edge-noise", "quadrant-swap")


def row(setting, network, strength, seed, plain, shifted, *, fit=0.0, distance=0.1, vcp=0.0, energy=None):
    """A run: plain and shifted validation accuracies, what training images have more, and its kernels."""
    scores = dict.fromkeys(NAMES, 0.5) | {"plain": plain, "translation": shifted}
    sharing = {
        "local1": {"euclidean 1": distance, "orthogonal 1": 0.12, "cosine 1": 0.99 - distance, "snr": 0.01}
    }
    history = [
        {"epoch": epoch, "accuracy": 0.0, "validation_accuracy": plain * epoch / 2}
        | {f"validation_{name}": score for name, score in scores.items() if name != "plain"}
        for epoch in (1, 2)
    ]
    look = {"time": 1.0, "scores": scores, "sharing": sharing}
    aged = {
        "time": YEAR,
        "scores": {name: score - 0.1 for name, score in scores.items()},
        "sharing": {"local1": sharing["local1"] | {"euclidean 1": distance + 0.01, "cosine 1": 0.98}},
    }
    chips = {"digital": [], "hwa": [[look, aged], [look, aged]], "in-situ": [[look | {"time": None}]]}
    return Row(
        point=Point(setting, network, strength, vcp, seed),
        run=f"run-{seed}",
        command="xbar train",
        history=history,
        start={"local1": {"euclidean 1": 0.109, "cosine 1": 0.999}} if network == "fcn" else {},
        trained=sharing if network == "fcn" else {},
        fit={"training": plain + fit, "validation": plain},
        chips=chips[setting.mode],
        energy_per_epoch=energy,
        energy_per_image=None if setting == DIGITAL else 2.0 if network == "fcn" else 1.0,
        work_per_epoch=None if energy is None else 0.5e6,
        work_per_image=None if setting == DIGITAL else 0.75,
    )


def study(setting, *, energies=(None, None)):
    rows = []
    for seed in (0, 1):
        more = 0.01 * seed
        for strength, plain, shifted, less in ((0.0, 0.95, 0.38, 0.01), (0.2, 0.93, 0.90, 0.02)):
            rows.append(
                row(setting, "fcn", strength, seed, plain + more, shifted + more, fit=0.02 + more,
                    distance=0.1 - strength / 10 + more / 10, energy=energies[0])
            )  # fmt: skip
            cnn = row(
                setting, "cnn", strength, seed, plain + less, shifted + less, fit=0.01, energy=energies[1]
            )
            rows.append(cnn)
        rows.append(row(setting, "fcn", 0.2, seed, 0.8, 0.7, vcp=0.6, energy=energies[0]))
    return rows


def sentences(*rows):
    return ["".join(found) for found in answers(Rows([row for study in rows for row in study])).values()]


def test_floating_point():
    overfitting, translation, price, emergence = sentences(study(DIGITAL))
    # Two seeds: the 95 % interval of a mean is 12.7 standard errors, here of half the difference between them.
    assert "is +2.5 ± 6.4 points (FCN) and +1.0 ± 0.0 points (CNN)" in overfitting
    assert "on validation images the FCN has -0.5 ± 6.4 points against the CNN" in overfitting
    assert (
        "FCN 38.5 ± 0.7 % on shifted images, trained with shifts of 0.2 90.5 ± 0.7 %; CNN 39.0" in translation
    )
    assert (
        "trained with shifts of 0.2 92.0 ± 0.0 %. The FCN has -1.5 ± 6.4 points against the CNN."
        in translation
    )
    assert "with shifts of 0.2, the FCN has -1.5 ± 6.4 points against the CNN; with inputs absent" in price
    assert "0 % 93.5 ± 0.7 %, 60 % 80.0 ± 0.0 %" in price
    assert "energy" not in price
    assert (
        "goes from 0.1090 to 0.1005 ± 0.0007 without shifts and 0.0805 ± 0.0007 with shifts of 0.2"
        in emergence
    )
    assert "a year" not in emergence


def test_networks_that_share_no_seed_are_told_but_not_compared():
    rows = [row for row in study(DIGITAL) if (row.point.network == "fcn") == (row.point.seed == 0)]
    overfitting, translation, _, _ = sentences(rows)
    assert overfitting == ""
    assert translation.endswith("CNN 39.0 % on shifted images, trained with shifts of 0.2 92.0 %.")


def test_programmed_chips_are_read_after_a_year():
    _, translation, price, emergence = sentences(study(HWA))
    assert "with shifts of 0.2 90.5 ± 0.7 %, 80.5 ± 0.7 % a year later; CNN" in translation
    assert "-0.0895 ± 0.0064, on chips a year later -0.0190 ± 0.0000 from the start." in emergence
    assert "an image costs 2 µJ (FCN) and 1 µJ (CNN) with static power of all arrays" in price
    assert ", 0.75 µJ (FCN) and 0.75 µJ (CNN) without static power" in price


def test_equal_energy_is_that_of_the_cheaper_training():
    _, _, price, _ = sentences(study(IN_SITU, energies=(1.6e6, 1e6)))
    # The CNN's two epochs take 2 J, 1.25 epochs of the FCN, whose accuracy is then 0.625 of 0.93 and 0.94.
    assert "as much energy (2 J on the chip, with static power of all arrays while the" in price
    assert "network works) -36.6 ± 4.0 points" in price
    # Without static power both take as much, so that all epochs are compared.
    assert "and after as much energy (1 J on the chip, without static power) -1.5 ± 6.4 points" in price


def test_tables_show_the_published_values_beside_floating_point_only():
    rows = Rows(study(DIGITAL) + study(HWA))
    accuracy, distances, absent = tables(rows, is_papers_data=True)
    cells = {tuple(line[:3]): line[3:] for line in accuracy[1]}
    assert cells["published", "FCN", "0.2"][:2] == ["99.0 %", "97.7 %"]
    assert cells["digital", "FCN", "0.2"][:2] == ["93.5 ± 0.7 %", "90.5 ± 0.7 %"]
    assert cells["hardware-aware, pcm", "CNN", "0"][0] == "96.0 ± 0.0 % (1 y: 86.0 ± 0.0 %)"
    assert sum(line[0] == "published" for line in accuracy[1]) == 4
    assert distances[1][1][2:6] == ["0.1090 ± 0.0000", "0.0805 ± 0.0007", "0.1200 ± 0.0000", "-"]
    assert distances[1][1][6:9] == ["0.9990 ± 0.0000", "0.9095 ± 0.0007", "-"]
    assert distances[1][3][5] == "0.0905 ± 0.0007"
    assert distances[1][3][8] == "0.9800 ± 0.0000"
    assert distances[1][1][-1] == "0.109, then 0.1"
    assert [line[:4] for line in absent[1] if line[0] == "digital"] == [
        ["digital", "0.2", "0 %", "93.5 ± 0.7 %"],
        ["digital", "0.2", "60 %", "80.0 ± 0.0 %"],
    ]
    assert all(line[0] != "published" for line in tables(rows, is_papers_data=False)[0][1])


def test_floating_point_as_brief_as_hardware_is_told_apart():
    control = Setting("digital", is_control=True)
    rows = Rows(study(DIGITAL) + study(control))
    text = markdown(rows, "xbar paper", True, {"one": "broke"})
    assert "- Digital control: without shifts" in text
    assert text.count("| published | FCN") == 2  # not again
    assert "\nDigital control: floating point with as many images and epochs as on hardware.\n" in text
    assert text.endswith("Failed: one: broke\n")


def test_the_tidy_file_has_every_number_once():
    found = list(csv.DictReader(io.StringIO(csv_of([Section(records=list(records(study(HWA)[:2])))]))))
    mine = [line for line in found if line["network"] == "fcn"]
    keys = [(line["chip"], line["time"], line["epoch"], line["what"]) for line in mine]
    assert len(set(keys)) == len(keys)
    by_key = {key: float(line["value"]) for key, line in zip(keys, mine, strict=True)}
    assert by_key["1", repr(YEAR), "", "validation_translation"] == pytest.approx(0.28)
    assert by_key["", "", "1", "validation_accuracy"] == pytest.approx(0.475)
    assert by_key["", "", "", "fit_training"] == pytest.approx(0.97)
    assert by_key["0", repr(YEAR), "", "local1 euclidean 1"] == pytest.approx(0.11)
    assert {line["device"] for line in mine} == {"pcm"}


def test_networks_with_other_placements_stand_after_the_papers():
    blocks = [row(DIGITAL, "blocks(rows=2,cols=2)", 0.0, seed, 0.97 + 0.01 * seed, 0.3) for seed in (0, 1)]
    rows = Rows([*blocks, *study(DIGITAL)])
    assert rows.networks() == ["fcn", "cnn", "blocks(rows=2,cols=2)"]
    assert Rows(blocks).networks() == ["blocks(rows=2,cols=2)"]
    _, lines = tables(rows, is_papers_data=True)[0]
    of_blocks = [line for line in lines if line[1].startswith("blocks")]
    assert of_blocks == [
        ["digital", "blocks(rows=2,cols=2)", "0", "97.5 ± 0.7 %", "30.0 ± 0.0 %", *["50.0 ± 0.0 %"] * 4]
    ]
    # The CNNs have 96 % with both seeds.
    difference = rows.difference(score_of("plain"), DIGITAL, 0.0, "blocks(rows=2,cols=2)")
    assert difference is not None
    assert difference.value == pytest.approx(0.015, abs=1e-12)
    only_plain = Rows([one for one in rows.rows if one.point.strength == 0])
    _, translation, price, emergence = ("".join(found) for found in answers(only_plain).values())
    assert "blocks(rows=2,cols=2) has +1.5 ± 6.4 points against the CNN" in price
    assert "trained with" not in translation
    assert "with shifts of" not in emergence


def test_a_study_without_whole_images_does_not_speak_of_them():
    text = "".join(sentences([one for one in study(DIGITAL) if one.point.strength == 0.2]))
    assert "without shifts" not in text
    assert "with shifts of 0.2, accuracy on training images" in text
    assert "FCN 90.5 ± 0.7 % on shifted images, trained with shifts of 0.2; CNN" in text


@pytest.fixture
def drawn(monkeypatch):
    """Figures are kept instead of written."""
    figures = []
    monkeypatch.setattr(paper_figures, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def test_curves_are_compared_at_strengths_that_all_places_share(drawn):
    longer = [row(DIGITAL, "fcn", 0.4, seed, 0.9, 0.9) for seed in (0, 1)]
    paper_figures.draw_price(Rows([*study(DIGITAL), *longer, *study(HWA)]), False, Path())
    names = {text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()}
    assert names == {
        f"{network}, shifts of {strength}" for network in ("FCN", "CNN") for strength in (0, 0.2)
    }


def test_the_gap_between_training_and_validation_is_drawn(drawn):
    paper_figures.draw_overfitting(Rows(study(DIGITAL)), False, Path())
    upper, lower = drawn[0].axes
    means, *_ = lower.containers[0]
    assert means.get_ydata() == pytest.approx([0.025, 0.025], abs=1e-12)
    assert upper.get_ylabel() == "accuracy"
