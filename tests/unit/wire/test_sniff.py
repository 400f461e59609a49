"""What bytes are is told by themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.sniff import Found, kind_of


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x89PNG\r\n\x1a\n....", Found("image", "image/png")),
        (b"\xff\xd8\xff\xe0JFIF", Found("image", "image/jpeg")),
        (b"GIF89a....", Found("image", "image/gif")),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", Found("image", "image/webp")),
        (b"%PDF-1.7\n\x00", Found("pdf", "application/pdf")),
        ("Olá 🌊\n\tx".encode(), Found("text", "text/plain")),
        (b"\xef\xbb\xbfwith a mark", Found("text", "text/plain")),
        (b"", None),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"PK\x03\x04zip", None),
        (b"\x7fELF", None),
        (b"null \x00 byte", None),
        ("olá".encode("latin-1"), None),
        ("utf-16".encode("utf-16"), None),
    ],
)
def test_kinds_are_told_by_their_signatures(data: bytes, found: Found | None) -> None:
    """Pictures, PDFs and text are known, everything else is nothing, whatever its name would be."""
    assert kind_of(data) == found


@given(st.binary(max_size=100))
def test_what_is_called_text_can_be_read(data: bytes) -> None:
    """Bytes that are called text are UTF-8 without control characters but tabs and the ends of lines and pages."""
    found = kind_of(data)
    if found is not None and found.kind == "text":
        assert not set(data.decode()) & {chr(code) for code in range(32) if code not in {9, 10, 12, 13, 27}}
