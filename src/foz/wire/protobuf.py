"""
Protocol Buffers' wire, as far as it is written by hand: a field's tag, its length, its bytes.

Messages that stand one behind the other are one message that holds what both say, so a head that is written once and
a piece that differs make a message without an object in between. Frames put whole messages behind each other so that
they can be told apart again: four bytes of length, big-endian, then the message.
"""

from collections.abc import Iterator

_HEAD = 4
_SMALL = tuple(bytes((number,)) for number in range(128))
_CONTINUED, _SEVEN = 0x80, 0x7F


def varint(number: int) -> bytes:
    """A number of at most 64 bits; a negative one takes ten bytes."""
    if 0 <= number < _CONTINUED:
        return _SMALL[number]
    number &= (1 << 64) - 1
    said = bytearray()
    while number >= _CONTINUED:
        said.append(number & _SEVEN | _CONTINUED)
        number >>= 7
    said.append(number)
    return bytes(said)


def blob(field: int, data: bytes) -> bytes:
    """A field of text, bytes or a message."""
    return b"%b%b%b" % (varint(field << 3 | 2), varint(len(data)), data)


def whole(field: int, number: int) -> bytes:
    """A field of a whole number."""
    return varint(field << 3) + varint(number)


def frame(message: bytes) -> bytes:
    """A message that can be told from what stands behind it."""
    return len(message).to_bytes(_HEAD) + message


def frames(piece: bytes) -> Iterator[bytes]:
    """The messages of a piece."""
    at, end = 0, len(piece)
    while at < end:
        start = at + _HEAD
        at = start + int.from_bytes(piece[at:start])
        yield piece[start:at]
