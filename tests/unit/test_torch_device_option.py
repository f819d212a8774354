"""`--torch-device`: refused where it is not there or would have no effect, and kept only where it is another."""

from dataclasses import replace

import pytest
import torch

from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run import Run
from experiments.support.torch_devices import check_torch_device

SHAPE = (1, 8, 8)


def test_a_torch_device_that_is_not_there_is_refused_in_a_sentence():
    check_torch_device("cpu")
    with pytest.raises(ValueError, match="`torch_device` must be one that torch can use here, but is 'gpu'"):
        check_torch_device("gpu")
    with pytest.raises(ValueError, match="`torch_device` must be cpu or cuda, but is 'meta'"):
        check_torch_device("meta")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"can use here, but is 'cuda': .* Use cpu"):
            check_torch_device("cuda")


@pytest.mark.parametrize("options", [{"mode": "in-situ", "device": "ecram"}, {"backend": "aihwkit"}])
def test_what_is_computed_on_the_cpu_only_is_said_so(options):
    with pytest.raises(ValueError, match="`torch_device` must be cpu with --mode"):
        TrainConfig(torch_device="cuda", **options)


def test_runs_on_the_cpu_are_kept_as_they_always_were():
    run = resolve(TrainConfig(), SHAPE)
    there = replace(run, torch_device="cuda")
    assert "torch_device" not in run.to_json()
    assert "torch_device" not in run.identity()
    assert there.identity()["torch_device"] == "cuda"
    for each in (run, there):
        assert Run.from_json(each.to_json()) == each
