"""A checkpoint brings back every bit, and nothing but a checkpoint of the same model is accepted."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from crossbar import AnalogLinear
from crossbar.network.storage import write_tensors
from experiments.runs.checkpoint import load_checkpoint, save_checkpoint
from experiments.runs.progress import Progress

PROGRESS = {"epoch": 2, "loss_sum": 0.1 + 0.2}


def trained(steps=3, seed=0):
    """Train a small network with its own random data; return it with its optimizer."""
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        step(model, optimizer, torch.randn(8, 4, generator=rng))
    return model, optimizer


def step(model, optimizer, x):
    optimizer.zero_grad()
    model(x).square().sum().backward()
    optimizer.step()


def test_training_goes_on_bit_by_bit(tmp_path):
    model, optimizer = trained()
    save_checkpoint(tmp_path / "c", model, optimizer, PROGRESS)
    other, its_optimizer = trained(steps=1, seed=1)
    assert load_checkpoint(tmp_path / "c", other, its_optimizer) == PROGRESS
    x = torch.linspace(-1, 1, 32).reshape(8, 4)
    for network, its in ((model, optimizer), (other, its_optimizer)):
        step(network, its, x)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_an_optimizer_without_steps_can_be_saved(tmp_path):
    model, optimizer = trained(steps=0)
    save_checkpoint(tmp_path / "c", model, optimizer, PROGRESS)
    load_checkpoint(tmp_path / "c", *trained(steps=0, seed=1))


def altered(path, change=None, metadata=None):
    """Rewrite a checkpoint with changed tensors or metadata."""
    tensors = load_file(path)
    if change:
        change(tensors)
    whole = {"format": "crossbar-emulator training 1", "progress": json.dumps(PROGRESS)}
    write_tensors(path, tensors, whole if metadata is None else metadata)


def test_memory_of_biases_as_earlier_versions_wrote_it(tmp_path):
    """Biases of dense layers and convolutions had a dimension for their one kernel."""

    def analog():
        torch.manual_seed(0)
        model = nn.Sequential(AnalogLinear(4, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        step(model, optimizer, torch.ones(3, 4))
        return model, optimizer

    def older(tensors):
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"optimizer/{key}/0.bias"] = tensors[f"optimizer/{key}/0.bias"][None]

    save_checkpoint(tmp_path / "c", *analog(), PROGRESS)
    altered(tmp_path / "c", older)
    model, optimizer = analog()
    load_checkpoint(tmp_path / "c", model, optimizer)
    step(model, optimizer, torch.ones(3, 4))
    assert optimizer.state[model[0].bias]["exp_avg"].shape == (2,)


HEADER = b'{"x": {"dtype": "F32", "shape": [9999999999], "data_offsets": [0, 39999999996]}}'
ONE = torch.zeros(1)
HOSTILE = {
    "empty": lambda p: p.write_bytes(b""),
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "half a header": lambda p: p.write_bytes(p.read_bytes()[:20]),
    "garbage": lambda p: p.write_bytes(b"\xff" * 500),
    "endless header": lambda p: p.write_bytes(struct.pack("<Q", 2**62) + b"{}"),
    "tensor beyond the file": lambda p: p.write_bytes(struct.pack("<Q", len(HEADER)) + HEADER),
    "pickle": lambda p: p.write_bytes(pickle.dumps({"model": 1})),
    "torch.save": lambda p: torch.save({"model": torch.zeros(1)}, p),
    "no metadata": lambda p: altered(p, metadata={}),
    "another format": lambda p: altered(p, metadata={"format": "other", "progress": "{}"}),
    "no JSON": lambda p: altered(p, metadata={"format": "crossbar-emulator training 1", "progress": "{"}),
    "missing tensor": lambda p: altered(p, lambda t: t.pop("model/0.weight")),
    "strange tensor": lambda p: altered(p, lambda t: t.update(evil=ONE)),
    "strange parameter": lambda p: altered(p, lambda t: t.update({"optimizer/exp_avg/9.weight": ONE})),
    "strange memory": lambda p: altered(p, lambda t: t.update({"optimizer/momentum/0.weight": ONE})),
    "half a memory": lambda p: altered(p, lambda t: t.pop("optimizer/exp_avg_sq/0.weight")),
    "another shape": lambda p: altered(p, lambda t: t.update({"model/0.weight": torch.zeros(4, 3)})),
    "memory's shape": lambda p: altered(p, lambda t: t.update({"optimizer/exp_avg/0.weight": ONE})),
    "memory's type": lambda p: altered(p, lambda t: t.update({"optimizer/step/0.weight": ONE[0].int()})),
    "not finite": lambda p: altered(p, lambda t: t["model/0.weight"].fill_(float("nan"))),
    "memory not finite": lambda p: altered(p, lambda t: t["optimizer/exp_avg/0.weight"].fill_(float("inf"))),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_damaged_and_hostile_files_are_refused_and_change_nothing(tmp_path, how):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, *trained(), PROGRESS)
    HOSTILE[how](path)
    model, optimizer = trained(steps=0, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"^`.+` must .*checkpoint\.safetensors"):
        load_checkpoint(path, model, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not optimizer.state


@pytest.mark.parametrize(
    "damage",
    [{"epoch": 9}, {"epoch": -1}, {"epoch": "1"}, {"step": 5}, {"step": True}, {"history": []}, {"extra": 1},
     {"events": []}, {"loss_sum": 1}],
)  # fmt: skip
def test_impossible_counters_are_refused(tmp_path, damage):
    good = {
        "data": "abc",
        "epoch": 1,
        "step": 2,
        "loss_sum": 1.5,
        "correct": 3,
        "seconds": 1.0,
        "history": [{}],
        "events": {},
    }
    assert Progress.from_json(good, tmp_path, epochs=4, steps=5).step == 2
    with pytest.raises(ValueError, match=r"`path` must hold the counters of this training, .* damaged"):
        Progress.from_json({**good, **damage}, tmp_path, epochs=4, steps=5)
