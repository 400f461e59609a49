"""Server-sent events: whatever the bytes and however they are split, the frames are the standard's."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.sse import Decoder, Frame, TooLong, encode


def _decode(pieces: list[bytes]) -> list[Frame]:
    decoder = Decoder()
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    return frames + decoder.close()


def _lines(text: bytes) -> list[bytes]:
    lines, line, at = [], bytearray(), 0
    while at < len(text):
        if text[at : at + 2] == b"\r\n":
            lines.append(bytes(line))
            line, at = bytearray(), at + 2
        elif text[at : at + 1] in {b"\r", b"\n"}:
            lines.append(bytes(line))
            line, at = bytearray(), at + 1
        else:
            line += text[at : at + 1]
            at += 1
    return [*lines, bytes(line), b""]


def _by_the_book(text: bytes) -> list[Frame]:
    """The standard's own algorithm, line by line, with what is left at the end dispatched too."""
    frames = []
    data: list[bytes] = []
    event = identity = b""
    for line in _lines(text.removeprefix(b"\xef\xbb\xbf")):
        name, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                frames.append(Frame(b"\n".join(data), event, identity))
            data, event, identity = [], b"", b""
        elif colon and not name:
            continue
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
        elif name == b"id":
            identity = value
    return frames


CASES = [
    b"data: a\n\ndata: b\n\n",
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\r\n\ndata: b\n\r\n",
    b"data:a\n\ndata:  b\n\n",
    b"data: a\ndata: b\n\n",
    b"data\n\ndata:\n\n",
    b": comment\n\n: another\ndata: a\n: third\n\n",
    b"event: error\nid: 7\ndata: {}\n\n",
    b"data: a\nevent: late\n\n",
    b"event: no-data\n\ndata: a\n\n",
    b"retry: 5\nfoo: bar\ndata: a\n\n",
    b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n",
    b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n",
    b"data: a\n\ndata: unfinished",
    b"data: a\n\ndata: unfinished\n",
    b"data: a\n\ndata: unfinished\r",
    b"data: a\r",
    b"data: \xc3\xa9\xff\x00\n\n",
    b"Data: a\n\n data: b\n\n",
    b"",
    b"\r",
    b":\n\n",
]


@pytest.mark.parametrize("text", CASES)
def test_frames_are_the_standards(text: bytes) -> None:
    """Line ends of all three kinds, comments, names, several data lines and unfinished ends read as the book says."""
    assert _decode([text]) == _by_the_book(text)


@pytest.mark.parametrize("text", CASES)
def test_every_split_gives_the_same_frames(text: bytes) -> None:
    """Split in two at every offset, in three at every pair of offsets, or byte by byte, the frames are the same."""
    whole = _decode([text])

    assert _decode([text[at : at + 1] for at in range(len(text))]) == whole
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert _decode([text[:first], text[first:second], text[second:]]) == whole


hostile = st.lists(
    st.sampled_from(
        [
            b"\r",
            b"\n",
            b"\r\n",
            b"\n\n",
            b"data",
            b"data: ",
            b"event: ",
            b"id:",
            b":",
            b" ",
            b"x",
            b"\xef\xbb\xbf",
            b"\0",
        ]
    )
    | st.binary(max_size=3),
    max_size=24,
)


@given(pieces=hostile)
def test_hostile_bytes_read_as_the_book_says(pieces: list[bytes]) -> None:
    """Any bytes in any pieces give the frames of the standard's algorithm over the whole."""
    assert _decode(pieces) == _by_the_book(b"".join(pieces))


@given(frames=st.lists(st.tuples(st.text(), st.text("abc_.", max_size=5)), max_size=5), cut=st.integers(0, 200))
def test_what_is_encoded_is_decoded(frames: list[tuple[str, str]], cut: int) -> None:
    """A frame without line breaks comes back as it was said."""
    said = [Frame(text.replace("\n", "").replace("\r", "").encode(), event.encode()) for text, event in frames]
    text = b"".join(encode(frame.data, frame.event) for frame in said)

    assert _decode([text[:cut], text[cut:]]) == said


def test_a_frame_is_given_at_once() -> None:
    """A frame is given with the byte that ends it, a CR too; the LF behind that CR opens nothing."""
    decoder = Decoder()

    assert decoder.feed(b"data: a\n\n") == [Frame(b"a")]
    assert decoder.feed(b"data: b\r\n\r") == [Frame(b"b")]
    assert decoder.feed(b"\ndata: c\n\n") == [Frame(b"c")]
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("text", "pending"), [(b"", False), (b"data: a\n\n", False), (b"data: a", True), (b"data: a\n\nd", True)]
)
def test_a_frame_that_has_begun_is_pending(text: bytes, pending: bool) -> None:
    """A decoder is pending exactly while it holds the beginning of a frame."""
    decoder = Decoder()
    decoder.feed(text)

    assert decoder.pending == pending


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_the_limit_does_not_depend_on_the_split(size: int) -> None:
    """A frame of exactly the limit passes and a longer one raises, whole or in pieces."""

    def feed(text: bytes) -> list[Frame]:
        decoder = Decoder(limit=32)
        return [frame for at in range(0, len(text), size) for frame in decoder.feed(text[at : at + size])]

    assert feed(b"data: " + b"x" * 26 + b"\n\n") == [Frame(b"x" * 26)]
    with pytest.raises(TooLong, match="32 bytes"):
        feed(b"data: " + b"x" * 27 + b"\n\n")
    with pytest.raises(TooLong, match="32 bytes"):
        feed(b"data: " + b"x" * 100)


def test_endless_lines_without_an_end_stop_at_the_limit() -> None:
    """Data lines that never end their frame raise, and cost no more than their bytes on the way there."""
    decoder = Decoder(limit=1_000_000)
    began = time.process_time()
    taken = 0
    with suppress(TooLong):
        for taken in range(1_000_000):  # noqa: B007, the count is the fact
            decoder.feed(b"data: x\n")

    assert 1_000_000 / 8 <= taken + 1 <= 1_000_000 / 8 + 2
    assert time.process_time() - began < 5
