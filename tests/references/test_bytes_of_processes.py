"""What processes send each other: closed forms and ledgers against the shapes that torch's profiler sees."""

import multiprocessing

import pytest
import torch
import torch.multiprocessing

from crossbar.cost.closed_forms import bytes_of_gradients, bytes_of_maps, bytes_of_updates
from helpers.counted_bytes import CHANNELS, IMAGES, KERNELS, count_in_process

LOCATIONS, INPUTS = 25, CHANNELS * 9


@pytest.fixture(scope="module", params=[2, 3, 4])
def seen(tmp_path_factory, request):
    """Return how many processes there are, and what each of them has seen."""
    number = request.param
    path = tmp_path_factory.mktemp("bytes")
    multiprocessing.set_forkserver_preload(["crossbar", "devices", "helpers.counted_bytes"])
    torch.multiprocessing.start_processes(
        count_in_process, (number, str(path)), nprocs=number, start_method="forkserver"
    )
    return number, [torch.load(path / f"{number} {rank}.pt") for rank in range(number)]


def agreed(number):
    """Return the bytes of a number that all processes agree on."""
    return 8 * (number - 1)


def test_maps_of_spread_tiles(seen):
    number, of_processes = seen
    expected = bytes_of_maps(LOCATIONS, KERNELS, IMAGES, number)
    for of_process in of_processes:
        received, averaged, counted = of_process["free"]
        assert counted == received == expected
        assert averaged == 0


def test_vectors_of_an_update_in_place(seen):
    number, of_processes = seen
    expected = bytes_of_updates(IMAGES * LOCATIONS, INPUTS + KERNELS, number)
    for of_process in of_processes:
        received, averaged, counted = of_process["in situ, one tile"]
        # Forward, all agree on how many products are repeated.
        assert received == counted == expected + agreed(number)
        assert averaged == 0


def test_gradients_of_a_shared_kernel(seen):
    number, of_processes = seen
    weights = INPUTS * KERNELS
    for of_process in of_processes:
        received, averaged, counted = of_process["one kernel"]
        assert received == 0
        assert averaged == 4 * weights
        assert counted == bytes_of_gradients(weights, number)
    # A ring takes every sum apart: each process receives twice what it has no share of.
    assert bytes_of_gradients(weights, number) == 2 * (number - 1) * 4 * -(-weights // number)
