"""Values of files become what type hints promise, or are refused by name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest

from experiments.runs.result import Result
from experiments.support.typed_values import typed


@dataclass(frozen=True)
class Part:
    ohm: Annotated[float, "ohm"]
    count: int = 1

    def __post_init__(self) -> None:
        if self.ohm < 0:
            raise ValueError("`ohm` must be 0 or more")


class Look(TypedDict):
    time: float | None
    rms: float


@dataclass(frozen=True, kw_only=True)
class Whole:
    name: str
    mode: Literal["a", "b"]
    is_on: bool
    part: Part | None
    ends: tuple[int, int]
    times: tuple[float, ...] = ()
    folder: Path = Path()
    looks: dict[str, list[Look]] = field(default_factory=dict)
    by_time: dict[float, list[float]] = field(default_factory=dict)
    anything: Any = None


GOOD: dict[str, Any] = {
    "name": "x", "mode": "a", "is_on": True, "part": {"ohm": 1}, "ends": [1, 2], "times": [1, 2.5], "folder": "runs",
    "looks": {"local1": [{"time": None, "rms": 0.5}]}, "by_time": {"1.5": [0.5]}, "anything": [1],
}  # fmt: skip


def test_good_values():
    whole = typed(Whole, GOOD)
    assert whole.part == Part(1.0)
    assert type(whole.part.ohm) is float
    assert (whole.ends, whole.times, whole.folder) == ((1, 2), (1.0, 2.5), Path("runs"))
    assert whole.by_time == {1.5: [0.5]}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"name": 3}, r"it\.name must be a text, but is 3"),
        ({"mode": "evil"}, r"it\.mode must be one of a, b, but is 'evil'"),
        ({"is_on": 1}, r"it\.is_on must be true or false"),
        ({"part": {"ohm": True}}, r"it\.part\.ohm must be a number, but is True"),
        ({"part": {"ohm": -1.0}}, "`ohm` must be 0 or more"),
        ({"part": {"ohm": 1.0, "count": 2.0}}, r"it\.part\.count must be a whole number"),
        ({"part": {"ohm": 1.0, "kount": 2}}, r"it\.part must not have the key 'kount'"),
        ({"part": {}}, r"it\.part must have the key 'ohm'"),
        ({"part": [1.0]}, r"it\.part must be a table"),
        ({"ends": [1]}, r"it\.ends must be a list of 2"),
        ({"ends": 1}, r"it\.ends must be a list"),
        ({"times": [1.0, None]}, r"it\.times\[1\] must be a number, but is None"),
        ({"times": [float("nan")]}, r"it\.times\[0\] must be a number, but is nan"),
        ({"folder": 1}, r"it\.folder must be a path"),
        ({"looks": 7}, r"it\.looks must be a table, but is 7"),
        ({"looks": {"a": [{"time": 1.0}]}}, r"it\.looks\.a\[0\] must have the key 'rms'"),
        ({"by_time": {"soon": []}}, r"a key of it\.by_time must be a number, but is 'soon'"),
        ({"extra": 1}, "it must not have the key 'extra'"),
        ({"name": "x" * 500, "is_on": "y" * 500}, r"is_on must be true or false, but is 'y{50,60}\.\.\.$"),
    ],
)
def test_bad_values_are_named(damage, sentence):
    with pytest.raises(ValueError, match=sentence):
        typed(Whole, {**GOOD, **damage})


RESULT = Result(
    model="fcn_digits", placement="free", data="digits", mode="hwa", device="pcm", compensation="global", seed=3,
    test_images=200, digital_accuracy=0.98, times=(1.0, 3600.0), accuracy={"none": [[0.96, 0.94], [0.98, 0.90]]},
)  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        {"mode": "evil"}, {"accuracy": None}, {"accuracy": {"none": None}}, {"accuracy": {"none": [[0.9]]}},
        {"accuracy": {"none": [[0.9, 1.1]]}}, {"accuracy": {"magic": [[0.9, 0.9]]}}, {"accuracy": {"none": []}},
        {"accuracy": {"none": [[0.9, 0.9]], "global": [[0.9, 0.9]] * 2}}, {"copies": 7}, {"copies": {"local1": 1}},
        {"compensation": "magic"}, {"digital_accuracy": 98}, {"digital_accuracy": "0.98"}, {"seed": True},
        {"test_images": 0}, {"times": [1.0, -1.0]}, {"extrapolated": [7.0]}, {"yields": [2.0]}, {"as_trained": 0.5},
        {"extra": 1},
    ],
)  # fmt: skip
def test_a_result_that_no_evaluation_finds_is_refused(damage):
    assert Result.from_json(RESULT.to_json()) == RESULT
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged result\.json, but "):
        Result.from_json({**RESULT.to_json(), **damage})
