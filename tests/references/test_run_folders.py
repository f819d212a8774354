"""What names a run folder, as it was on 28 November 2026, before wishes and runs were two classes.

run_folders.json holds, for wishes of every mode, the folder that `xbar train` gave them, the config.json it wrote,
and the folder of the digital reference. A finished run is found by that name: it must not change. (Runs of pairs of
phase-change memory in situ have another default since then, and are found with `--refresh every-batch`.)
"""

import json
from pathlib import Path

import pytest

from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import digital_reference, resolve
from experiments.runs.run_folder import RunFolder

KEPT = json.loads((Path(__file__).parent / "run_folders.json").read_text())
_NOW = {"vcp": "absent_inputs"}  # options that were called otherwise; files of runs still call them so
every_kept_run = pytest.mark.parametrize("kept", KEPT, ids=[kept["folder"] for kept in KEPT])


@every_kept_run
def test_the_same_wish_has_the_same_folder(kept):
    shape = tuple(kept["image_shape"])
    wish = {_NOW.get(name, name): value for name, value in kept["wish"].items()}
    run = resolve(TrainConfig(threads=1, **wish), shape)
    assert RunFolder.of(run).path.name == kept["folder"]
    assert run.to_json() == kept["config"]
    assert list(run.to_json()) == list(kept["config"])
    if "reference" in kept:
        assert RunFolder.of(digital_reference(run, shape)).path.name == kept["reference"]


@every_kept_run
def test_an_earlier_config_still_reads_and_names_the_same_folder(kept, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(kept["config"]))
    run = RunFolder(tmp_path).read_config()
    assert run.to_json() == kept["config"]
    assert RunFolder.of(run).path.name == kept["folder"]
