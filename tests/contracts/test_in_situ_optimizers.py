"""Devices that are trained in place: what cannot train them says so, what is frozen stays, and nothing piles up."""

import copy
import warnings

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from aihwkit.optim import AnalogOptimizer, AnalogSGD
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from crossbar import AnalogLinear
from crossbar.aihwkit import waiting_batches
from crossbar.aihwkit.adapter import SingleRPUConfig
from devices import get


def network():
    torch.manual_seed(0)
    config = get("ecram").training_config()
    return nn.Sequential(
        AnalogLinear(4, 3, rpu_config=config), nn.Tanh(), AnalogLinear(3, 2, rpu_config=config)
    )


X = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))


def weights(layer):
    return layer.tile_array.weight.clone()


def backward(model):
    model(X).square().sum().backward()


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_optimizers_of_torch_are_refused_at_their_first_step(kind):
    model = network()
    optimizer = kind(model.parameters(), lr=0.1)
    backward(model)
    name = kind.__name__
    with pytest.raises(
        RuntimeError, match=rf"torch's {name}, .*tiles=1.*AnalogOptimizer\(torch.optim.{name}, "
    ):
        optimizer.step()


@pytest.mark.parametrize("kind", [AnalogSGD, lambda *a, **k: AnalogOptimizer(torch.optim.Adam, *a, **k)])
def test_optimizers_of_aihwkit_train(kind):
    model = network()
    before = weights(model[0])
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1).step()  # torch has wrapped SGD.step by now
    optimizer = kind(model.parameters(), lr=0.1)
    backward(model)
    optimizer.step()
    assert not torch.equal(weights(model[0]), before)
    assert not model[0].tile_array.analog_ctx.analog_input


def test_a_frozen_layer_keeps_its_devices():
    """It went from 0.015 to 0.51 in five steps."""
    model = network()
    model[0].requires_grad_(False)
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    before, other = weights(model[0]), weights(model[2])
    for _ in range(5):
        optimizer.zero_grad()
        backward(model)
        optimizer.step()
        assert not model[0].tile_array.analog_ctx.analog_input
    assert torch.equal(weights(model[0]), before)
    assert not torch.equal(weights(model[2]), other)
    model[0].requires_grad_(True)
    backward(model)
    optimizer.step()
    assert not torch.equal(weights(model[0]), before)


def test_a_frozen_layer_passes_the_gradient_on():
    model = network().requires_grad_(False)
    x = X.clone().requires_grad_()
    model(x).sum().backward()
    assert x.grad.abs().max() > 0
    assert not any(model[i].tile_array.analog_ctx.analog_input for i in (0, 2))


def test_batches_of_a_layer_that_no_optimizer_has_do_not_pile_up():
    model = network()
    optimizer = AnalogSGD(model[2].parameters(), lr=0.01)
    waiting = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2 * waiting_batches.MOST_STEPS + 10):
            optimizer.zero_grad()
            backward(model)
            optimizer.step()
            waiting.append(len(model[0].tile_array.analog_ctx.analog_input))
    assert max(waiting) == waiting_batches.MOST_STEPS
    assert len(caught) == 2
    assert "are dropped. Give its parameters" in str(caught[0].message)


def test_batches_without_any_step_are_bounded(monkeypatch):
    monkeypatch.setattr(waiting_batches, "MOST_BATCHES", 3)
    model = network()
    for _ in range(3):
        backward(model)
    with pytest.warns(UserWarning, match="3 batches have been waiting"):
        backward(model)
    assert not model[2].tile_array.analog_ctx.analog_input


def test_batches_may_add_up_before_one_step():
    model = network()
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    for part in (X[:4], X[4:]):
        model(part).square().sum().backward()
    assert len(model[0].tile_array.analog_ctx.analog_input) == 2
    optimizer.step()
    assert not model[0].tile_array.analog_ctx.analog_input


def _in_two_processes(rank, path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    try:
        model = DistributedDataParallel(network())
        with pytest.raises(RuntimeError, match="`DistributedDataParallel` must not wrap devices"):
            model(X)
    finally:
        torch.distributed.destroy_process_group()


def test_data_parallel_is_refused(tmp_path):
    torch.multiprocessing.spawn(_in_two_processes, (str(tmp_path / "meeting"),), nprocs=2)
    with pytest.raises(RuntimeError, match="`DataParallel` must not wrap devices"):
        network()[0].tile_array._replicate_for_data_parallel()
    AnalogLinear(2, 2).tile_array._replicate_for_data_parallel()


def test_copies_wait_for_themselves():
    model = network()
    backward(model)
    copied = copy.deepcopy(model)
    assert not copied[0].tile_array.analog_ctx.analog_input
    config = SingleRPUConfig()
    assert AnalogLinear(2, 2, rpu_config=config).tile_array.analog_ctx.requires_grad
