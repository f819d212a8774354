"""Patches and their gradients against torch's unfold, sorting by hand, and no copy where none is due."""

import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossbar.placement.geometry import Geometry
from crossbar.placement.grouping import Grouping
from crossbar.placement.patches import assemble, extract_patches, group_patches, ungroup

small = st.integers(1, 3)
pairs = st.tuples(small, small)


@st.composite
def geometries(draw):
    input_size = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    kernel_size, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    for size, zeros, kernel, step in zip(input_size, padding, kernel_size, dilation, strict=True):
        assume(step * (kernel - 1) + 1 <= size + 2 * zeros)
    return Geometry.of(draw(small), 2, kernel_size, input_size, stride, padding, dilation)


def as_stored(x, memory):
    """Return the same images in another memory order."""
    order = {"image": (0, 1, 2, 3), "channels_last": (0, 2, 3, 1), "batch_last": (2, 3, 1, 0)}[memory]
    back = [order.index(axis) for axis in range(4)]
    return x.permute(order).contiguous().permute(back)


def unfold(x, g):
    """torch's unfold, as (locations, batch, patch_size)."""
    patches = F.unfold(x, g.kernel_size, dilation=g.dilation, padding=g.padding, stride=g.stride)
    return patches.permute(2, 0, 1)


memories = st.sampled_from(["image", "channels_last", "batch_last"])


@settings(deadline=None, max_examples=150)
@given(geometries(), small, memories, st.booleans())
def test_patches_are_those_of_unfold(geometry, batch, memory, locations_first):
    x = torch.randn(batch, geometry.in_channels, *geometry.input_size)
    patches = extract_patches(as_stored(x, memory), geometry, locations_first=locations_first)
    assert patches.shape == (geometry.locations, batch, geometry.patch_size)
    assert torch.equal(patches, unfold(x, geometry))  # copies: not a bit may differ


@settings(deadline=None, max_examples=150)
@given(geometries(), small, memories, st.booleans())
def test_the_gradient_is_that_of_unfold(geometry, batch, memory, locations_first):
    # Small whole numbers, so that sums in another order are equal to the last bit.
    x = torch.randn(batch, geometry.in_channels, *geometry.input_size, requires_grad=True)
    grad = torch.randint(-8, 9, (geometry.locations, batch, geometry.patch_size)).float()
    patches = extract_patches(as_stored(x, memory), geometry, locations_first=locations_first)
    (ours,) = torch.autograd.grad(patches, x, grad)
    (theirs,) = torch.autograd.grad(unfold(x, geometry), x, grad)
    assert torch.equal(ours, theirs)


def test_second_derivatives():
    geometry = Geometry.of(2, 2, (2, 3), (4, 5), (1, 2), (1, 0), (2, 1))
    x = torch.randn(2, 2, 4, 5, dtype=torch.double, requires_grad=True)
    grouping = Grouping.of(torch.arange(geometry.locations) % 3, 3)

    def square(x):
        return group_patches(extract_patches(x, geometry), grouping) ** 2

    assert torch.autograd.gradcheck(square, x)
    assert torch.autograd.gradgradcheck(square, x)


def test_grouping_by_hand():
    patches = torch.tensor([[[1.0], [-1.0]], [[2.0], [-2.0]], [[3.0], [-3.0]]])  # 3 locations, batch 2
    grouping = Grouping.of(torch.tensor([1, 0, 1]), 2)
    grouped = group_patches(patches, grouping)
    assert grouped.tolist() == [[[2], [-2], [0], [0]], [[1], [-1], [3], [-3]]]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), small, small, st.booleans())
def test_ungrouping_undoes_grouping_and_is_its_adjoint(groups, batch, size, vectors_last):
    grouping = Grouping.of(torch.tensor(groups), 4)
    patches = torch.randint(-8, 9, (len(groups), batch, size)).double().requires_grad_()
    grouped = group_patches(patches, grouping)
    assert grouped.shape == (4, grouping.width * batch, size)
    assert torch.equal(ungroup(grouped, grouping, batch), patches)

    outputs = torch.randint(-8, 9, grouped.shape).double()
    if vectors_last:  # as a product that leaves its vectors innermost
        outputs = outputs.transpose(1, 2).contiguous().transpose(1, 2)
    outputs.requires_grad_()
    by_location = ungroup(outputs, grouping, batch)
    # <group(p), y> = <p, ungroup(y)>, exact in small whole numbers; so each is the other's gradient
    assert (grouped * outputs).sum() == (patches * by_location).sum()
    (grad_patches,) = torch.autograd.grad(grouped, patches, outputs, retain_graph=True)
    (grad_outputs,) = torch.autograd.grad(by_location, outputs, patches)
    assert torch.equal(grad_patches, by_location)
    assert torch.equal(grad_outputs, grouped)


def test_padding_hides_what_the_groups_compute_there():
    grouping = Grouping.of(torch.tensor([0, 1, 1]), 2)
    outputs = torch.full((2, 2, 1), torch.nan)
    outputs[0, 0], outputs[1, 0], outputs[1, 1] = 1.0, 2.0, 3.0
    assert ungroup(outputs, grouping, 1).flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["free", "single"])
def test_no_copy_is_made_for_a_tile_each_nor_for_one_tile(kind):
    geometry = Geometry.of(3, 2, 3, 6)
    locations = geometry.locations
    index_map = torch.arange(locations) if kind == "free" else torch.zeros(locations, dtype=torch.long)
    grouping = Grouping.of(index_map, locations if kind == "free" else 1)
    patches = extract_patches(torch.randn(4, 3, 6, 6), geometry, locations_first=kind == "free")
    grouped = group_patches(patches, grouping)
    assert grouped.data_ptr() == patches.data_ptr()
    assert ungroup(grouped, grouping, 4).data_ptr() == patches.data_ptr()


@pytest.mark.parametrize("locations_first", [True, False])
def test_the_batch_is_innermost_in_memory(locations_first):
    geometry = Geometry.of(3, 2, 3, 6, padding=1)
    patches = extract_patches(torch.randn(4, 3, 6, 6), geometry, locations_first=locations_first)
    assert patches.stride(1) == 1


def test_assembling_is_a_view_with_locations_row_major():
    geometry = Geometry.of(1, 2, 1, (2, 3))
    outputs = torch.arange(6.0)[:, None, None] + torch.tensor([0.0, 10.0])  # (locations, 1, channels)
    image = assemble(outputs, geometry)
    assert image.tolist() == [[[[0, 1, 2], [3, 4, 5]], [[10, 11, 12], [13, 14, 15]]]]
    assert image.data_ptr() == outputs.data_ptr()


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (1, 3, 5, 4), (1, 3, 4, 5), (4, 4)])
def test_images_of_another_size_are_refused(shape):
    geometry = Geometry.of(3, 2, 2, 4)  # some of these hold enough numbers to be read wrongly in silence
    with pytest.raises(ValueError, match=rf"\(batch, 3, 4, 4\).*but is {re.escape(str(shape))}"):
        extract_patches(torch.zeros(shape), geometry)


def test_an_empty_batch_passes():
    geometry = Geometry.of(1, 2, 2, 3, padding=1)
    grouping = Grouping.of(torch.arange(geometry.locations) % 3, 3)
    grouped = group_patches(extract_patches(torch.zeros(0, 1, 3, 3), geometry), grouping)
    assert grouped.shape == (3, 0, 4)
    assert ungroup(grouped, grouping, 0).shape == (16, 0, 4)
