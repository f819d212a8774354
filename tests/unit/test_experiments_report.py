"""The table and the figures say what the result says."""

from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.colors import same_color

from experiments.drawing import figures
from experiments.drawing.run_tables import table
from experiments.runs.result import Result

RESULT = Result(
    model="fcn_digits", placement="free", data="digits", mode="hwa", device="pcm", compensation="global",
    seed=3, test_images=200, digital_accuracy=0.98, times=(1.0, 3600.0, 2592000.0),
    accuracy={"none": [[0.96, 0.94, 0.50], [0.98, 0.90, 0.60]],
              "global": [[0.96, 0.95, 0.94], [0.98, 0.97, 0.96]]},
)  # fmt: skip


def test_table():
    assert table(RESULT) == "\n".join(
        [
            "fcn_digits (free) on digits, trained hardware-aware, seed 3, 200 test images",
            "",
            "digital, the same weights               98.0 %",
            "",
            "2 pcm chips after              no compensation  global compensation",
            "  1 second                        97.0 ± 1.4 %         97.0 ± 1.4 %",
            "  1 hour                          92.0 ± 2.8 %         96.0 ± 1.4 %",
            "  1 month                         55.0 ± 7.1 %         95.0 ± 1.4 %",
        ]
    )


def test_extrapolated_times_are_marked_in_the_table():
    lines = table(replace(RESULT, extrapolated=(2592000.0,))).splitlines()
    assert [line.split("  ")[1] for line in lines if "±" in line] == ["1 second", "1 hour", "1 month *"]
    assert lines[-2:] == ["", "* extrapolated: beyond the times for which pcm was measured."]
    assert "extrapolated" not in table(RESULT)


def test_extrapolated_times_are_hollow_in_the_figure(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: drawn.append(figure.axes[0]))
    figures.draw_accuracy_over_time(replace(RESULT, extrapolated=(2592000.0,)), tmp_path / "unused.png")
    figures.draw_accuracy_over_time(RESULT, tmp_path / "unused.png")
    hollow = [
        [tuple(line.get_xdata()) for line in axes.lines if same_color(line.get_markerfacecolor(), "white")]
        for axes in drawn
    ]
    assert hollow == [[(2592000.0,)] * 2, [()] * 2]
    notes = [any("hollow: extrapolated" in text.get_text() for text in axes.texts) for axes in drawn]
    assert notes == [True, False]


def test_results_of_earlier_versions_have_no_extrapolated_times():
    earlier = RESULT.to_json()
    del earlier["extrapolated"]
    assert Result.from_json(earlier) == RESULT
    marked = replace(RESULT, extrapolated=(3600.0,))
    assert Result.from_json(marked.to_json()) == marked
    assert marked.to_json()["extrapolated"] == [3600.0]


def test_copies_in_one_line():
    copies = {
        "local1": [
            {"time": None, "rms": 0.0123, "largest": 0.08},
            {"time": 1.0, "rms": 0.5, "largest": 0.7},
            {"time": 3600.0, "rms": 0.034, "largest": 0.2},
        ],
        "local2": [{"time": 1.0, "rms": 0.02, "largest": 0.1}],
    }
    lines = table(replace(RESULT, copies=copies)).splitlines()
    assert lines[-2:] == [
        "",
        "Copies of one kernel differ, rms (most): local1 1.2 % (8 %) as trained, 3.4 % (20 %) after 1 hour; "
        "local2 2 % (10 %) after 1 second.",
    ]
    assert Result.from_json(replace(RESULT, copies=copies).to_json()).copies == copies


def test_a_chip_that_was_written_while_it_learned():
    written = replace(RESULT, mode="write-verify", as_trained=(0.5, 0.7), accuracy={}, times=())
    text = table(written)
    assert ", trained by write-verify, seed 3" in text
    assert "pcm, as trained" in text
    assert text.endswith(
        "One trained chip, 2 readings of it. No accuracy over time: pcm has no model of drift."
    )


def test_one_chip_has_no_spread():
    one = Result.from_json({**RESULT.to_json(), "accuracy": {"none": [[0.5, 0.25, 0.125]]}})
    assert one.mean_and_std("none") == [(0.5, None), (0.25, None), (0.125, None)]
    assert "±" not in table(one)
    assert "1 pcm chip after" in table(one)


def test_results_survive_json():
    assert Result.from_json(RESULT.to_json()) == RESULT


def test_damaged_results_are_refused():
    damaged = RESULT.to_json()
    del damaged["times"]
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged result\.json"):
        Result.from_json(damaged)


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are drawn."""
    kept = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: kept.append(figure))
    return kept


def test_accuracy_over_time_shows_means_times_and_the_digital_line(drawn, tmp_path):
    figures.draw_accuracy_over_time(RESULT, tmp_path / "x.png")
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 second", "1 hour", "1 month"]
    lines = {tuple(round(float(y), 6) for y in line.get_ydata()): line for line in axes.lines}
    assert lines[(0.98, 0.98)].get_linestyle() != "-"
    without, compensated = lines[(0.97, 0.92, 0.55)], lines[(0.97, 0.96, 0.95)]
    assert list(without.get_xdata()) == [1, 3600, 2592000]
    assert not same_color(without.get_color(), compensated.get_color())
    names = {text.get_text(): text.get_color() for text in axes.texts}
    assert same_color(names["no compensation"], without.get_color())
    assert same_color(names["global compensation"], compensated.get_color())
    low, high = axes.get_ylim()
    assert low < 0.50
    assert high > 0.98


def test_names_at_the_ends_keep_apart_and_many_ticks_are_thinned(drawn, tmp_path):
    times = (1.0, 2.0, 3.0, 60.0, 3600.0, 7200.0, 86400.0)
    same = [[0.9] * len(times)]
    figures.draw_accuracy_over_time(
        Result.from_json({**RESULT.to_json(), "times": times, "accuracy": {"none": same, "global": same}}),
        tmp_path / "x.png",
    )
    (axes,) = drawn[0].axes
    low, high = axes.get_ylim()
    heights = sorted(text.xy[1] for text in axes.texts if hasattr(text, "xy"))
    assert len(heights) == 3
    assert min(b - a for a, b in pairwise(heights)) >= 0.0599 * (high - low)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "1 second",
        "3 seconds",
        "1 minute",
        "1 hour",
        "1 day",
    ]


def test_learning_curve_shows_the_log(drawn, tmp_path):
    keys = ("loss", "validation_loss", "accuracy", "validation_accuracy")
    history = [{"epoch": e, **{key: (i + 1) / (e + 10) for i, key in enumerate(keys)}} for e in (1, 2, 3)]
    figures.draw_learning_curve(history, "a run", tmp_path / "x.png")
    curves = [[list(line.get_ydata()) for line in axes.lines] for axes in drawn[0].axes]
    assert curves == [[[r[key] for r in history] for key in pair] for pair in (keys[:2], keys[2:])]
    assert [line.get_label() for line in drawn[0].axes[0].lines] == ["training", "validation"]


def test_figures_are_written_as_png(tmp_path):
    figures.draw_accuracy_over_time(RESULT, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n")
