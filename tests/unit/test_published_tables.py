"""Published tables as data, and the verdicts on what was computed: no cell is lost, none agrees by accident."""

import math
from pathlib import Path
from typing import Any

import pytest

from crossbar.tiles.tile_array import TileArray
from experiments.drawing.sections import Section, Table
from experiments.studies.paper.published import published_scores
from experiments.studies.published.explanations import OPEN_SETTINGS, REAL_TILES, explain, explain_claims
from experiments.studies.published.judgement import Pattern, counts_of, judge, sections_of
from experiments.studies.published.kept_results import KeptResults, joined
from experiments.studies.published.kept_studies import from_paper, key_at
from experiments.studies.published.reproductions.anchors import Anchors
from experiments.studies.published.reproductions.chip_bill import ChipBill
from experiments.studies.published.reproductions.layer_learning import configuration_of
from experiments.studies.published.reproductions.learning_rules import LearningRules
from experiments.studies.published.reproductions.learning_rules_lenet import LeNetRules
from experiments.studies.published.reproductions.mnist_on_devices import Piece, digital_network, network_of
from experiments.studies.published.reproductions.reproduction import Ask, Reproduction
from experiments.studies.published.reproductions.seed_paper import SeedPaper
from experiments.studies.published.reproductions.soft_bounds import SoftBounds
from experiments.studies.published.study import filled, judged, shared
from experiments.studies.published.tables import Cell, Rule, key_of, load_table, table_names
from experiments.support.json_files import write_json

# What the sources print: rows times columns.
CELLS = {
    "anchors": 5,
    "chip-bill": 9,
    "learning-rules": 3 * 4 * 6,
    "learning-rules-lenet": 3 * 6,
    "seed-paper": 2 * 11 * 2 * (3 + 2 * 3),
    "soft-bounds": 3 + 3 + 2 + 2 + 4 * 3,
}


def test_every_table_has_all_its_cells_once_and_says_where_it_is_from():
    assert set(table_names()) == set(CELLS)
    for name, number in CELLS.items():
        table = load_table(name)
        assert len({cell.key for cell in table.cells}) == len(table.cells) == number
        assert table.source
        assert table.rule.version >= 1
        assert table.rule.words.endswith(".")


@pytest.mark.parametrize(
    ("name", "key", "published"),
    [
        ("learning-rules", {"states": 100, "rule": "chopped-ttv2", "sigma_r": 0.5}, 3.0),
        ("learning-rules", {"states": 400, "rule": "ttv2", "sigma_r": 0.25}, 45.6),
        ("learning-rules-lenet", {"rule": "ttv2", "sigma_r": 0.25}, 8.23),
        ("soft-bounds", {"network": "fcn", "rule": "sgd", "response": "soft-bounds", "tau": 0.7}, 11.35),
        (
            "seed-paper",
            {
                "data": "mnist",
                "augmentation": "translation",
                "strength": 0.2,
                "network": "fcn",
                "measure": "translation",
            },
            97.7033,
        ),
    ],
)
def test_values_are_those_of_the_source(name, key, published):
    values = {cell.key: cell.published for cell in load_table(name).cells}
    assert values[key_of(key)] == pytest.approx(published)


def test_the_paper_is_drawn_with_its_own_table_not_with_what_was_read_off_plots():
    assert published_scores()["fcn", "plain"][0.99] == pytest.approx(0.965, abs=5e-4)
    assert published_scores()["cnn", "plain"][0.99] == pytest.approx(0.984, abs=5e-4)
    assert len(published_scores()["cnn", "translation"]) == 11


def cell(published, **more):
    return Cell(key=(("what", "x"),), published=published, **more)


def test_a_rule_allows_what_it_says_to_either_side():
    rule = Rule(version=1, date="2026-11-29", words="So.", relative=0.2, points=0.05)
    for sign in (-1, 1):
        assert rule.agrees(cell(10.0), 10 + sign * 2.05)
        assert not rule.agrees(cell(10.0), 10 + sign * 2.06)
    spread = Rule(version=1, date="2026-11-29", words="So.", spreads=3.0, points=0.5)
    assert spread.agrees(cell(97.0, spread=0.2), 95.9)
    assert not spread.agrees(cell(97.0, spread=0.2), 95.8)
    bands = Rule(version=1, date="2026-11-29", words="So.", bands=((95.0, 0.5), (0.0, 3.0)))
    assert bands.agrees(cell(50.0), 53.0)
    assert not bands.agrees(cell(95.0), 95.6)
    assert not rule.agrees(cell(10.0), math.nan)


