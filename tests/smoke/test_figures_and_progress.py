"""Figures in other formats, and how far a command has come where nobody watches."""

import csv

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from experiments.cli import main
from experiments.drawing.figures import save_figure
from experiments.drawing.output.figure_page import new_figure
from experiments.support.progress_bar import progress_bar


def drawn():
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4], label="µS")
    return figure


def test_a_figure_in_every_format(tmp_path, monkeypatch):
    monkeypatch.setenv("XBAR_FIGURES", "svg,pdf")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_figure(drawn(), tmp_path / name / "figure.png")
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        content = (tmp_path / "a" / f"figure.{ending}").read_bytes()
        assert content.startswith(start)
        assert content == (tmp_path / "b" / f"figure.{ending}").read_bytes()  # no date in it


def test_the_option_of_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XBAR_FIGURES", "")
    monkeypatch.chdir(tmp_path)
    assert main(["devices", "ideal", "--format", "pdf", "--out", "sheets"]) == 0
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"ideal.png", "ideal.pdf", "ideal.csv"}
    assert main(["devices", "--format", "gif"]) == 2
    assert "`--format` must be png, svg, pdf or csv" in capsys.readouterr().err


def test_the_width_of_a_column(tmp_path, monkeypatch):
    """Three panels side by side stand below each other at 89 mm, and text has the size of print."""
    monkeypatch.setenv("XBAR_FIGURE_WIDTH", "single")
    with rc_context():
        figure = new_figure((12.0, 3.0))
        left, middle, right = figure.subplots(1, 3, sharey=True)
        left.set(
            ylabel="weight",
            title="a title that is far too long for a column of a journal, and is broken there",
        )
        middle.plot([1, 2], [3, 4], lw=2.0)
        right.legend(handles=middle.plot([1, 2], [4, 3], label="other"), fontsize="small")
        save_figure(figure, tmp_path / "figure.png")
        sizes = {text.get_fontsize() for text in (*left.get_xticklabels(), left.yaxis.label)}
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(89.0)
    tops = [axes.get_position().y0 for axes in (left, middle, right)]
    assert tops == sorted(tops, reverse=True)
    assert len({round(axes.get_position().x0, 2) for axes in (left, middle, right)}) == 1
    assert sizes == {7.5}
    assert "\n" in left.get_title()
    assert middle.get_ylabel() == "weight"
    assert middle.lines[0].get_linewidth() < 2.0
    height, width = figure.get_size_inches()[1], middle.lines[0].get_linewidth()
    save_figure(figure, tmp_path / "again.png")  # a fitted figure stays as it is
    assert (figure.get_size_inches()[1], middle.lines[0].get_linewidth()) == (height, width)


def test_a_style_of_ones_own(tmp_path, monkeypatch, capsys):
    style = tmp_path / "mine.mplstyle"
    style.write_text("font.size: 6\naxes.linewidth: 2\nsavefig.dpi: 50\n")
    monkeypatch.setenv("XBAR_FIGURE_STYLE", str(style))
    with rc_context():
        figure = new_figure((4.0, 2.0))
        axes = figure.subplots()
        text = axes.text(0, 0, "small", fontsize="small")
        assert (text.get_fontsize(), axes.spines["left"].get_linewidth()) == (pytest.approx(6 * 0.833), 2.0)
        save_figure(figure, tmp_path / "figure.png")
    assert int.from_bytes((tmp_path / "figure.png").read_bytes()[16:20], "big") == 200
    monkeypatch.setenv("XBAR_FIGURE_STYLE", "")
    for words, message in (
        (
            ["--style", "none.mplstyle"],
            "`--style` must be a matplotlib style file, but there is no file none",
        ),
        (
            ["--width", "wide"],
            "double (183 mm) or a width of 40 to 1000 mm, but is wide",
        ),
        (["--width", "20"], "but is 20"),
        (["--width"], "but is left out"),
    ):
        assert main(["devices", *words]) == 2
        assert message in capsys.readouterr().err


def test_the_numbers_of_a_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("XBAR_FIGURES", "csv")
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel="pulse", ylabel="µS", title="Title")
    axes.plot([1, 2], [3, 4.5], label="line")
    axes.fill_between([1, 2], [0, 1], [5, 6], label="band")
    axes.errorbar([1], [2], yerr=[0.5], label="point")
    axes.barh([0, 1], [10, 20], label="bar")
    axes.set_yticks([0, 1], ["pcm", "ecram"])
    save_figure(figure, tmp_path / "figure.png")
    rows = list(csv.DictReader((tmp_path / "figure_figure.csv").read_text().splitlines()))
    assert {(row["panel"], row["x_is"], row["y_is"]) for row in rows} == {("Title", "pulse", "µS")}
    found = [(row["kind"], row["series"], row["x"], row["y"], row["low"], row["high"]) for row in rows]
    assert sorted(found) == [
        ("band", "band", "1", "", "0", "5"), ("band", "band", "2", "", "1", "6"),
        ("bar", "bar", "10", "pcm", "0", "10"), ("bar", "bar", "20", "ecram", "0", "20"),
        ("line", "line", "1", "3", "", ""), ("line", "line", "2", "4.5", "", ""),
        ("point", "point", "1", "2", "1.5", "2.5"),
    ]  # fmt: skip


def test_lines_in_a_log(monkeypatch, capsys):
    monkeypatch.setattr("experiments.support.progress_bar._SECONDS_BEFORE_THE_FIRST_LINE", 0.0)
    monkeypatch.setattr("experiments.support.progress_bar._SECONDS_BETWEEN_LINES", 0.0)
    with progress_bar(total=3, unit="chip", desc="chips") as bar:
        for _ in range(3):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all("\r" not in line for line in lines)
    assert "3/3" in lines[-1]


def test_short_work_is_not_told(capsys):
    with progress_bar(total=3, unit="chip") as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_over_in_a_terminal_only(terminal, monkeypatch, capsys):
    monkeypatch.setattr("experiments.support.progress_bar.is_terminal", lambda: terminal)
    bar = progress_bar(total=2, unit="run")
    bar.close()
    assert ("\r" in capsys.readouterr().err) is terminal
