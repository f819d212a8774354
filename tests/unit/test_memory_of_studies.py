"""`--memory` of a study is that of its runs: it names no folder, and what is no size is refused at once."""

import pytest

from experiments.cli import main
from experiments.runs.options.config import TrainConfig
from experiments.studies.compare_devices.config import CompareDevicesConfig
from experiments.studies.in_situ.config import InSituConfig
from experiments.studies.paper.config import PaperConfig
from experiments.studies.patterns.config import PatternsConfig
from experiments.studies.share.config import ShareConfig
from experiments.studies.share.study import Share
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.study import SharingCost
from experiments.studies.study import within
from experiments.studies.tune.config import TuneConfig
from experiments.studies.tune.searches import searches_of

STUDIES = [
    CompareDevicesConfig,
    InSituConfig,
    PaperConfig,
    PatternsConfig,
    ShareConfig,
    SharingCostConfig,
    TuneConfig,
]


@pytest.mark.parametrize("config", STUDIES)
def test_the_folder_of_a_study_is_the_same_with_any_bound(config):
    free, bounded = config().resolved(), config(memory="64MiB").resolved()
    assert bounded.memory == "64MiB"
    assert free.out == bounded.out


def test_runs_on_tiles_get_the_bound_and_others_have_nothing_to_bound():
    assert within("64MiB", TrainConfig()).memory == "64MiB"
    assert within("64MiB", TrainConfig(mode="digital", device="none")).memory is None
    assert within(None, TrainConfig(memory="1GiB")).memory == "1GiB"


def test_searches_for_rates_get_the_bound():
    config = SharingCostConfig(devices=("ecram",), mechanisms=("in-situ",), schemes=("free",), memory="64MiB")
    study = SharingCost(config.resolved())
    data = study.data(0)
    study.look_at(data.facts)
    assert {search.wish.memory for search in searches_of(study, data)} == {"64MiB"}


def test_trainings_that_others_start_from_get_the_bound(monkeypatch, tmp_path):
    config = ShareConfig(modes=("digital", "hwa"), seeds=(0,), memory="64MiB", runs=tmp_path)
    study, wishes = Share(config.resolved()), []

    def look(_, todo, **__):
        wishes.extend(todo.values())
        return {"first": "no further"}

    monkeypatch.setattr("experiments.studies.share.study.do_all", look)
    with pytest.raises(ValueError, match="no further"):
        study.prepare(study.data(0))
    assert {(wish.mode, wish.memory) for wish in wishes} == {("digital", None), ("hwa", "64MiB")}


@pytest.mark.parametrize(
    "study", ["compare-devices", "in-situ", "paper", "patterns", "share", "sharing-cost", "tune", "what-if"]
)
def test_what_is_no_size_is_refused_before_the_first_run(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = {"paper": ["--scale", "smoke"], "what-if": ["my.toml"]}.get(study, [])
    assert main([study, *words, "--memory", "2GB", "--jobs", "1"]) == 2
    assert "`memory` must be a positive number of bytes, KiB, MiB or GiB" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