def test_a_clause_of_a_rule_holds_for_its_cells_alone():
    table = load_table("chip-bill")
    cells = {dict(cell.key)["what"]: cell for cell in table.cells}
    for what, agrees, differs in (
        ("products", (641.0,), (640.0, 642.0)),
        ("energy in µJ", (1.81, 1.99), (1.80, 2.0)),
        ("accuracy without accumulation in %", (76.8, 78.8), (76.7, 78.9)),
        ("writes per weight", (10.3, 11.3), (10.2, 11.4)),
    ):
        assert all(table.rule.agrees(cells[what], computed) for computed in agrees)
        assert not any(table.rule.agrees(cells[what], computed) for computed in differs)


def test_where_learning_must_fail_it_must_fail():
    rule = load_table("soft-bounds").rule
    assert rule.agrees(cell(11.35, spread=0.0), 9.8)
    assert not rule.agrees(cell(11.35, spread=0.0), 15.1)
    assert rule.agrees(cell(15.0, is_bound=True), 14.9)
    assert not rule.agrees(cell(15.0, is_bound=True), 15.4)


def test_verdicts_name_every_cell_and_smoke_judges_none():
    table = load_table("learning-rules")
    first, second = table.cells[:2]
    computed = {first.key: first.published, second.key: 2 * second.published}
    verdicts = judge(table, computed, is_smoke=False)
    assert counts_of(verdicts) == {"agrees": 1, "differs": 1, "not run": len(table.cells) - 2}
    assert verdicts[1].text == f"differs by {second.published:+.3g}"
    assert counts_of(judge(table, computed, is_smoke=True))["smoke"] == 2
    (section,) = sections_of(table, verdicts)
    assert len(section.table.rows) == len(section.records) == len(table.cells)


def test_verdicts_say_with_how_much_less_training_and_scales_without_settings_are_the_papers():
    table = load_table("learning-rules")
    first = table.cells[0]
    said = judge(table, {first.key: first.published}, is_smoke=False, remarks={first.key: "10 epochs"})
    assert (said[0].text, said[1].text) == ("agrees (10 epochs)", "not run")
    assert not table.has("laptop")
    assert table.at("laptop") == table.at("paper")
    assert load_table("seed-paper").at("laptop")["epochs"] < load_table("seed-paper").at("paper")["epochs"]


def test_shorter_trainings_fill_the_gaps_of_longer_ones_and_say_so():
    ask = Ask(scale="paper", runs=Path("no-runs"), data_dir="data", threads=1)
    table = load_table("seed-paper")

    def source(value, remark):
        made = SeedPaper(table, ask)
        made.values = lambda: value
        made.remarks = lambda: dict.fromkeys(value, remark)
        return made

    first, second = table.cells[0], table.cells[1]
    longer = source({first.key: first.published}, "60 epochs")
    shorter = source({first.key: 0.0, second.key: second.published}, "10 epochs")
    found = judged(table, [longer, shorter], is_smoke=False)
    assert [one.text for one in found[:3]] == ["agrees (60 epochs)", "agrees (10 epochs)", "not run"]


def test_a_median_that_differs_is_told_with_fewer_epochs_and_the_last_one(monkeypatch, tmp_path):
    table = load_table("seed-paper")
    made = SeedPaper(table, Ask(scale="paper", runs=tmp_path, data_dir="", threads=1))
    right = [0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98]
    names = ("accuracy", "validation_accuracy", "validation_translation")
    history = [{**dict.fromkeys(names, value), "seconds": 3.0} for value in right]
    monkeypatch.setattr(made, "_finished", lambda: {("translation", 0.2, "cnn"): [history]})
    assert made.told(made.more())[0].holds is None  # shared kernels have no distance
    assert made.seconds() == 3 * len(right)
    found = judge(table, made.values(), is_smoke=False, remarks=made.remarks())
    why = made.explanations(found, made.more())
    key = key_at("translation", 0.2, "cnn", "translation")
    assert why[key] == "medians over (epochs): 91.00 (2), 93.00 (4), 95.50 (8); last epoch 98.00"
    assert set(why) == {one.cell.key for one in found if one.word == "differs"}
    assert [section.title for section in made.more()] == list(made.titles)[:1]


