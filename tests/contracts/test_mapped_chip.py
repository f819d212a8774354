"""A chip that is left in its file: the same numbers to the last bit, in the file's memory, which never changes."""

import hashlib
import os
from pathlib import Path

import pytest
import torch

from crossbar import AnalogLocallyConnected2d, age_chip, load_model, program_chip, save_model
from crossbar.aihwkit.adapter import AnalogSGD
from devices import get
from devices.files import begin_manifest

PLACEMENTS = ["free", "time_multiplexed", "replicated(tiles=4)", "blocks(rows=2,cols=2)"]
X = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def layer(placement="free", config=None, **options):
    torch.manual_seed(0)
    config = get("pcm").rpu_config() if config is None else config
    made = AnalogLocallyConnected2d(2, 5, 3, 8, rpu_config=config, seed=0, placement=placement, **options)
    return made.eval()


def chip(file, placement="free", **options):
    """Write an aged chip into a file, and return it."""
    made = layer(placement, **options)
    program_chip(made, seed=1, compensation="global")
    age_chip(made, "1h", seed=2)
    save_model(made, file)
    return made


def outputs(made):
    """Return all that a chip tells: now and after a day, each with fresh noise of its own seed."""
    found = []
    for time in (None, "1d"):
        if time is not None:
            age_chip(made, time, seed=3)
        made.tile_array.noise = type(made.tile_array.noise)(7)
        found += [made(X).detach(), made.tile_array.reading.weight, made.tile_array.reading.factor]
    return found


def places(file):
    """Return the ranges of addresses in which this process sees a file."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    ranges = (line.split(maxsplit=1)[0] for line in lines if line.endswith(os.fspath(file)))
    return [tuple(int(end, 16) for end in ends.split("-")) for ends in ranges]


def lies_in(tensor, file):
    return any(low <= tensor.data_ptr() < high for low, high in places(file))


def held(made):
    array = made.tile_array
    return {
        "weight": array.weight,
        "what was asked for": array.programmed.target_weights,
        "what tells of changes": array.trained.settled.kept,
        "what was read": array.reading.weight,
        **{f"device {position}": g for position, g in enumerate(array.programmed._g_written)},
    }


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_numbers_are_those_of_a_chip_in_memory(placement, backend, tmp_path):
    file = tmp_path / "chip.safetensors"
    chip(file, placement)
    if backend == "aihwkit":  # its noise cannot be seeded: what is read of the devices is the same
        loaded = [
            load_model(file, layer(placement, backend=backend), mapped=mapped) for mapped in (False, True)
        ]
        first, second = (made.tile_array.reading.weight for made in loaded)
        assert torch.equal(first, second)
        return
    whole, mapped = (outputs(load_model(file, layer(placement), mapped=mapped)) for mapped in (False, True))
    assert all(map(torch.equal, whole, mapped))
    assert len(whole) == 6


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not tell what is mapped")
def test_weights_and_devices_lie_in_the_file_and_nothing_else_holds_them(tmp_path):
    file = tmp_path / "chip.safetensors"
    chip(file)
    for mapped in (False, True):
        made = load_model(file, layer(), mapped=mapped)
        made(X)
        assert {name: lies_in(tensor, file) for name, tensor in held(made).items()} == dict.fromkeys(
            held(made), mapped
        )
    age_chip(made, "1d", seed=0)
    assert not lies_in(made.tile_array.reading.weight, file)  # it has been read anew
    assert lies_in(made.tile_array.programmed._g_written[0], file)


def test_what_is_changed_is_copied_and_the_file_stays(tmp_path):
    file = tmp_path / "chip.safetensors"
    before = chip(file)(X).shape
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    made, other = (load_model(file, layer(), mapped=True) for _ in range(2))
    optimizer = torch.optim.SGD(made.train().parameters(), lr=0.1)
    made(X).square().sum().backward()
    optimizer.step()
    with pytest.warns(UserWarning, match="the chip is forgotten"):
        made.eval()(X)
    assert not torch.equal(made.tile_array.weight, other.tile_array.weight)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert other(X).shape == before


def test_a_new_file_in_its_place_is_not_seen(tmp_path):
    file = tmp_path / "chip.safetensors"
    chip(file)
    kept = outputs(load_model(file, layer()))
    made = load_model(file, layer(), mapped=True)
    other = layer()
    with torch.no_grad():
        other.tile_array.weight.mul_(0.5)
    save_model(other, file)
    assert all(map(torch.equal, outputs(made), kept))


def test_devices_that_learn_in_place_are_loaded_as_ever(tmp_path):
    file = tmp_path / "trained.safetensors"
    config = get("ecram").training_config()
    made = layer(config=config).train()
    optimizer = AnalogSGD(made.parameters(), lr=0.1)
    made(X).square().sum().backward()
    optimizer.step()
    save_model(made.eval(), file)
    loaded = [load_model(file, layer(config=config), mapped=mapped) for mapped in (False, True)]
    for one in loaded:  # it goes on learning
        optimizer = AnalogSGD(one.train().parameters(), lr=0.1)
        one.tile_array.noise = type(one.tile_array.noise)(7)
        one(X).square().sum().backward()
        optimizer.step()
    first, second = (one.tile_array.weight for one in loaded)
    assert torch.equal(first, second)
    assert not torch.equal(first, made.tile_array.weight)


def test_what_is_damaged_or_no_file_is_refused_in_the_same_words(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    begin_manifest(folder)
    file = folder / "chip.safetensors"
    chip(file)
    content = bytearray(file.read_bytes())
    load_model(file, layer(), mapped=True)
    content[-5] ^= 1
    file.write_bytes(content)
    for mapped in (False, True):
        with pytest.raises(ValueError, match="its SHA-256 is not the one in manifest"):
            load_model(file, layer(), mapped=mapped)
    alone = tmp_path / "short.safetensors"
    alone.write_bytes(content[: len(content) // 2])
    os.mkfifo(tmp_path / "fifo")
    for mapped in (False, True):
        with pytest.raises(ValueError, match="must name a whole safetensors file"):
            load_model(alone, layer(), mapped=mapped)
        with pytest.raises(ValueError, match=r"must be a regular file, but .* is a FIFO"):
            load_model(tmp_path / "fifo", layer(), mapped=mapped)
        with pytest.raises(FileNotFoundError, match="must name a file"):
            load_model(tmp_path / "none", layer(), mapped=mapped)
