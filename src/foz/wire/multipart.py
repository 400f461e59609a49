"""
Forms with files (`multipart/form-data`, RFC 7578) as frames: a part opens, its data comes in pieces, it closes.

The states and the search for boundaries are python-multipart's low-level parser; here are its bounds (parts, headers,
names), what a part's headers mean, and one error for everything that is not such a form. Nothing is kept but the
header that is being read: a form may be as long as whoever feeds it allows.
"""

import re
from collections.abc import Mapping

from msgspec import Struct
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MOST_PARTS = 128
MOST_HEADERS = 8
LONGEST_HEADER = 4096
LONGEST_NAME = 128
LONGEST_BOUNDARY = 70
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_KIND = b"multipart/form-data"


class Malformed(ValueError):
    """It is no form of that kind; the message says why."""


class Opened(Struct, frozen=True):
    """A part begins. `filename` is None where it is a plain field."""

    name: str
    filename: str | None = None
    content_type: str | None = None


class Data(Struct, frozen=True):
    """More of the open part."""

    data: bytes


class Closed(Struct, frozen=True):
    """The open part is whole."""


Frame = Opened | Data | Closed
_CLOSED = Closed()


def is_form(content_type: bytes | None) -> bool:
    """Whether a body says that it is such a form."""
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == _KIND


def boundary_of(content_type: bytes | None) -> bytes:
    """What stands between the parts. Raises Malformed."""
    if content_type is None or len(content_type) > LONGEST_HEADER or not is_form(content_type):
        raise Malformed("the content type is not multipart/form-data")
    boundary = _parameters(content_type)[1].get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise Malformed(f"the content type names no boundary of 1 to {LONGEST_BOUNDARY} characters")
    return boundary


def _parameters(header: bytes) -> tuple[bytes, Mapping[bytes, bytes]]:
    return parse_options_header(header.decode("latin-1"))


class Reader:
    """One form while it comes in."""

    def __init__(self, boundary: bytes) -> None:
        self._frames: list[Frame] = []
        self._parts = 0
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=LONGEST_HEADER,
        )

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk brings. Raises Malformed."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Malformed(f"the form is broken: {str(error)[:200]}") from None
        frames, self._frames = self._frames, []
        return frames

    def close(self) -> None:
        """The end of input. Raises Malformed where the form has none."""
        if not self._ended:
            raise Malformed("the form ends before its last boundary")

    # -- the parser's side -------------------------------------------------

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Malformed(f"the form has more than {MOST_PARTS} parts")
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        self._headers.setdefault(self._field.lower(), self._value)
        self._field = self._value = b""

    def _headers_end(self) -> None:
        kind, said = _parameters(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in said:
            raise Malformed("a part does not say its name (content-disposition: form-data; name=...)")
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in {b"binary", b"8bit", b"7bit"}:
            raise Malformed("a part is encoded (content-transfer-encoding); send its bytes as they are")
        name, filename = _text(said[b"name"]), said.get(b"filename")
        if not name or len(name) > LONGEST_NAME:
            raise Malformed(f"the name of a part must have 1 to {LONGEST_NAME} characters")
        content_type = self._headers.get(b"content-type")
        self._frames.append(
            Opened(
                name,
                None if filename is None else _text(filename),
                None if content_type is None else content_type.decode("latin-1"),
            )
        )

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._frames.append(Data(data[start:end]))

    def _part_ends(self) -> None:
        self._frames.append(_CLOSED)

    def _ends(self) -> None:
        self._ended = True


def _text(said: bytes) -> str:
    try:
        text = said.decode()
    except UnicodeDecodeError:
        raise Malformed("a name in the form is not UTF-8") from None
    if not text.isprintable():
        raise Malformed("a name in the form has control characters")
    return text