def test_what_the_seed_paper_says_of_distances_is_judged_by_its_trainings(monkeypatch, tmp_path):
    """Rotation never, noise from 0.8 on, shifts the more the stronger; a distance at the start is sqrt(2 / 169)."""
    made = SeedPaper(load_table("seed-paper"), Ask(scale="paper", runs=tmp_path, data_dir="", threads=1))

    def log(near, far):
        names = ("accuracy", "validation_accuracy", "validation_translation")
        ends = {"local1 euclidean 1": near, "local1 euclidean 4": far}
        return [[dict.fromkeys((*names, *ends), 0.5), dict.fromkeys(names, 0.9) | ends]]

    right = {
        ("rotation", 0.8, "fcn"): log(0.1079, 0.1080),
        ("noise", 0.4, "fcn"): log(0.1090, 0.1090),
        ("noise", 0.8, "fcn"): log(0.1070, 0.1075),
        ("translation", 0.1, "fcn"): log(0.1080, 0.1079),
        ("translation", 0.4, "fcn"): log(0.0800, 0.0840),
    }
    wrong = {
        ("rotation", 0.8, "fcn"): log(0.1076, 0.1080),
        ("noise", 0.4, "fcn"): log(0.1076, 0.1090),
        ("noise", 0.8, "fcn"): log(0.1078, 0.1075),
        ("translation", 0.4, "fcn"): log(0.1081, 0.1080),
    }
    for change, held in [({}, [True] * 5), (wrong, [False] * 5)]:
        monkeypatch.setattr(made, "_finished", lambda change=change: right | change)
        assert [claim.holds for claim in made.told(made.more())] == held
    assert {claim.holds for claim in made.told([])} == {None}


def test_augmentations_of_strength_zero_are_one_training(tmp_path):
    """They change no image: the paper prints one number for all of them, and here one training judges them."""
    table = load_table("seed-paper")
    made = SeedPaper(table, Ask(scale="paper", runs=tmp_path, data_dir="", threads=1))
    same = made.same()
    published = {cell.key: cell.published for cell in table.cells}
    assert len(same) == 2 * 3
    for key, other in same.items():
        assert published[key] == pytest.approx(published[other], abs=0.001)
    trained = key_at("translation", 0.0, "cnn", "plain")
    one = judge(table, {trained: 99.0}, is_smoke=False, remarks={trained: "60 epochs"})
    found = {verdict.cell.key: verdict.text for verdict in shared(table, one, same)}
    for kind in ("rotation", "noise", "edge_noise"):
        assert found[key_at(kind, 0.0, "cnn", "plain")] == "agrees (60 epochs)"
        assert found[key_at(kind, 0.0, "fcn", "plain")] == "not run"


def test_kept_studies_of_the_seed_paper_are_judged_and_say_how_they_were_trained():
    table = load_table("seed-paper")
    docs = Path(__file__).parents[2] / "docs"
    found = judge(table, {}, is_smoke=False)
    for name in ("paper_long_fcn.md", "paper_mnist.md"):
        found = filled(table, found, from_paper(docs / name))
    by_key = {one.cell.key: one for one in found}
    long = by_key[key_at("translation", 0.2, "fcn", "translation")]
    assert long.computed == 98.5
    assert long.text == "differs by +0.797 (xbar paper: last of 50 epochs, falling rate, 1 split)"
    short = by_key[key_at("translation", 0.0, "cnn", "plain")]
    assert short.text == "agrees (xbar paper: last of 6 epochs, falling rate, 3 splits)"
    # 2 networks x strengths 0, 0.1, 0.2 and 0.4 x plain and shifted images; the second study fills what is left.
    assert sum(one.computed is not None for one in found) == 2 * 4 * 2
    with pytest.raises(ValueError, match="`from_` must name studies of MNIST, but"):
        from_paper(docs / "paper_digits.md")
    with pytest.raises(ValueError, match="`from_` must name a table of `xbar paper`"):
        from_paper(docs / "index.md")


