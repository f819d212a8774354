"""Every placement's maps, worked out by hand; reading a spec; errors that name the numbers."""

import re

import pytest
import torch

from crossbar.placement.placement import placement


def tiles(spec, size):
    return placement(spec, size).tile_of_location.reshape(size).tolist()


def test_free():
    chosen = placement("free", (2, 3))
    assert tiles("free", (2, 3)) == [[0, 1, 2], [3, 4, 5]]
    assert chosen.kernel_of_tile.tolist() == [0, 1, 2, 3, 4, 5]
    assert (chosen.locations, chosen.tiles, chosen.kernels) == (6, 6, 6)


def test_time_multiplexed():
    chosen = placement("time_multiplexed", (2, 3))
    assert tiles("time_multiplexed", (2, 3)) == [[0, 0, 0], [0, 0, 0]]
    assert (chosen.locations, chosen.tiles, chosen.kernels) == (6, 1, 1)


def test_replicated_goes_round():
    chosen = placement("replicated", (2, 3), tiles=4, sync_every=10)
    assert chosen.tile_of_location.tolist() == [0, 1, 2, 3, 0, 1]
    assert chosen.kernel_of_tile.tolist() == [0, 0, 0, 0]
    assert chosen.kernel_of_location.tolist() == [0] * 6
    assert (chosen.tiles, chosen.kernels) == (4, 1)
    assert chosen.options == {"tiles": 4, "sync_every": 10}
    assert chosen.sync_every == 10


@pytest.mark.parametrize("spec", ["free", "replicated", "blocks(rows=1,cols=2)"])
def test_copies_are_not_synchronised_unless_told(spec):
    assert placement(spec, (2, 3)).sync_every == 0


def test_replicated_has_a_copy_for_each_location_unless_told():
    assert placement("replicated", (2, 3)).tile_of_location.tolist() == [0, 1, 2, 3, 4, 5]


def test_blocks_are_near_equal_regions():
    assert tiles("blocks(rows=2,cols=3)", (3, 4)) == [[0, 0, 1, 2], [0, 0, 1, 2], [3, 3, 4, 5]]


def test_interleaved():
    assert tiles("interleaved(period=2)", (3, 4)) == [[0, 1, 0, 1], [2, 3, 2, 3], [0, 1, 0, 1]]
    assert placement("interleaved(period=2)", (3, 4)).kernels == 4


