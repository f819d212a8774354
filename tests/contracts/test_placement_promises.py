"""What every placement promises, on square, oblong and tiny maps."""

import copy
import pickle

import pytest
import torch

from crossbar.placement.placement import placement

SIZES = [(6, 6), (5, 7), (2, 2)]
SPECS = [
    "free",
    "time_multiplexed",
    "replicated(tiles=3)",
    "replicated",
    "blocks(rows=2,cols=2)",
    "blocks(rows=1,cols=2)",
    "random(tiles=3)",
    "random(tiles=4,redraw=True,seed=7)",
    "interleaved(period=2)",
]


@pytest.fixture(params=SIZES, ids=str)
def size(request):
    return request.param


@pytest.fixture(params=SPECS)
def chosen(request, size):
    return placement(request.param, size)


def test_maps_are_index_maps(chosen, size):
    assert chosen.output_size == size
    assert chosen.tile_of_location.shape == (size[0] * size[1],)
    assert chosen.tile_of_location.dtype == chosen.kernel_of_tile.dtype == torch.long
    assert chosen.kernel_of_location.tolist() == [
        int(chosen.kernel_of_tile[tile]) for tile in chosen.tile_of_location
    ]


def test_every_tile_serves_and_every_kernel_is_held(chosen):
    assert chosen.tile_of_location.unique().tolist() == list(range(chosen.tiles))
    assert chosen.kernel_of_tile.unique().tolist() == list(range(chosen.kernels))


def test_tiles_that_could_share_the_load_do(chosen):
    counts = torch.bincount(chosen.tile_of_location, minlength=chosen.tiles)
    if chosen.name in ("replicated", "random"):
        assert int(counts.max() - counts.min()) == int(chosen.locations % chosen.tiles > 0)
    if (
        chosen.name == "blocks"
    ):  # each side of a block is near-equal, so an area differs by one row and column
        side = [-(-n // k) for n, k in zip(chosen.output_size, chosen.options.values(), strict=True)]
        assert int(counts.max()) == side[0] * side[1]


def test_the_spec_makes_it_again(chosen, size):
    assert placement(chosen.spec, size) == chosen
    assert placement(chosen.spec, size).spec == chosen.spec


def test_copies_are_equal(chosen):
    assert copy.deepcopy(chosen) == chosen
    assert pickle.loads(pickle.dumps(chosen)) == chosen
