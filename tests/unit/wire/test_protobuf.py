"""Protocol Buffers by hand: what the library reads back."""

from hypothesis import given
from hypothesis import strategies as st

from foz.skins.model_grpc import model_pb2 as pb
from foz.wire.protobuf import blob, frame, frames, varint, whole

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.text(st.characters(exclude_categories=["Cs"])), INT64)
def test_the_library_reads_what_is_written(text: str, number: int) -> None:
    """A text and a whole number, written by hand, are what the library's parser finds."""
    read = pb.ChatCompletionChunk.FromString(blob(1, text.encode()) + whole(3, number))

    assert (read.id, read.created) == (text, number)


@given(st.integers(0, 2**64 - 1))
def test_a_number_takes_seven_bits_to_a_byte(number: int) -> None:
    """A varint has as many bytes as it has groups of seven bits, and only the last one has no mark."""
    said = varint(number)

    assert len(said) == max(1, -(-number.bit_length() // 7))
    assert [byte >> 7 for byte in said] == [1] * (len(said) - 1) + [0]


@given(st.lists(st.binary(max_size=300)))
def test_messages_behind_each_other_are_told_apart(messages: list[bytes]) -> None:
    """Frames that are joined give the messages back, empty ones too."""
    assert list(frames(b"".join(map(frame, messages)))) == messages
