"""Calls are checked in the tests against what they are annotated with, and torch.compile can do without."""

import os

import jaxtyping
import pytest
import torch
from aihwkit.simulator.configs.devices import SoftBoundsDevice

from devices.pulsed import apply_trains, fabricate

checked = pytest.mark.skipif(os.environ.get("XBAR_CHECK_SHAPES") == "0", reason="switched off")


def complaint(function, *arguments, **settings):
    """Call a function, and return what the check of types says, not by `pytest.raises`, which stands it aside."""
    try:
        function(*arguments, **settings)
    except jaxtyping.TypeCheckError as error:
        return str(error)
    return "none"


@checked
@pytest.mark.parametrize("weight", [torch.zeros(3, 4), torch.zeros(1, 3, 4, dtype=torch.int64), None])
def test_wrong_shapes_and_types_are_found(weight):
    devices = fabricate(SoftBoundsDevice(), 1, 3, 4, seed=0)
    assert "parameter 'weight'" in complaint(devices.set_weights, weight, rng=torch.Generator())
    assert complaint(devices.set_weights, torch.zeros(1, 3, 4), rng=torch.Generator()) == "none"


def test_where_an_error_is_expected_the_code_itself_is_asked():
    with pytest.raises(ValueError, match="`engine` must be 'auto', 'exact' or 'aggregated', but is 'fast'"):
        apply_trains(None, None, rng=None, engine="fast")


@pytest.mark.usefixtures("unchecked")
def test_whole_graphs_compile_without_the_checks():
    devices = fabricate(SoftBoundsDevice(), 1, 3, 4, seed=0)
    w = torch.zeros(devices.shape)
    compiled = torch.compile(lambda w: devices.steps(w, True), fullgraph=True, backend="eager")
    for ours, theirs in zip(compiled(w), devices.steps(w, True), strict=True):
        assert torch.equal(ours, theirs)
