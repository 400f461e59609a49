"""Lines of JSON: whatever the bytes and however they are split, the lines are the same."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.ndjson import Decoder, TooLong, encode

CASES = [
    b'{"a":1}\n{"b":2}\n',
    b'{"a":1}\r\n{"b":2}\r\n',
    b'\xef\xbb\xbf{"a":1}\n\n\r\n  \n{"b":"\xf0\x9f\x8c\x8a"}',
    b"\n\n\n",
    b"",
    b"no end",
]
TEXTS = st.lists(
    st.sampled_from([b"\n", b"\r", b"a", b'{"x":"\xe6\xb2\xb3"}', b" ", b"\xef\xbb\xbf"]), max_size=12
).map(b"".join)


def _decode(pieces: list[bytes]) -> list[bytes]:
    decoder = Decoder()
    lines = [line for piece in pieces for line in decoder.feed(piece)]
    return lines + decoder.close()


def _by_the_book(text: bytes) -> list[bytes]:
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    first = next((at for at, line in enumerate(text.split(b"\n")) if line), None)
    if first is not None:
        lines[first] = text.split(b"\n")[first].removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
    return [line for line in lines if line and not line.isspace()]


@pytest.mark.parametrize("text", CASES)
def test_lines_are_the_same_wherever_they_are_split(text: bytes) -> None:
    """Each case, split in two at every byte and byte by byte, gives the lines of its text."""
    assert _decode([bytes([byte]) for byte in text]) == _by_the_book(text)
    for at in range(len(text) + 1):
        assert _decode([text[:at], text[at:]]) == _by_the_book(text)


@given(TEXTS, st.data())
def test_any_split_gives_the_same_lines(text: bytes, data: st.DataObject) -> None:
    """Whatever the bytes and wherever they are cut, the lines are those of the whole."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert _decode(pieces) == _by_the_book(text)


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line), max_size=5))
def test_what_is_encoded_is_decoded(lines: list[bytes]) -> None:
    """Lines that are written one after another are read one after another."""
    whole = b"".join(map(encode, lines))

    assert _decode([whole]) == _by_the_book(whole)


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_a_line_beyond_the_limit_is_refused_however_it_comes(pieces: list[bytes]) -> None:
    """With a limit, a decoder gives lines within it or raises TooLong, and holds no more than the limit and a piece."""
    decoder = Decoder(limit=16)
    with suppress(TooLong):
        for piece in pieces:
            assert all(len(line) <= 16 for line in decoder.feed(piece))
            assert len(decoder._rest) <= 17


@pytest.mark.parametrize("pieces", [[b"x" * 17 + b"\n"], [b"x" * 18], [b"x" * 10, b"x" * 8], [b"x"] * 18])
def test_a_long_line_is_too_long_in_whatever_pieces(pieces: list[bytes]) -> None:
    """A line of more than the limit raises TooLong, whole or in pieces, with its end or without."""
    decoder = Decoder(limit=16)
    for piece in pieces[:-1]:
        assert decoder.feed(piece) == []
    with pytest.raises(TooLong, match="longer than 16 bytes"):
        decoder.feed(pieces[-1])


def test_a_line_at_the_limit_is_read() -> None:
    """A line of exactly the limit is a line, also with CRLF and without any end."""
    assert Decoder(limit=16).feed(b"x" * 16 + b"\r\n") == [b"x" * 16]
    decoder = Decoder(limit=16)
    assert decoder.feed(b"x" * 16) == []
    assert decoder.pending
    assert decoder.close() == [b"x" * 16]
    assert not decoder.pending


def test_a_long_line_in_many_pieces_costs_what_it_costs_whole() -> None:
    """A hundred thousand pieces of one line take less than two seconds: no piece searches what was there before."""
    decoder = Decoder()
    began = time.process_time()
    for _ in range(100_000):
        decoder.feed(b"x" * 20)

    assert decoder.feed(b"\n") == [b"x" * 2_000_000]
    assert time.process_time() - began < 2
