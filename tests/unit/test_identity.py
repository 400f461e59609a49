"""Ids are UUIDv7, only grow, and carry their millisecond."""

import os
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.identity import Identities, least, made_at, parse, text


@given(st.lists(st.integers(0, 2**47), min_size=1, max_size=200))
def test_ids_only_grow_whatever_the_clock_does(times: list[int]) -> None:
    """Each id is greater than the one before it, also when the clock stands still or steps back."""
    clock = iter([time for time in times for _ in range(2)] + [0] * 9)
    source = Identities(lambda: next(clock), os.urandom)

    ids = [source.new() for _ in times]

    assert all(a < b for a, b in pairwise(ids))
    assert all(uuid.UUID(bytes=id).version == 7 for id in ids)
    assert all(uuid.UUID(bytes=id).variant == uuid.RFC_4122 for id in ids)


def test_an_id_carries_its_millisecond() -> None:
    """The millisecond of the first id of a millisecond is the clock's."""
    id = Identities(lambda: 1_700_000_000_123, os.urandom).new()

    assert made_at(id) == 1_700_000_000_123
    assert least(1_700_000_000_123) <= id < least(1_700_000_000_124)


def test_a_full_millisecond_moves_on_to_the_next() -> None:
    """Where the steps of one millisecond run out, ids go on in the next and keep growing."""
    source = Identities(lambda: 5, lambda n: b"\xff" * n)
    first = source.new()
    source._last = source._end

    second = source.new()

    assert made_at(second) == 6
    assert first < second


def test_ids_of_one_millisecond_differ_between_two_sources() -> None:
    """Two processes in the same millisecond give no id twice."""
    ids = {Identities(lambda: 7, os.urandom).new() for _ in range(2)}
    for source in (Identities(lambda: 7, os.urandom) for _ in range(2)):
        ids |= {source.new() for _ in range(5_000)}

    assert len(ids) == 10_002


@given(st.binary(min_size=16, max_size=16))
def test_text_and_parse_are_inverses(id: bytes) -> None:
    """The written form is the UUID's, and reads back to the same bytes."""
    assert text(id) == str(uuid.UUID(bytes=id))
    assert parse(text(id)) == id
    assert parse(id.hex()) == id


@pytest.mark.parametrize("words", ["", "x" * 32, "0" * 31, "0" * 33, "00 " * 16, "é" * 32, "0-" * 40])
def test_what_is_no_id_is_refused(words: str) -> None:
    """A text that is no id raises ValueError."""
    with pytest.raises(ValueError, match=r"not an id|hexadecimal"):
        parse(words)
