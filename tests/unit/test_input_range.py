"""Input ranges stay usable: tiles without signal keep theirs, and no optimizer carries one through zero."""

import torch

from crossbar import TileArray
from crossbar.aihwkit.adapter import InferenceRPUConfig, InputRangeParameter
from crossbar.reading.input_range import SMALLEST_SHARE

INIT = 2.0


def array(decay=0.01):
    config = InferenceRPUConfig()
    config.pre_post.input_range = InputRangeParameter(
        enable=True, init_value=INIT, init_from_data=0, decay=decay
    )
    return TileArray(3, 4, 5, config, seed=0).train()


def train(tiles, x, steps=200):
    optimizer = torch.optim.Adam([tiles.input_range], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        tiles(x).square().sum().backward()
        optimizer.step()
    tiles.settle()


def test_a_tile_that_sees_only_zeros_keeps_its_range():
    tiles = array()
    x = torch.rand(3, 8, 5)
    x[1] = 0.0
    train(tiles, x)
    assert tiles.input_range[1] == INIT
    assert tiles.input_range[0] < INIT
    assert tiles.input_range[2] < INIT


def test_no_range_falls_through_its_floor():
    tiles = array()
    x = torch.zeros(3, 40, 5)
    x[:, 0, 0] = 1e-6  # almost no signal: nothing ever clips, so everything decays
    train(tiles, x)
    assert torch.equal(tiles.input_range, torch.full((3,), SMALLEST_SHARE * INIT))
    assert torch.isfinite(tiles(x)).all()


def test_a_range_that_an_optimizer_made_negative_is_turned_around():
    tiles = array()
    with torch.no_grad():
        tiles.input_range.copy_(torch.tensor([-1.5, 0.0, 1.0]))
    tiles.settle()
    assert tiles.input_range.tolist() == [1.5, float(torch.tensor(SMALLEST_SHARE * INIT)), 1.0]


def test_tiles_count_their_own_batches():
    """A tile that saw nothing at first learns from the data later; one that has seen enough does not."""
    config = InferenceRPUConfig()
    config.pre_post.input_range = InputRangeParameter(enable=True, init_value=INIT, init_from_data=2)
    tiles = TileArray(3, 4, 5, config, seed=0).train()
    x = torch.rand(3, 8, 5)
    x[1] = 0.0
    tiles(x)
    tiles(x)
    enough = tiles.input_range[0].clone()
    for _ in range(3):
        tiles(10 * torch.rand(3, 8, 5))
    assert tiles.input_range_updates.tolist() == [2, 2, 2]
    assert tiles.input_range[0] == enough
    assert tiles.input_range[1] > 2 * INIT
