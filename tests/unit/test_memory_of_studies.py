"""`--memory` of a study is that of its runs: it names no folder, and what is no size is refused at once."""

import pytest

from experiments.cli import main
from experiments.runs.options.config import TrainConfig
from experiments.studies.compare_devices.config import CompareDevicesConfig
from experiments.studies.in_situ.config import InSituConfig
from experiments.studies.paper.config import PaperConfig
from experiments.studies.patterns.config import PatternsConfig
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.study import within

STUDIES = [CompareDevicesConfig, InSituConfig, PaperConfig, PatternsConfig, SharingCostConfig]


@pytest.mark.parametrize("config", STUDIES)
def test_the_folder_of_a_study_is_the_same_with_any_bound(config):
    free, bounded = config().resolved(), config(memory="64MiB").resolved()
    assert bounded.memory == "64MiB"
    assert free.out == bounded.out


def test_runs_on_tiles_get_the_bound_and_others_have_nothing_to_bound():
    assert within("64MiB", TrainConfig()).memory == "64MiB"
    assert within("64MiB", TrainConfig(mode="digital", device="none")).memory is None
    assert within(None, TrainConfig(memory="1GiB")).memory == "1GiB"


@pytest.mark.parametrize("study", ["compare-devices", "in-situ", "paper", "patterns", "sharing-cost"])
def test_what_is_no_size_is_refused_before_the_first_run(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--scale", "smoke"] if study == "paper" else []
    assert main([study, *words, "--memory", "2GB", "--jobs", "1"]) == 2
    assert "`memory` must be a positive number of bytes, KiB, MiB or GiB" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
