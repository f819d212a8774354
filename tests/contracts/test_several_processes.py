"""Trainings in several processes.

With tiles spread over them every number is that of one process, to the last bit; with images, up to sums over images,
and chips that learn in place are alike to the last bit.
"""

import json
import multiprocessing
import re
import shutil

import pytest
import torch
import torch.multiprocessing

from crossbar import spread_images, spread_tiles
from crossbar.network.storage import read_tensors
from experiments.runs.checkpoint import load_checkpoint, shards_beside
from experiments.runs.run_network import make_model
from experiments.support.interruption import Interruption
from helpers.spread_training import (
    BY_IMAGES,
    CASES,
    RUN_BY_IMAGES,
    STEPS,
    cases_of,
    network,
    tiny_run,
    train,
    train_in_process,
    train_on_images,
    train_run,
    without_exchanges,
)

PROCESSES = (2, 4)
# Sums over images in another order: 8 images of numbers of order one, in float32, of STEPS steps.
TOLERANCE = STEPS * 8 * 2.0**-23


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train in 2 and 4 processes, all at once, forked from one that has imported everything."""
    path = tmp_path_factory.mktemp("spread")
    multiprocessing.set_forkserver_preload(["crossbar", "devices", "helpers.spread_training"])
    for number in PROCESSES:
        torch.multiprocessing.start_processes(
            train_in_process, (number, str(path)), nprocs=number, start_method="forkserver"
        )
    return path


@pytest.fixture(scope="module")
def of_one_process():
    return {case: train(case, is_spread=False) for case in CASES}


@pytest.mark.parametrize(("number", "case"), [(n, case) for n in PROCESSES for case in cases_of(n, CASES)])
def test_every_number_is_that_of_one_process(folder, of_one_process, number, case):
    _is_that_of_one_process(folder, number, case, of_one_process[case])


def _is_that_of_one_process(folder, number, case, expected):
    for rank in range(number):
        found = torch.load(folder / f"{number} {rank} {case}.pt")
        differ = [name for name, value in expected.items() if not _are_equal(found[name], value)]
        assert not differ, f"rank {rank}"
        assert found.keys() - expected.keys() == {"tiles", "refusals", "exchanged"}
        tiles = [int(count) for count in re.findall(r"\d+", found["tiles"])]
        # Locations 7 x 7, 3 x 4, 2 x 3; tiles for 18 inputs on 10 lines, for 2 groups of 18, for 24.
        assert tiles == [
            _share(49, number, rank) * 2,
            _share(12, number, rank) * 6,
            _share(6, number, rank) * 3,
        ]


def _share(locations, number, rank):
    return locations * (rank + 1) // number - locations * rank // number


def _are_equal(found, expected):
    if isinstance(expected, str):
        return found == expected
    return found.dtype == expected.dtype and torch.equal(found.nan_to_num(7), expected.nan_to_num(7))


@pytest.mark.parametrize(
    ("number", "case"), [(n, case) for n in PROCESSES for case in cases_of(n, BY_IMAGES)]
)
def test_processes_learn_alike_and_what_one_learns(folder, number, case):
    """Chips in place to the last bit, as between the processes; what sums over images up to their rounding."""
    _learn_what_one_learns(folder, number, case)


def _learn_what_one_learns(folder, number, case):
    expected = train_on_images(case)
    of_ranks = [torch.load(folder / f"{number} {rank} {case}.pt") for rank in range(number)]
    losses = torch.stack([of_rank.pop("losses") for of_rank in of_ranks])
    torch.testing.assert_close(losses.mean(dim=0), expected.pop("losses"), rtol=TOLERANCE, atol=TOLERANCE)
    assert not json.loads(expected.pop("exchanged"))
    assert all(json.loads(of_rank.pop("exchanged")) for of_rank in of_ranks)
    for name, value in expected.items():
        found = of_ranks[0][name]
        assert all(_are_equal(found, other[name]) for other in of_ranks), name
        if name == "ledger":  # of pulses in place, too, and of products that are repeated
            assert json.loads(found) == json.loads(value)
        elif ".in_situ." in name and not name.endswith((".chi", ".x", ".d", ".buffer")):
            assert _are_equal(found, value), name
        else:
            torch.testing.assert_close(found, value, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True, msg=name)


@pytest.mark.slow
def test_four_processes_do_so_in_all_cases(tmp_path, of_one_process):
    torch.multiprocessing.start_processes(
        train_in_process, (4, str(tmp_path), True), nprocs=4, start_method="forkserver"
    )
    for case, expected in of_one_process.items():
        _is_that_of_one_process(tmp_path, 4, case, expected)
    for case in BY_IMAGES:
        _learn_what_one_learns(tmp_path, 4, case)


def test_what_takes_all_tiles_is_refused(folder):
    refusals = torch.load(folder / "2 0 hwa.pt")["refusals"].split("\n")
    assert len(refusals) == 3
    assert (
        "those of '0', '2', '4' are spread over several, and cannot be programmed by program_chip"
        in refusals[0]
    )
    assert all(
        "must have all its 98 tiles in this process, but has 48 of them" in said for said in refusals[1:]
    )


@pytest.mark.parametrize("number", PROCESSES)
def test_the_ledger_counts_what_processes_send_each_other(folder, number):
    """Against closed forms, for numbers of 4 bytes and layers of 7 x 7, 3 x 4 and 2 x 3 locations."""
    batch = CASES["hwa"][1]
    exchanged = json.loads(torch.load(folder / f"{number} 0 hwa.pt")["exchanged"])
    for name, locations, channels in (("0", 49, 4), ("2", 12, 6), ("4", 6, 4)):
        # Every process gets the largest part of the map from each of the others: parts are filled up to that.
        largest = max(_share(locations, number, rank) for rank in range(number))
        into_each = STEPS * (number - 1) * largest * channels * batch * 4
        assert exchanged[f"{name} forward process_bytes"] == number * into_each
        assert exchanged[f"{name} forward serial_process_bytes"] == into_each
        assert exchanged[f"{name} forward process_exchanges"] == STEPS
    # The image needs no gradient.
    assert not any(name.startswith("0 backward") for name in exchanged)
    assert not any("update" in name for name in exchanged)


def test_gradients_of_overlapping_windows_pass_from_process_to_process(folder):
    """Layer 4, 2 x 2 windows at 2 x 3 locations of a map of 3 x 4 with 6 channels, in two processes: a row each.

    The second one reaches rows 1 and 2 of the map, and sends row 1 on; then rows 0 and 1 come from the first process
    and row 2, filled up to two rows, from the second.
    """
    exchanged = json.loads(torch.load(folder / "2 0 hwa.pt")["exchanged"])
    row = 4 * 6 * CASES["hwa"][1] * 4
    assert exchanged["4 backward process_bytes"] == STEPS * (row + 2 * 2 * row)
    assert exchanged["4 backward serial_process_bytes"] == STEPS * (row + 2 * row)
    assert exchanged["4 backward process_exchanges"] == STEPS * 2


def test_every_process_writes_what_it_holds(folder, tmp_path):
    """Of every tensor with an entry for each tile, each of the two files has one half; the rest is in a third."""
    _, _, run_folder = tiny_run(shutil.copytree(folder / "run", tmp_path / "run"))
    whole, _ = read_tensors(run_folder.checkpoint_file)
    first, second = sorted(shards_beside(run_folder.checkpoint_file))
    (one, _), (other, _) = read_tensors(first), read_tensors(second)
    assert one.keys() == other.keys()
    assert "optimizer/exp_avg/local1.analog_module.weight" in one
    assert not one.keys() & whole.keys()
    assert "model/dense1.analog_module.weight" in whole
    assert [len(part["model/local1.bias"]) for part in (one, other)] == [18, 18]
    second.unlink()
    model = make_model(tiny_run(tmp_path)[0])
    with pytest.raises(ValueError, match=r"a part of .*checkpoint.safetensors is missing or damaged"):
        load_checkpoint(run_folder.checkpoint_file, model, torch.optim.Adam(model.parameters()))


def test_a_run_that_two_processes_began_goes_on_in_one(folder, tmp_path):
    """One of the two was asked to stop, both did after the same step, and the first one wrote what both held."""
    begun = shutil.copytree(folder / "run", tmp_path / "begun")
    models, ledgers = [], []
    for path in (begun, tmp_path / "new"):
        run, data, run_folder = tiny_run(path)
        assert run_folder.checkpoint_file.exists() == (path == begun)
        with Interruption("") as interruption:
            models.append(train_run(run, data, run_folder, interruption, fingerprint="").state_dict())
        ledger = json.loads(run_folder.ledger_file.read_text())
        ledgers.append(without_exchanges(ledger["training"]))
    assert all(torch.equal(models[0][name], value) for name, value in models[1].items())
    assert ledgers[0][0] == ledgers[1][0]
    assert ledgers[0][1]["local1 forward process_exchanges"] == 1  # of the step that two processes took
    assert not ledgers[1][1]


def test_a_run_that_two_processes_began_by_images_goes_on_in_one(folder, tmp_path):
    """Batches of 25, 25 and 14 images: weights of devices to the last bit, the rest but for sums over images."""
    begun = shutil.copytree(folder / "run by images", tmp_path / "begun")
    models, ledgers, losses = [], [], []
    for path in (begun, tmp_path / "new"):
        run, data, run_folder = tiny_run(path, **RUN_BY_IMAGES)
        assert run_folder.checkpoint_file.exists() == (path == begun)
        assert not shards_beside(run_folder.checkpoint_file)  # the first process has all there is
        with Interruption("") as interruption:
            models.append(train_run(run, data, run_folder, interruption, fingerprint="").state_dict())
        ledger = json.loads(run_folder.ledger_file.read_text())
        ledgers.append(without_exchanges(ledger["training"]))
        losses.append(run_folder.read_log()[0]["loss"])
    for name, value in models[1].items():
        if ".in_situ." in name:
            assert _are_equal(models[0][name], value), name
        else:
            of_images = STEPS * 25 * 2.0**-23
            torch.testing.assert_close(models[0][name], value, rtol=of_images, atol=of_images, msg=name)
    assert losses[0] == pytest.approx(losses[1], rel=25 * 2.0**-23)
    assert ledgers[0][0] == ledgers[1][0]
    assert ledgers[0][1]["local1 update process_exchanges"] > 0  # of the step that two processes took
    assert not ledgers[1][1]


def test_one_process_that_has_not_joined_others_is_refused():
    with pytest.raises(
        RuntimeError, match=r"which has not been started: call torch.distributed.init_process_group"
    ):
        spread_tiles(network("hwa"))


def test_a_share_of_the_images_is_refused_alone():
    with pytest.raises(RuntimeError, match="images are spread over the processes of"):
        spread_images(network("hwa"))
