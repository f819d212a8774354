"""Answers are counted by class and answer, and told class by class."""

from dataclasses import replace

import pytest
import torch
from matplotlib.figure import Figure

from experiments.data.confusion import MOST_CLASSES, ConfusionLog
from experiments.data.objective import Objective
from experiments.drawing import confusion_figure
from experiments.drawing.confusion_tables import class_sections, class_table
from experiments.runs.result import Result

RESULT = Result(
    model="cnn_digits", placement="free", data="own.npz", mode="hwa", device="pcm", compensation="global", seed=0,
    test_images=5, digital_accuracy=0.8, times=(1.0, 3600.0),
    accuracy={"none": [[0.6, 0.2], [0.6, 0.2]], "global": [[0.6, 0.6], [0.6, 0.4]]},
    confusion={"digital": [[2, 1, 0], [0, 2, 0], [0, 0, 0]], "aged": [[1, 3, 2], [0, 4, 0], [0, 0, 0]]},
)  # fmt: skip


def scores_of(answers: list[int], classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(answers), classes).float()


def test_answers_add_up_over_batches_by_class_and_answer():
    log = ConfusionLog(Objective())
    log.note("aged", scores_of([0, 1, 1], 3), torch.tensor([0, 0, 1]))
    log.note("aged", scores_of([2, 1], 3), torch.tensor([0, 1]))
    log.note("digital", scores_of([2], 3), torch.tensor([2]))
    counted = log.counted()
    assert list(counted) == ["digital", "aged"]
    assert counted["aged"] == [[1, 1, 1], [0, 2, 0], [0, 0, 0]]


def test_every_position_of_a_sequence_counts():
    log = ConfusionLog(Objective())
    log.note("digital", scores_of([0, 1, 1, 1], 2).reshape(2, 2, 2), torch.tensor([[0, 0], [1, 1]]))
    assert log.counted() == {"digital": [[1, 1], [0, 2]]}


@pytest.mark.parametrize(
    ("objective", "outputs"),
    [(Objective("mse", "r2"), 3), (Objective(), MOST_CLASSES + 1)],
    ids=["a regression", "too many classes"],
)
def test_nothing_is_counted_of(objective, outputs):
    log = ConfusionLog(objective)
    log.note("digital", torch.ones(2, outputs), torch.zeros(2, dtype=torch.int64))
    assert log.counted() == {}


def test_a_table_class_by_class():
    assert class_table(RESULT).splitlines() == [
        "class  images  digital  2 chips after 1 hour  most taken for",
        "0           3   66.7 %                16.7 %  1 (50.0 %)",
        "1           2  100.0 %               100.0 %  -",
        "2           0        -                     -  -",
    ]
    assert class_table(replace(RESULT, confusion={})) == ""


def test_plain_numbers_are_those_of_the_matrices():
    records = class_sections(RESULT)[0].records
    for state, counts in RESULT.confusion.items():
        found = torch.zeros(3, 3, dtype=torch.int64)
        for record in records:
            if record["answers_of"] == state:
                found[record["class"], record["answer"]] = record["images"]
        assert found.tolist() == counts


def test_a_figure_has_a_panel_for_each_state_and_a_number_in_each_field(monkeypatch, tmp_path):
    drawn: list[Figure] = []
    monkeypatch.setattr(confusion_figure, "save_figure", lambda figure, path: drawn.append(figure))
    confusion_figure.draw_confusion(RESULT, "a run", tmp_path / "confusion.png")
    panels = drawn[0].axes[:2]
    assert [axes.get_title(loc="left") for axes in panels] == ["digital", "2 chips after 1 hour"]
    numbers = [
        {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
        for axes in panels
    ]
    assert numbers[1] == {(0, 0): "1", (0, 1): "3", (0, 2): "2", (1, 1): "4"}


def test_results_of_earlier_versions_have_none():
    earlier = RESULT.to_json()
    assert Result.from_json(earlier) == RESULT
    del earlier["confusion"]
    assert Result.from_json(earlier).confusion == {}


def test_a_matrix_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`confusion` must count every class by every class, 0 or more"):
        replace(RESULT, confusion={"digital": [[1, 0], [0]]})