def test_every_cell_that_differs_is_explained_by_what_was_tested():
    """Of the kept study: real tiles first, then open settings; and what is kept comes out as it went in."""
    table = load_table("learning-rules")
    kept = KeptResults.read(Path(__file__).parents[2] / "docs" / "published")
    found = filled(table, judge(table, {}, is_smoke=False), kept.values(table))
    told = kept.completed(
        [], LearningRules(table, Ask(scale="paper", runs=Path("x"), data_dir="", threads=1)).titles
    )
    assert [section.title for section in told] == [REAL_TILES, "Whether it has settled", OPEN_SETTINGS]
    assert kept.hours(table) == 1.94
    assert counts_of(found) == {"agrees": 58, "differs": 14}
    why = explain(table, found, told)
    assert set(why) == {one.cell.key for one in found if one.word == "differs"}
    chopped = why[key_of({"states": 400.0, "rule": "chopped-ttv2", "sigma_r": 0.0})]
    assert chopped == (
        "real aihwkit tiles 0.953 %, as ours: not the emulator; agrees with gamma_0 1000 (1.48 %): a setting that "
        "the paper leaves open"
    )
    claims = explain_claims([Pattern(words="SGD's error falls", holds=False)], told)
    assert claims[0].why == (
        "real aihwkit tiles: 22.2 % at 20 states, 14.3 % at 100 states, 13.2 % at 400 states, an exponent of -0.17"
    )
    ttv2 = why[key_of({"states": 100.0, "rule": "ttv2", "sigma_r": 0.0})]
    assert ttv2 == "real tiles not run at so many states; no other setting tried"


def test_lines_of_pieces_at_hand_stand_before_kept_ones_of_the_same_words():
    own, earlier = (
        Section(title="t", table=Table(header=["a", "b"], rows=rows, align="lr"))
        for rows in ([["x", "1"]], [["x", "2"], ["y", "3"]])
    )
    kept = KeptResults(rows=[], sections=[earlier])
    (section,) = kept.completed([own], ["t"])
    assert section.table.rows == [["x", "1"], ["y", "3"]]
    # So do those of longer trainings before those of shorter ones.
    assert joined([own], [earlier]) == [section]


def test_trainings_that_explain_an_anchor_differ_in_what_they_say_and_judge_nothing(tmp_path):
    table = load_table("anchors")
    anchors = Anchors(table, Ask(scale="laptop", runs=tmp_path, data_dir="data", threads=1))
    judged_one, *others = anchors.pieces().values()
    assert len({piece.file for piece in anchors.pieces().values()}) == 1 + len(others)
    assert [piece.backend for piece in others].count("aihwkit") == 1
    assert "also" not in judged_one.settings
    judged_one.file.parent.mkdir(parents=True)
    key = key_of({"of": "aihwkit's LeNet, ConstantStep", "what": "test error after the first epoch"})
    for piece, accuracy in zip((judged_one, others[0]), (0.909, 0.915), strict=False):
        write_json(piece.progress, [{"epoch": 1, "test_accuracy": accuracy, "cpu_seconds": 2.0}])
    assert anchors.values() == {key: pytest.approx(9.1)}
    assert anchors.seconds() == 4
    found = judge(table, anchors.values(), is_smoke=False)
    why = anchors.explanations(found, anchors.more())
    assert why == {key: "real aihwkit tiles, the same devices, images and order: 8.50 %"}
    agreeing = judge(table, {key: 10.66}, is_smoke=False)
    assert anchors.explanations(agreeing, anchors.more()) == {}


def asked(kind: type[Reproduction], runs: Path) -> Any:
    return kind(load_table(kind.table_name), Ask(scale="paper", runs=runs, data_dir="data", threads=1))


