"""What processes send each other: closed forms against the shapes that torch's profiler sees."""

import multiprocessing

import pytest
import torch
import torch.multiprocessing

from crossbar.cost.closed_forms import bytes_of_gradients, bytes_of_maps, bytes_of_updates
from helpers.counted_bytes import CHANNELS, IMAGES, KERNELS, PROCESSES, count_in_process

LOCATIONS, INPUTS = 25, CHANNELS * 9
AGREED = 8 * (PROCESSES - 1)  # bytes of a number that all agree on


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    path = tmp_path_factory.mktemp("bytes")
    multiprocessing.set_forkserver_preload(["crossbar", "devices", "helpers.counted_bytes"])
    torch.multiprocessing.start_processes(
        count_in_process, (PROCESSES, str(path)), nprocs=PROCESSES, start_method="forkserver"
    )
    return [torch.load(path / f"{rank}.pt") for rank in range(PROCESSES)]


def test_maps_of_spread_tiles(seen):
    expected = bytes_of_maps(LOCATIONS, KERNELS, IMAGES, PROCESSES)
    for of_process in seen:
        received, averaged, counted = of_process["free"]
        assert counted == expected
        # The ledger's own agreements, of which there are six, are in the profile too.
        assert received - expected in range(0, 20 * AGREED + 1, AGREED)
        assert averaged == 0


def test_vectors_of_an_update_in_place(seen):
    expected = bytes_of_updates(IMAGES * LOCATIONS, INPUTS + KERNELS, PROCESSES)
    for of_process in seen:
        received, averaged, _ = of_process["in situ, one tile"]
        assert received == expected + AGREED  # forward, all agree on how many products are repeated
        assert averaged == 0


def test_gradients_of_a_shared_kernel(seen):
    weights = INPUTS * KERNELS
    for of_process in seen:
        received, averaged, _ = of_process["one kernel"]
        assert received == 0
        assert averaged == 4 * weights
    # A ring takes every sum apart: each process receives twice what it has no share of.
    assert bytes_of_gradients(weights, PROCESSES) == 2 * (PROCESSES - 1) * (4 * weights) // PROCESSES
