"""What callers hear, whatever the face."""

from typing import Any

from msgspec import Struct

Wire = dict[str, Any]


class Told(Struct):
    """What a caller heard."""

    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, str, str]] = []
    """id, name, arguments"""
    reason: str | None = None
    """None where the face has no word for it."""
    pieces: int = 0
    whole: bool = False
    """It came to its end, as the face says it."""
    error: str | None = None


class Streamed(Struct):
    """The body of a stream: its chunks, and whether the last one came."""

    chunks: list[bytes]
    ended: bool

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.chunks)
