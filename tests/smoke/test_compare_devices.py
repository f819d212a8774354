"""`xbar compare-devices`: every run once, a ranked table, and a page that a telephone shows whole."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.drawing.html_page import Picture, Section, Table, write_page
from helpers.studies import lines_of_tables, page_of_version_1

TINY = [
    "compare-devices", "--devices", "pcm", "reram-wan2022", "ecram", "--seeds", "0", "1", "--epochs", "1",
    "--train-images", "96", "--test-images", "64", "--chips", "2", "--jobs", "1",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _taken_for_trained():
    """Networks as small as these stay at chance; what is tested here is what becomes of those that learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.data.chance._DEVIATIONS", -100.0)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    assert main([*TINY, "--runs", str(folder / "runs"), "--out", str(folder / "study")]) == 0
    return folder


def test_every_device_learns_as_it_can(study: Path) -> None:
    content = json.loads((study / "study" / "compare_devices.json").read_text())
    found = sorted({(row["device"], row["mode"]) for row in content["rows"]})
    assert found == [("ecram", "in-situ"), ("pcm", "hwa"), ("pcm", "in-situ"), ("reram-wan2022", "hwa")]
    assert len(content["rows"]) == 4 * 2 * 2
    assert not content["failed"]
    differ = []
    for row in content["rows"]:
        run = json.loads((Path(row["run"]) / "result.json").read_text())
        assert (run["device"], run["mode"], run["seed"]) == (row["device"], row["mode"], row["seed"])
        times = {"pcm": 5, "reram-wan2022": 2, "ecram": 0}[row["device"]]
        assert len(row["accuracy"]) == times
        if times:
            compensated = run["accuracy"][run["compensation"]]
            differ.append(compensated != run["accuracy"]["none"])
            assert list(row["chips"].values()) == [list(column) for column in zip(*compensated, strict=True)]
        for time, chips in row["chips"].items():
            assert row["accuracy"][time] == pytest.approx(sum(chips) / len(chips))
        learns = row["mode"] == "in-situ"
        assert (row["pulses"] is not None) == (row["at_bound"] is not None) == learns
        assert not learns or (row["pulses"] > 0 and 0 <= row["at_bound"] < 1)
    assert any(differ)  # so that the compensated accuracy was told from the other


def test_fresh_and_aged_devices_are_ranked_apart(study: Path) -> None:
    """ecram has no model of ageing; reram-wan2022 is known after a second and a day, pcm also later."""
    text = (study / "study" / "compare_devices.md").read_text()
    parts = {part.splitlines()[0]: part for part in text.split("## ")[1:]}
    fcn, cnn = "FCN: a tile for each location", "CNN: one kernel for all locations"
    assert list(parts)[:4] == [f"{fcn}, fresh", f"{fcn}, aged", f"{cnn}, fresh", f"{cnn}, aged"]
    for title, part in list(parts.items())[:4]:
        rows = [line.split("|")[1:-1] for line in part.splitlines() if re.match(r"\| \d", line)]
        assert [int(row[0]) for row in rows] == list(range(1, 5 if "fresh" in title else 4))
        accuracies = [float(row[2].split("±")[0].replace("%", "").replace("*", "")) for row in rows]
        assert accuracies == sorted(accuracies, reverse=True)
    aged = parts[f"{fcn}, aged"]
    assert "after 1 day" in aged
    assert "Not in this list, as they are not known at that time: ecram, in situ." in aged
    assert "Learning rates: the usual one of each mode and device." in text
    assert "A quick look" not in text
    assert "1 month" in text
    assert "%*" in text  # pcm after a year was never measured
    lines = (study / "study" / "compare_devices.csv").read_text().splitlines()
    assert len(lines) == 17


def test_what_earlier_versions_left_is_still_shown(study, tmp_path):
    page = page_of_version_1(study / "study", "compare_devices", tmp_path)
    lines = lines_of_tables(page)
    assert lines
    assert lines == lines_of_tables((study / "study" / "compare_devices.html").read_text())[: len(lines)]
    assert "did not say which networks had learned" in page


class _Addresses(HTMLParser):
    """Collect what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_but_itself(study: Path) -> None:
    page = _Addresses()
    page.feed((study / "study" / "compare_devices.html").read_text())
    assert len(page.found) == 1 + 3
    assert all(address.startswith("data:image/png;base64,") for address in page.found)
    assert not page.tags & {"link", "iframe"}  # of scripts, only the one that sorts tables: test_report_page


def test_what_a_page_shows_is_text_and_not_code(tmp_path: Path) -> None:
    table = Table(header=["a<b", "c"], rows=[["<script>alert(1)</script>", "2 & 3"]])
    write_page(
        tmp_path / "page.html",
        title="<x>",
        summary="1 < 2",
        sections=[Section(title="t", table=table, code="</pre>")],
    )
    text = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;/pre&gt;" in text


@pytest.mark.parametrize("width", [360, 1280])  # a telephone, a laptop
def test_the_page_fits_the_screen(width, study, in_chromium):
    needed, shown, pictures = in_chromium((study / "study" / "compare_devices.html").read_text(), width)
    assert needed <= shown == width
    assert pictures == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "pmc"], "Did you mean pcm"),
        (["--devices", "nowhere.toml"], "there is no file nowhere.toml"),
        (["--devices", "pcm", "pcm"], "`devices` must name each entry once"),
        (
            ["--devices", "reram-wan2022", "--times", "1h"],
            "`times` must hold one at which reram-wan2022 is known",
        ),
        (["--seeds"], "`seeds` must hold at least one entry"),
        (["--epochs", "0"], "`epochs` must be 1 or more"),
    ],
)
def test_refusals_come_before_any_training(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare-devices", *words]) == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.rglob("config.json"))


def test_a_missing_picture_is_no_page(tmp_path: Path) -> None:
    picture = Picture(path=tmp_path / "missing.png", description="")
    with pytest.raises(FileNotFoundError):
        write_page(
            tmp_path / "p.html", title="t", summary="s", sections=[Section(title="t", pictures=[picture])]
        )
    assert not (tmp_path / "p.html").exists()
