"""
Forms on the two chat endpoints: the fields of the JSON body, and files that go with the last message.

A field is JSON where its name is that of a list, an object, a number or a flag, else text; the whole body may also be
one field, `payload`. What a file is, its bytes say: text is told as text, pictures and PDFs as such, all else is
refused. The form was held by the door already, so that it is bounded as every body is.
"""

from base64 import b64encode

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import BadRequest
from foz.wire import json
from foz.wire.multipart import Closed, Data, Malformed, Opened, Reader, boundary_of
from foz.wire.sniff import Found, kind_of

PAYLOAD = "payload"
FILES = ("file", "files", "file[]", "files[]")
MOST_FILES = 16
MOST_FIELDS = 64
_WORDS = frozenset({"userMessage", "channel", "cuid", "sessionId", "model", "user", "reasoning_effort"})
"""Fields that are text, whatever they look like."""
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
KNOWN = "text in UTF-8, PDF, PNG, JPEG, GIF and WebP"


class Upload(Struct, frozen=True):
    """A file of a form."""

    name: str
    data: bytes
    found: Found

    @property
    def text(self) -> str:
        """What a text says."""
        return self.data.decode("utf-8-sig")

    @property
    def base64(self) -> str:
        """All of it as letters."""
        return b64encode(self.data).decode()

    @property
    def link(self) -> str:
        """All of it as a data URI."""
        return f"data:{self.found.mime};base64,{self.base64}"


class Form(Struct, frozen=True):
    """A form, read."""

    fields: dict[str, Raw]
    uploads: tuple[Upload, ...]

    @property
    def body(self) -> bytes:
        """The fields as the JSON body that they stand for."""
        return msgspec.json.encode(self.fields)


def read(body: bytes, content_type: bytes | None) -> Form:
    """Raises BadRequest, naming the field."""
    fields: dict[str, Raw] = {}
    uploads: list[Upload] = []
    try:
        for part, data in _parts(body, content_type):
            if part.filename is not None or part.name in FILES:
                uploads.append(_upload(part, data))
            else:
                _take(fields, part.name, data)
    except Malformed as error:
        raise BadRequest(f"The body is not a form: {error}.") from None
    if len(uploads) > MOST_FILES:
        raise BadRequest(f"At most {MOST_FILES} files go with a message.", field="file")
    return Form(fields, tuple(uploads))


def _parts(body: bytes, content_type: bytes | None) -> list[tuple[Opened, bytes]]:
    reader = Reader(boundary_of(content_type))
    parts: list[tuple[Opened, bytes]] = []
    pieces: list[bytes] = []
    for frame in reader.feed(body):
        match frame:
            case Opened():
                pieces = []
                parts.append((frame, b""))
            case Data(data):
                pieces.append(data)
            case Closed():
                parts[-1] = (parts[-1][0], b"".join(pieces))
    reader.close()
    return parts


def _upload(part: Opened, data: bytes) -> Upload:
    if part.name not in FILES:
        raise BadRequest(f"A file goes into the field 'file', not '{part.name}'.", field=part.name)
    name = (part.filename or "file")[-MOST_FIELDS:]
    found = kind_of(data)
    if found is None:
        what = "is empty" if not data else "is of a kind that no model here reads"
        raise BadRequest(f"The file '{name}' {what}; send {KNOWN}.", field="file")
    return Upload(name, data, found)


def _take(fields: dict[str, Raw], name: str, data: bytes) -> None:
    if name == PAYLOAD:
        try:
            if json.too_deep(data):
                raise BadRequest(f"The field '{PAYLOAD}' is nested too deeply.", field=PAYLOAD)
            fields.update(_OBJECT.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadRequest(
                f"The field '{PAYLOAD}' must be the JSON object of the whole body.", field=PAYLOAD
            ) from None
        return
    if name in fields or len(fields) >= MOST_FIELDS:
        raise BadRequest(f"The field '{name}' is there twice, or there are too many fields.", field=name)
    fields[name] = _value(name, data)


def _value(name: str, data: bytes) -> Raw:
    if name not in _WORDS and not json.too_deep(data):
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return Raw(data.strip())
    try:
        return Raw(json.encode(data.decode()))
    except UnicodeDecodeError:
        raise BadRequest(f"The field '{name}' is not UTF-8.", field=name) from None


def with_files(messages: list[dict[str, object]], uploads: tuple[Upload, ...]) -> list[dict[str, object]]:
    """OpenAI's messages with the files behind the words of the last of the user's. Raises BadRequest."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.get("role") == "user":
            said = message.get("content")
            before = [{"type": "text", "text": said}] if isinstance(said, str) else said
            if not isinstance(before, list):
                break
            parts = [*before, *map(part_of, uploads)]
            return [*messages[:place], {**message, "content": parts}, *messages[place + 1 :]]
    raise BadRequest("Files go with a message of the role 'user', and there is none.", field="messages")


def part_of(upload: Upload) -> dict[str, object]:
    """A file as a part of a message, as OpenAI writes it."""
    match upload.found.kind:
        case "text":
            return {"type": "text", "text": titled(upload.name, upload.text)}
        case "image":
            return {"type": "image_url", "image_url": {"url": upload.link}}
        case "pdf":
            return {"type": "file", "file": {"filename": upload.name, "file_data": upload.link}}


def titled(name: str, text: str) -> str:
    """A text with the name of its file above it."""
    return f"[{name}]\n{text}"
