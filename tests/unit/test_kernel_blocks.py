"""Splitting a kernel over physical tiles changes nothing while cells and converters are ideal."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar.placement.kernel_blocks import KernelBlocks, block_starts


@given(total=st.integers(1, 600), largest=st.integers(0, 600))
def test_blocks_cover_the_length_and_fit(total, largest):
    starts = block_starts(total, largest)
    sizes = [stop - start for start, stop in itertools.pairwise(starts)]
    assert starts[0] == 0
    assert starts[-1] == total
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert largest == 0 or max(sizes) <= largest


@settings(max_examples=60, deadline=None)
@given(out=st.integers(1, 7), inputs=st.integers(1, 9), max_out=st.integers(0, 4), max_in=st.integers(0, 5))
def test_partial_sums_equal_the_whole_product(out, inputs, max_out, max_in):
    blocks = KernelBlocks(out, inputs, max_out, max_in)
    weight = torch.randn(2, out, inputs, dtype=torch.float64)
    x = torch.randn(2, 3, inputs, dtype=torch.float64)
    physical = torch.bmm(blocks.spread_inputs(x), blocks.split(weight).transpose(1, 2))
    assert torch.equal(blocks.join(blocks.split(weight)), weight)
    torch.testing.assert_close(blocks.sum_outputs(physical), torch.bmm(x, weight.transpose(1, 2)))


def test_surplus_cells_hold_no_device():
    populated = KernelBlocks(3, 5, 2, 3).populated(1)
    assert populated.shape == (4, 2, 3)
    assert populated.sum() == 15
    assert KernelBlocks(4, 6, 2, 3).populated(1) is None


@pytest.mark.parametrize(("size", "limit", "tiles"), [(576, 512, 2), (512, 512, 1), (2048, 512, 4)])
def test_the_paper_s_kernels_on_512_word_lines(size, limit, tiles):
    assert KernelBlocks(128, size, 0, limit).per_kernel == tiles
