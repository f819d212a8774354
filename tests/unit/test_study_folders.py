"""What a study leaves in its folder is known by its digests, and a run that holds numbers of a study is no study."""

from types import SimpleNamespace

import pytest

from devices.files import MANIFEST, listed
from experiments.cli import COMMANDS
from experiments.drawing.sections import Section
from experiments.studies.report import study_in
from experiments.studies.results import read_results
from experiments.studies.study import Findings, write_study


class Study:
    """As much of a study as is needed to write what it has found."""

    name = "in-situ"
    command = "xbar in-situ"
    config = SimpleNamespace(threads=1, to_json=dict)

    def findings(self, rows, failed, out):
        return Findings(title="Title", summary="Summary.", sections=[Section(text=("text",))])


@pytest.fixture
def folder(tmp_path):
    write_study(Study(), [], {}, tmp_path)
    return tmp_path


def test_every_file_of_a_study_is_in_its_manifest(folder):
    assert listed(folder) == sorted(file.name for file in folder.iterdir() if file.name != MANIFEST)
    assert read_results(folder / "in_situ.json", "in-situ").study == "in-situ"


def test_a_damaged_file_of_a_study_is_found_and_named_until_the_study_is_repeated(folder):
    file = folder / "in_situ.json"
    file.write_text(file.read_text().replace("Summary", "Sammary"))
    with pytest.raises(
        ValueError, match=r"must hold an undamaged in_situ\.json, .* a study is simply repeated\."
    ):
        read_results(file, "in-situ")
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(ValueError, match=rf"undamaged {MANIFEST}"):
        read_results(file, "in-situ")
    write_study(Study(), [], {}, folder)
    assert read_results(file, "in-situ").more["summary"] == "Summary."


def test_a_study_in_the_folder_of_a_run_leaves_the_manifest_of_the_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    write_study(Study(), [], {}, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_a_run_of_a_study_is_reported_as_a_run(tmp_path):
    (tmp_path / "paper.json").write_text("{}")  # `xbar paper` keeps the scores of a run there
    assert study_in(tmp_path) == "paper"
    (tmp_path / "config.json").write_text("{}")
    assert study_in(tmp_path) is None


def test_the_folder_of_a_study_is_called_as_its_command():
    """By these folders `xbar report` knows what it may find."""
    studies = [command for command in COMMANDS if command.function.startswith(".studies.")]
    assert len(studies) > 5
    for command in studies:
        if command.name != "report":
            assert command.function.startswith(f".studies.{command.name.replace('-', '_')}.study:")
