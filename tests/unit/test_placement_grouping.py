"""Sorting locations by group: small cases by hand, and what makes a sorting one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar.placement.grouping import Grouping
from crossbar.placement.placement import placement


def test_unequal_groups_are_padded():
    grouping = Grouping.of(torch.tensor([1, 0, 1, 3, 1]), 4)
    assert grouping.order.tolist() == [[1, -1, -1], [0, 2, 4], [-1, -1, -1], [3, -1, -1]]
    assert grouping.slot_of_location.tolist() == [3, 0, 4, 9, 5]
    assert grouping.valid is not None
    assert torch.equal(grouping.valid, grouping.order >= 0)
    assert (grouping.groups, grouping.width) == (4, 3)
    assert not grouping.is_identity
    assert not grouping.is_single


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_every_location_has_one_slot_in_its_own_group(groups):
    index_map = torch.tensor(groups)
    grouping = Grouping.of(index_map, 5)
    group = grouping.slot_of_location // grouping.width
    assert torch.equal(group, index_map)
    assert torch.equal(grouping.order.flatten()[grouping.slot_of_location], torch.arange(len(groups)))
    assert int((grouping.order >= 0).sum()) == len(groups)


@pytest.mark.parametrize(
    ("spec", "identity", "single", "padded"),
    [
        ("free", True, False, False),
        ("time_multiplexed", False, True, False),
        ("blocks(rows=2,cols=2)", False, False, False),
        ("random(tiles=5)", False, False, True),
        ("random(tiles=16)", False, False, False),  # one location each, but not in order
    ],
)
def test_shortcuts(spec, identity, single, padded):
    chosen = placement(spec, (4, 4))
    grouping = Grouping.of(chosen.tile_of_location, chosen.tiles)
    assert grouping.is_identity is identity
    assert grouping.is_single is single
    assert (grouping.valid is not None) is padded


def test_one_location_is_both_free_and_shared():
    grouping = Grouping.of(torch.tensor([0]), 1)
    assert grouping.is_identity
    assert grouping.is_single


def test_a_grouping_stays_where_it_is():
    grouping = Grouping.of(torch.tensor([0, 1, 1]), 2)
    assert grouping.to("cpu") is grouping
    moved = grouping.to("meta")
    assert moved.valid is not None
    assert {moved.order.device.type, moved.slot_of_location.device.type, moved.valid.device.type} == {"meta"}


def test_a_group_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], but lies in \[0, 2\]"):
        Grouping.of(torch.tensor([0, 2]), 2)
