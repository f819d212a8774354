"""Times as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.support.durations import format_time, parse_times, write_times


def test_units():
    assert parse_times("1s,1min,1h,1d,1w,1month,1y") == (1, 60, 3600, 86400, 604800, 2592000, 31536000)
    assert parse_times(" 30d , 1e3, 2.5h") == (1000, 9000, 2592000)


def test_times_are_sorted_and_each_once():
    assert parse_times("1h,1s,60min") == (1, 3600)


@pytest.mark.parametrize("text", ["", "1s,,1h", "0s", "-1s", "1 fortnight", "nan", "1e999s", "inf", "h"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(
        ValueError, match=r"^`times` must be positive numbers .*, but has '.*'\. Write for example"
    ):
        parse_times(text)


@given(st.lists(st.floats(1e-9, 1e12), min_size=1))
def test_written_times_are_read_again_exactly(times):
    expected = tuple(sorted(set(times)))
    assert parse_times(write_times(expected)) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (0.5, "0.5 seconds"), (90, "1.5 minutes"), (86400, "1 day"), (31536000, "1 year")],
)
def test_times_in_words(seconds, text):
    assert format_time(seconds) == text
