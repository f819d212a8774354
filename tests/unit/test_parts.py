"""Draws for some of the tiles are those that all tiles would get."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar import NoiseStream
from devices import parts
from devices.parts import Part


@dataclass(frozen=True)
class Alone(Part):
    """A part whose process asks nobody."""

    def most(self, number):
        return number

    def total(self, number):
        return number

    def gather(self, values, axis=0):
        return values


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any),
    st.integers(1, 20),
    st.integers(1, 11),
    st.booleans(),
    st.sampled_from(["normal_like", "uniform_like"]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_a_part_gets_its_own_numbers_and_leaves_the_stream_where_all_leave_it(
    tiles, batch, outs, is_flipped, draw, dtype
):
    def like(number):
        shape = (number, outs, batch) if is_flipped else (number, batch, outs)
        values = torch.empty(shape, dtype=dtype)
        return values.transpose(1, 2) if is_flipped else values

    chunk, parts._CHUNK = parts._CHUNK, 32  # several chunks also of few numbers
    try:
        whole, first = NoiseStream(5, "noise"), 0
        expected = [getattr(whole, draw)(like(sum(tiles))) for _ in range(2)]
        for number in filter(None, tiles):
            stream = NoiseStream(5, "noise", part=Alone(first, number, sum(tiles)))
            for drawn in expected:
                own = getattr(stream, draw)(like(number))
                assert torch.equal(own, drawn[first : first + number])
                assert own.stride() == like(number).stride()
            assert torch.equal(stream.generator("cpu").get_state(), whole.generator("cpu").get_state())
            first += number
    finally:
        parts._CHUNK = chunk


def test_a_stream_goes_on_from_where_it_stands():
    whole = NoiseStream(5, "noise")
    whole.normal_like(torch.empty(4, 3, 2))
    part = whole.of_part(Alone(1, 2, 4))
    assert torch.equal(part.normal_like(torch.empty(2, 3, 2)), whole.normal_like(torch.empty(4, 3, 2))[1:3])
    back = part.of_part(None)
    assert torch.equal(back.normal_like(torch.empty(4, 3, 2)), whole.normal_like(torch.empty(4, 3, 2)))


def test_numbers_along_another_axis_are_drawn_for_all_tiles():
    rng = torch.Generator().manual_seed(2)
    whole = torch.randint(9, (4, 5, 1), generator=rng)
    part = NoiseStream(0, part=Alone(2, 2, 5)).generator("cpu")
    part.manual_seed(2)
    own = parts.drawn_for_own((4, 2, 1), lambda shape: torch.randint(9, shape, generator=part), part, axis=1)
    assert torch.equal(own, whole[:, 2:4])


def test_numbers_for_other_tiles_are_refused():
    stream = NoiseStream(0, part=Alone(0, 2, 4))
    with pytest.raises(RuntimeError, match="drawn for 3 tiles, but this process holds 2"):
        stream.normal_like(torch.empty(3, 2, 2))
