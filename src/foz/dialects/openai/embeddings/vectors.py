"""Vectors as they are written: a list of numbers, or base64 of little-endian float32."""

import math
import struct
from binascii import Error, a2b_base64, b2a_base64

from foz.canon.fault import Garbled

Vector = tuple[float, ...]
FLOAT32 = 4


def hear(written: list[float] | str) -> Vector:
    """The numbers, whichever way they came. Raises Garbled."""
    if isinstance(written, list):
        return tuple(written)
    try:
        packed = a2b_base64(written, strict_mode=True)
    except (Error, ValueError) as error:
        raise Garbled(f"the upstream's embedding is neither numbers nor base64: {error}") from None
    if len(packed) % FLOAT32:
        raise Garbled(f"the upstream's embedding has {len(packed)} bytes, which are no whole float32 numbers")
    vector = struct.unpack(f"<{len(packed) // FLOAT32}f", packed)
    if not math.isfinite(sum(vector)):
        raise Garbled("the upstream's embedding has numbers that are not finite")
    return vector


def say(vector: Vector, encoding: str) -> Vector | str:
    """As the caller wants it. Raises Garbled where a number does not fit float32."""
    if encoding != "base64":
        return vector
    try:
        packed = struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError:
        raise Garbled("the upstream's embedding has numbers that do not fit float32") from None
    return b2a_base64(packed, newline=False).decode()