def test_random_is_named_by_its_seed():
    first, again, other = (placement("random", (6, 6), tiles=5, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert hash(first) == hash(again)
    # 36 locations fall on 5 tiles in more than 1e20 balanced ways: two seeds do not meet by chance.
    assert first != other
    assert not torch.equal(first.tile_of_location, other.tile_of_location)
    assert not torch.equal(first.tile_of_location, torch.arange(36) % 5)


def test_redrawing_keeps_everything_but_the_assignment():
    chosen = placement("random(tiles=5,redraw=True)", (6, 6))
    drawn = chosen.redrawn(torch.Generator().manual_seed(1))
    assert chosen.redraw
    assert drawn.redraw
    assert drawn.spec == chosen.spec
    assert torch.equal(drawn.kernel_of_tile, chosen.kernel_of_tile)
    assert not torch.equal(drawn.tile_of_location, chosen.tile_of_location)
    assert drawn != chosen
    assert drawn == chosen.redrawn(torch.Generator().manual_seed(1))


def test_only_a_random_placement_is_redrawn():
    with pytest.raises(ValueError, match="`name` must be 'random' to be drawn anew, but is 'free'"):
        placement("free", (2, 2)).redrawn(torch.Generator())


def test_a_spec_reads_as_the_options_do():
    written = placement(" random ( tiles = 4 , redraw=true ) ", (6, 6), seed=2)
    assert written == placement("random", (6, 6), tiles=4, redraw=True, seed=2)
    assert written.spec == "random(tiles=4,redraw=True,seed=2)"
    assert placement("replicated(tiles=4)", (6, 6)).spec == "replicated(tiles=4,sync_every=0)"
    assert placement("free()", (6, 6)).spec == "free"


def test_placements_on_maps_of_another_shape_differ():
    assert placement("free", (2, 3)) != placement("free", (3, 2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fre", "but is 'fre'. Did you mean 'free'?"),
        ("time_multiplex", "Did you mean 'time_multiplexed'?"),
        ("free(tiles=2)", "The options of 'free' must be none, but 'tiles' is given. Remove it."),
        ("replicated(tile=2)", "one of tiles, sync_every, but 'tile' is given. Did you mean 'tiles'?"),
        (
            "replicated(tiles=37)",
            "`tiles` of 'replicated' must lie in [1, 36], the number of locations, but is 37.",
        ),
        ("replicated(sync_every=-1)", "`sync_every` of 'replicated' must be at least 0 updates, but is -1."),
        ("random(tiles=0)", "`tiles` of 'random' must lie in [1, 36], the number of locations, but is 0."),
        ("random", "`tiles` must be given for 'random', but is missing."),
        ("blocks(rows=2)", "`cols` must be given for 'blocks', but is missing."),
        (
            "blocks(rows=5,cols=2)",
            "`rows` of 'blocks' must lie in [1, 4], the number of rows of the output map",
        ),
        ("blocks(rows=2,cols=10)", "`cols` of 'blocks' must lie in [1, 9], the number of columns"),
        (
            "interleaved(period=5)",
            "`period` of 'interleaved' must lie in [1, 4], the number of rows and columns",
        ),
        ("blocks(2,2)", "has '2' in 'blocks(2,2)'"),
        ("blocks(rows=2,rows=2)", "must give each option once"),
        ("blocks(rows=2", "must read like 'blocks(rows=2,cols=2)', but is 'blocks(rows=2'"),
    ],
)
def test_errors_name_the_numbers_and_the_nearest_name(spec, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        placement(spec, (4, 9))


def test_an_option_is_given_once():
    with pytest.raises(ValueError, match="`rows` must be given once"):
        placement("blocks(rows=2,cols=2)", (6, 6), rows=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tiles": 2.0}, "`tiles` of 'random' must be a whole number, but is 2.0"),
        ({"tiles": True}, "`tiles` of 'random' must be a whole number, but is True"),
        ({"tiles": 2, "redraw": 1}, "`redraw` of 'random' must be True or False, but is 1"),
    ],
)
def test_options_of_the_wrong_type_are_refused(options, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        placement("random", (4, 9), **options)


def test_an_empty_map_is_refused():
    with pytest.raises(ValueError, match=re.escape("`output_size` must be at least (1, 1), but is (0, 3)")):
        placement("free", (0, 3))


def test_maps_of_signals_and_volumes():
    assert placement("blocks(cols=2)", (5,)).tile_of_location.tolist() == [0, 0, 0, 1, 1]
    assert placement("interleaved(period=2)", (5,)).tile_of_location.tolist() == [0, 1, 0, 1, 0]
    assert tiles("blocks(planes=2,rows=1,cols=2)", (2, 2, 2)) == [[[0, 1], [0, 1]], [[2, 3], [2, 3]]]
    assert tiles("interleaved(period=2)", (2, 2, 3)) == [
        [[0, 1, 0], [2, 3, 2]],
        [[4, 5, 4], [6, 7, 6]],
    ]
    assert placement("free", (2, 3, 4)).tiles == 24
    assert placement("replicated(tiles=2)", (5,)).tile_of_location.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("spec", "size", "message"),
    [
        ("blocks(rows=2,cols=2)", (6,), "The options of 'blocks' must be one of cols, but 'rows' is given."),
        ("blocks(rows=2,cols=2)", (6, 6, 6), "`planes` must be given for 'blocks', but is missing."),
        ("blocks(cols=7)", (6,), "`cols` of 'blocks' must lie in [1, 6], the number of columns"),
        ("free", (0,), "`output_size` must be at least (1,), but is (0,)"),
    ],
)
def test_blocks_are_cut_along_the_axes_that_there_are(spec, size, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        placement(spec, size)
