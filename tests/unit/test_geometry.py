"""Sizes of a layer: hand-computed, torch's own, and the errors that name the numbers."""

import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossbar.placement.geometry import Geometry


def test_sizes_by_hand():
    # Rows: (11 + 2 * 1 - (2 * 2 + 1)) // 2 + 1 = 5; columns: (9 + 0 - 2) // 3 + 1 = 3.
    geometry = Geometry.of(3, 7, (3, 2), (11, 9), stride=(2, 3), padding=(1, 0), dilation=(2, 1))
    assert geometry.kernel_span == (5, 2)
    assert geometry.padded_size == (13, 9)
    assert geometry.output_size == (5, 3)
    assert geometry.locations == 15
    assert geometry.patch_size == 18


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(deadline=None, max_examples=60)
@given(
    kernel_size=pairs,
    input_size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=pairs,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=pairs,
)
def test_a_geometry_exists_exactly_where_torch_can_convolve(
    kernel_size, input_size, stride, padding, dilation
):
    convolution = torch.nn.Conv2d(1, 1, kernel_size, stride, padding, dilation)
    try:
        expected = convolution(torch.zeros(1, 1, *input_size)).shape[-2:]
    except RuntimeError:
        with pytest.raises(ValueError, match="must fit into the padded input"):
            Geometry.of(1, 1, kernel_size, input_size, stride, padding, dilation)
    else:
        assert Geometry.of(1, 1, kernel_size, input_size, stride, padding, dilation).output_size == expected


@settings(deadline=None, max_examples=60)
@given(pairs, st.integers(1, 9), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_an_int_is_a_pair_of_equals(kernel_size, input_size, stride, padding, dilation):
    assume(max(kernel_size) * dilation <= input_size)
    two = (input_size, input_size), (stride, stride), (padding, padding), (dilation, dilation)
    one = input_size, stride, padding, dilation
    assert Geometry.of(1, 2, kernel_size, *one) == Geometry.of(1, 2, kernel_size, *two)


def test_numbers_of_numpy_and_torch_make_equal_geometries():
    plain = Geometry.of(1, 2, 3, (8, 9))
    foreign = Geometry.of(np.int64(1), np.int32(2), np.int64(3), torch.zeros(8, 9).shape)
    assert foreign == plain
    assert hash(foreign) == hash(plain)
    assert repr(foreign) == repr(plain)


def test_kernel_too_large_names_every_number():
    message = (
        "`kernel_size` must fit into the padded input, but a kernel of 3 x 4 with dilation 2 x 5 spans "
        "5 x 16 elements and the input of 6 x 7 has 8 x 11 with its padding of 1 x 2."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Geometry.of(1, 1, (3, 4), (6, 7), padding=(1, 2), dilation=(2, 5))


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("in_channels", 0, 1),
        ("out_channels", -1, 1),
        ("kernel_size", (3, 0), 1),
        ("input_size", 0, 1),
        ("stride", (1, 0), 1),
        ("padding", -1, 0),
        ("dilation", (0, 1), 1),
    ],
)
def test_sizes_that_are_too_small_are_refused(name, value, least):
    sizes = {"in_channels": 1, "out_channels": 1, "kernel_size": 3, "input_size": 8, name: value}
    shown = (value, value) if isinstance(value, int) and not name.endswith("channels") else value
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be at least {least}, but is {shown}.")):
        Geometry.of(**sizes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_size", (3, 3, 3)),
        ("padding", None),
        ("stride", 1.5),
        ("input_size", (8, None)),
        ("dilation", True),
    ],
)
def test_sizes_that_are_no_whole_numbers_are_refused(name, value):
    sizes = {"kernel_size": 3, "input_size": 8, name: value}
    with pytest.raises(
        TypeError, match=rf"`{name}` must be .*whole numbers?, but is {re.escape(repr(value))}"
    ):
        Geometry.of(1, 1, **sizes)


def test_paddings_in_words_are_torchs():
    same = Geometry.of(1, 1, (2, 3), 5, padding="same", dilation=(1, 2))
    assert same.paddings == ((0, 2), (1, 2))  # the surplus of an even kernel lies after the input
    assert same.output_size == (5, 5)
    assert Geometry.of(1, 1, 3, 5, padding="valid").output_size == (3, 3)
    with pytest.raises(ValueError, match="stride of 2 x 2, but is 'same'"):
        Geometry.of(1, 1, 3, 5, stride=2, padding="same")
    with pytest.raises(ValueError, match="sizes, 'valid' or 'same', but is 'full'"):
        Geometry.of(1, 1, 3, 5, padding="full")


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_an_int_stands_for_every_axis(axes):
    geometry = Geometry.of(2, 4, 3, 7, stride=2, padding=1, groups=2, dimensions=axes)
    assert geometry.dimensions == axes
    assert geometry.output_size == (4,) * axes
    assert geometry.patch_size == 2 * 3**axes
    assert geometry.resized((9,) * axes).output_size == (5,) * axes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 2}, "`in_channels` must be a multiple of the number of groups, 2, but is 3"),
        ({"groups": 0}, "`groups` must be at least 1, but is 0"),
        ({"padding_mode": "mirror"}, "one of zeros, reflect, replicate, circular, but is 'mirror'"),
        ({"padding": 4, "padding_mode": "reflect"}, "`padding` must be at most 3 for an input of 4 x 4"),
        ({"padding": 5, "padding_mode": "circular"}, "`padding` must be at most 4 for an input of 4 x 4"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Geometry.of(3, 2, 3, 4, **options)