def test_trials_name_what_they_change_and_leave_the_judged_settings_alone(tmp_path):
    study = asked(LearningRules, tmp_path)
    pieces = study.pieces()
    assert len({piece.file for piece in pieces.values()}) == len(pieces)
    trial = pieces["search, 20 states, agad, 40 different vectors, gamma_0 4000"]
    assert (trial.sigmas, trial.backend) == ((0.0, 0.25, 1.0), "aihwkit")
    assert trial.settings["different_vectors"] == 40
    assert trial.settings["auto_granularity"] == 4000
    first = pieces["search, 20 states, agad, gamma_0 1000, default converters"]
    assert (first.settings["fast_lr"], first.settings["different_vectors"]) == (0.1, 0)
    assert "trials" not in trial.settings
    assert any("ever new vectors" in name for name in pieces)
    # The paper's choppers are regular; aihwkit's are for AGAD, and random for chopped Tiki-Taka v2.
    for name, is_random in {
        "batched, 20 states, chopped-ttv2": False,
        "also, 20 states, chopped-ttv2, default choppers": True,
        "search, 20 states, chopped-ttv2, 40 different vectors, gamma_0 4000": True,
        "batched, 20 states, agad": False,
    }.items():
        piece = pieces[name]
        assert configuration_of(piece.rule, piece.settings, 20).device.in_chop_random is is_random
    # Another seed is tried with all settings as they are judged.
    other, judged_one = (
        pieces["also, 100 states, agad, other targets and devices (seed 1)"],
        pieces["batched, 100 states, agad"],
    )
    assert other.settings == judged_one.settings | {"seed": 1}
    # Trains of at most five pulses, as the paper says: of SGD, too, which has nothing else to set.
    for piece in pieces.values():
        assert configuration_of(piece.rule, piece.settings, piece.states).update.desired_bl == 5
    assert not {"auto_granularity", "choppers"} & pieces["batched, 20 states, sgd"].settings.keys()
    # Where a trial left a spread out, the table of trials shows no number, and no cell is explained by it.
    trial.file.parent.mkdir(parents=True)
    errors = [[0.045], [0.05], [0.06]]
    write_json(trial.file, {"sigma_r": [0.0, 0.25, 1.0], "errors": errors, "cpu_seconds": 1.0})
    (section,) = (section for section in study._searched() if section.title == OPEN_SETTINGS)
    (row,) = section.table.rows
    assert row[1:] == ["4.5", "-", "-", "5", "-", "6", "2 of 3"]
    agad = {sigma: key_of({"states": 20.0, "rule": "agad", "sigma_r": sigma}) for sigma in (0.0, 0.05, 0.25)}
    found = judge(study.table, dict.fromkeys(agad.values(), 9.0), is_smoke=False)
    why = explain(study.table, found, [section])
    assert why[agad[0.25]].endswith(
        "agrees with 40 different vectors, gamma_0 4000 (5 %): a setting that the paper leaves open"
    )
    assert why[agad[0.05]].endswith("no other setting tried")


def test_a_lenet_learns_by_its_rule_with_its_error_of_the_reference(tmp_path):
    study = asked(LeNetRules, tmp_path)
    pieces: dict[str, Piece] = study.pieces()
    assert len({piece.file for piece in pieces.values()}) == len(pieces) == 3 * 6
    for sigma in (0.0, 0.5):
        network = network_of(pieces[f"lenet, ttv2, sigma_r {sigma:g}"])
        array = next(module for module in network.modules() if isinstance(module, TileArray))
        assert array.in_situ is not None
        fast, slow = array.in_situ.cells.device_arrays().values()
        assert fast.reference is not None
        assert slow.reference is not None
        # Both are read against their symmetry points; the fast ones' error is added. Of 400 devices the standard
        # error of a spread is 3.5 % of it: five of them, and of the slow ones as much.
        expected = math.hypot(float(slow.reference.std()), sigma)
        assert float(fast.reference.std()) == pytest.approx(expected, rel=0.18 if sigma else 0.25)


def test_what_lenet_learned_is_judged_once_it_has_ended_and_until_then_says_how_far_it_is(tmp_path):
    study = asked(LeNetRules, tmp_path)
    good, begun = (study.pieces()[f"lenet, {rule}, sigma_r 1"] for rule in ("agad", "ttv2"))
    good.file.parent.mkdir(parents=True)
    for piece, accuracy in ((good, 0.9905), (begun, 0.8)):
        entry = {"epoch": 1, "test_accuracy": accuracy, "cpu_seconds": 2.0, "loss": 0.1}
        write_json(piece.progress, [entry])
    assert study.values() == {}
    write_json(good.file, {})
    found = {one.cell.key: one.text for one in judged(study.table, [study], is_smoke=False)}
    said = "(54,000 of the 60,000 training images, one seed)"
    assert found[key_of({"rule": "agad", "sigma_r": 1.0})] == f"agrees {said}"
    assert (
        found[key_of({"rule": "ttv2", "sigma_r": 1.0})] == "not run to the end: 20.00 % after 1 of 30 epochs"
    )
    assert [pattern.holds for pattern in study.patterns(study.values())] == [None] * 3
    both = study.values() | {key_of({"rule": "ttv2", "sigma_r": 1.0}): 20.0}
    assert [pattern.holds for pattern in study.patterns(both)] == [True, None, None]
    assert study.seconds() == 4
    assert [row[0] for row in study.more()[0].table.rows] == [
        "lenet, agad, sigma_r 1",
        "lenet, ttv2, sigma_r 1",
    ]


