"""Random placements deal every location to every tile equally often, and pairs of locations too."""

import math

import torch

from crossbar.placement.placement import placement

Z = 6.0  # 2e-9 two-sided; 83 comparisons below: a false alarm in six million runs
DRAWS = 4000
LOCATIONS, TILES = 8, 3  # 3 + 3 + 2 locations


def draw_all():
    chosen = placement("random", (2, 4), tiles=TILES, redraw=True)
    rng = torch.Generator().manual_seed(0)
    return torch.stack([chosen.redrawn(rng).tile_of_location for _ in range(DRAWS)])  # (draws, locations)


def test_every_tile_serves_every_location_equally_often():
    drawn = draw_all()
    frequency = torch.stack([(drawn == tile).double().mean(0) for tile in range(TILES)])
    p = 1 / TILES
    assert (frequency - p).abs().max() < Z * math.sqrt(p * (1 - p) / DRAWS)


def test_which_tile_serves_one_location_less_is_drawn_too():
    drawn = draw_all()
    short = torch.stack([((drawn == tile).sum(1) == 2).double().mean() for tile in range(TILES)])
    p = 1 / TILES
    assert (short - p).abs().max() < Z * math.sqrt(p * (1 - p) / DRAWS)


def test_pairs_of_locations_meet_as_often_as_dealing_without_replacement_says():
    drawn = draw_all()
    together = (drawn[:, :, None] == drawn[:, None, :]).double().mean(0)
    # Of the 28 pairs of locations 3 + 3 + 1 share a tile in every draw.
    p = 7 / 28
    off_diagonal = ~torch.eye(LOCATIONS, dtype=torch.bool)
    assert (together[off_diagonal] - p).abs().max() < Z * math.sqrt(p * (1 - p) / DRAWS)
