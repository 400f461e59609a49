"""What bytes are, told by themselves: names and what senders say of them are not asked."""

from typing import Literal

from msgspec import Struct

Kind = Literal["text", "image", "pdf"]

ENOUGH = 64
"""Bytes from the beginning that tell a kind with a signature."""
_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
)
_PDF = b"%PDF-"
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 27}) + b"\x7f"


class Found(Struct, frozen=True):
    """A kind that models know, and its media type."""

    kind: Kind
    mime: str


def sniff(head: bytes) -> Found | None:
    """What begins so, where it has a signature; None where it is text, or nothing known."""
    for mark, place, mime in _SIGNATURES:
        if head[place : place + len(mark)] == mark and (place == 0 or head[:4] == b"RIFF"):
            return Found("image", mime)
    return Found("pdf", "application/pdf") if head.startswith(_PDF) else None


def is_text(data: bytes) -> bool:
    """Whether all of it is UTF-8 without control characters that no text has."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return len(data.translate(None, _CONTROLS)) == len(data)


def kind_of(data: bytes) -> Found | None:
    """What all of this is; None where it is nothing that models read."""
    return sniff(data[:ENOUGH]) or (Found("text", "text/plain") if data and is_text(data) else None)