def test_a_lenet_may_have_the_tanh_that_the_first_script_had_after_its_second_pool():
    """As examples/4_lenet5_training.py of aihwkit 0.1.0 lists its modules."""
    names = [type(module).__name__ for module in digital_network("lenet", tanh_after_pool=True)]
    features = ["Conv2d", "Tanh", "MaxPool2d", "Conv2d", "Tanh", "MaxPool2d", "Tanh"]
    assert names == [*features, "Flatten", "Linear", "Tanh", "Linear"]
    del names[6]
    assert names == [type(module).__name__ for module in digital_network("lenet")]


@pytest.mark.parametrize(("kind", "number"), [(Anchors, 3), (ChipBill, 4), (SeedPaper, 198)])
def test_a_cell_that_no_scale_computes_says_why(kind, number, tmp_path):
    ask = Ask(scale="paper", runs=tmp_path, data_dir="data", threads=1)
    study = kind(load_table(kind.table_name), ask)
    said = [one.text for one in judge(study.table, {}, is_smoke=False, remarks=study.remarks())]
    assert sum(text.startswith("not run: ") for text in said) == number
    assert set(study.remarks()) <= {cell.key for cell in study.table.cells}


def test_a_training_that_has_not_ended_is_not_judged_and_says_how_far_it_is(tmp_path):
    table = load_table("soft-bounds")
    study = SoftBounds(table, Ask(scale="paper", runs=tmp_path, data_dir="data", threads=1))
    ended, begun = (
        next(
            piece
            for name, piece in study.pieces().items()
            if name.startswith(f"fcn, sgd, {response}, tau 0.7")
        )
        for response in ("power 1", "power 0.5")
    )
    ended.file.parent.mkdir(parents=True)
    entries = [{"epoch": 1, "test_accuracy": 0.1135, "cpu_seconds": 2.0}]
    write_json(ended.progress, entries * 30)
    write_json(ended.file, {"test_accuracy": 0.1135})
    write_json(begun.progress, entries * 2)
    found = {one.cell.key: one for one in judged(table, [study], is_smoke=False)}
    told = {one.text for one in found.values()}
    assert told == {
        "agrees (1 of 3 repeats, 54,000 of the 60,000 training images)",
        "not run to the end: 11.35 % after 2 of 30 epochs",
        "not run",
    }
    courses = study.more()[1].table.rows
    assert courses[0][1] == "11.35 11.35"
    # An earlier study neither takes the place of what is known, nor loses what it said.
    key = next(key for key, one in found.items() if "not run to the end" in one.remark)
    same = filled(table, list(found.values()), {key: (None, "one epoch")})
    assert same == list(found.values())
    (told_too,) = [
        one for one in filled(table, judge(table, {}, is_smoke=False), {key: (None, "so")}) if one.remark
    ]
    assert (told_too.cell.key, told_too.text) == (key, "so")


def test_a_training_with_a_changed_setting_explains_a_cell_and_never_judges_it(tmp_path):
    table = load_table("soft-bounds")
    study = SoftBounds(table, Ask(scale="paper", runs=tmp_path, data_dir="data", threads=1))
    start, changed = (
        "fcn, sgd, power 0.5, tau 0.7, repeat 0",
        "weights scaled to 0.6 of the range, as version 1 assumed",
    )
    fixed, other = study.pieces()[start], study.pieces()[f"{start}, {changed}"]
    scaling = [piece.settings["mapping"]["weight_scaling_omega"] for piece in (fixed, other)]
    assert scaling == [table.settings["mapping"]["weight_scaling_omega"], 0.6] == [0.0, 0.6]
    fixed.file.parent.mkdir(parents=True)
    for piece, accuracy in ((fixed, 0.1135), (other, 0.97)):
        write_json(piece.progress, [{"epoch": 1, "test_accuracy": accuracy, "cpu_seconds": 2.0}])
    write_json(other.file, {"test_accuracy": 0.97})
    assert study.values() == {}
    write_json(fixed.file, {"test_accuracy": 0.1135})
    found = judge(table, study.values(), is_smoke=False)
    assert counts_of(found) == {"differs": 1, "not run": len(table.cells) - 1}
    assert list(study.explanations(found, study.more()).values()) == [
        f"{changed}: 97.00 % after 1 of 30 epochs"
    ]
