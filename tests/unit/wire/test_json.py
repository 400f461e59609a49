"""Depth is known before anything is decoded."""

import time
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.json import MAX_DEPTH, encode, too_deep


def _depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 0


texts = st.text(alphabet='[]{}"\\a\n,:é') | st.text()
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=30,
)


@given(value=values, limit=st.integers(0, 6))
def test_depth_is_exact(value: object, limit: int) -> None:
    """A value is too deep exactly where its lists and objects nest deeper than the limit, whatever its strings hold."""
    assert too_deep(encode(value), limit) == (_depth(value) > limit)


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b'{"\\"]":[', b"]}")]
)
def test_the_limit_is_the_last_depth_that_passes(opening: bytes, closing: bytes) -> None:
    """Brackets of both kinds, alone and mixed, pass at the limit and fail one level deeper."""
    levels = MAX_DEPTH // (2 if closing in {b"}]", b"]}"} else 1)

    assert not too_deep(opening * levels + b"1" + closing * levels)
    assert too_deep(b"[" + opening * levels + b"1" + closing * levels + b"]")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b'"',
        b"[" * 100_000 + b"\\" * 7 + b'"]]',
        b'{"a":"\\\\",' + b'"b":[' * 50_000,
        b"[" * 100_000 + b"]" * 200_000,
    ],
)
def test_broken_towers_are_too_deep(body: bytes) -> None:
    """A tower that never closes, or breaks off in a string, is too deep and never reaches the decoder's stack."""
    assert too_deep(body)


@given(body=st.lists(st.sampled_from(list('[]{}"\\a,:1')), max_size=600).map(lambda marks: "".join(marks).encode()))
def test_what_passes_never_runs_out_of_stack(body: bytes) -> None:
    """Whatever is not too deep either decodes or is refused as broken."""
    if not too_deep(body, 8):
        with suppress(msgspec.DecodeError):
            assert _depth(msgspec.json.decode(body)) <= 8


@pytest.mark.parametrize("unit", [b"[" * 126 + b"]" * 126 + b",", b'"[",', b'[{"a":1}],', b'"\\\\\\"[{",', b'"a","b",'])
def test_hostile_megabytes_cost_little(unit: bytes) -> None:
    """Four megabytes of anything, brackets alone too, are measured in well under two seconds of processor time."""
    body = b"[" + unit * (4 * 2**20 // len(unit)) + b"1]"
    began = time.process_time()

    assert not too_deep(body)
    assert time.process_time() - began < 2
