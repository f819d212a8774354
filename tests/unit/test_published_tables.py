"""Published tables as data, and the verdicts on what was computed: no cell is lost, none agrees by accident."""

import math
from pathlib import Path

import pytest

from experiments.studies.paper.published import published_scores
from experiments.studies.published.judgement import counts_of, judge, sections_of
from experiments.studies.published.reproduction import Ask
from experiments.studies.published.seed_paper import SeedPaper
from experiments.studies.published.study import judged
from experiments.studies.published.tables import Cell, Rule, key_of, load_table, table_names

# What the sources print: rows times columns.
CELLS = {
    "anchors": 5,
    "chip-bill": 9,
    "learning-rules": 3 * 4 * 6,
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
    said = judge(table, {first.key: first.published}, is_smoke=False, remark="10 epochs")
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
        made.remark = lambda: remark
        return made

    first, second = table.cells[0], table.cells[1]
    longer = source({first.key: first.published}, "60 epochs")
    shorter = source({first.key: 0.0, second.key: second.published}, "10 epochs")
    found = judged(table, [longer, shorter], is_smoke=False)
    assert [one.text for one in found[:3]] == ["agrees (60 epochs)", "agrees (10 epochs)", "not run"]
