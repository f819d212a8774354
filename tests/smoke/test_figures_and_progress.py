"""Figures in other formats, and how far a command has come where nobody watches."""

import pytest
from matplotlib.figure import Figure

from experiments.cli import main
from experiments.drawing.figures import save_figure
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
    assert "`--format` must be png, svg or pdf" in capsys.readouterr().err


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
