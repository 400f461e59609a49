"""
Files that callers uploaded here and name in a request: they are read before anybody is asked, and take their place in
it in the form that models know: text as text, pictures as pictures, PDFs as files.
"""

from base64 import b64encode

from msgspec import structs

from foz.canon.content import Media, Message, Part, Text, ToolResult
from foz.canon.fault import BadRequest, Fault, NotFound
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, Request
from foz.gateway.opening import project_of
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.ports.files import Files, Kept
from foz.ports.turn import Turn

MOST = 16
MOST_BYTES = 32 * 2**20
_NEEDS = {"image": Capability.IMAGES, "pdf": Capability.FILES}


class FiledCodec:
    """A request in which files stand for their ids. Implements `ports.codec.ServerCodec`."""

    def __init__(self, inner: ServerCodec, found: dict[str, Text | Media]) -> None:
        self._inner = inner
        self._found = found

    def read(self, body: bytes) -> Ask:
        """As it was."""
        return self._inner.read(body)

    def decode_request(self, body: bytes) -> Request:
        """With the files."""
        request = self._inner.decode_request(body)
        if not isinstance(request, ChatRequest):
            return request
        return structs.replace(request, messages=tuple(map(self._message, request.messages)))

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """As it was."""
        return self._inner.encode_response(answer, request, model)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """As it was."""
        return self._inner.encoder(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """As it was."""
        return self._inner.encode_fault_event(fault)

    def _message(self, message: Message) -> Message:
        if not any(isinstance(part, Media | ToolResult) for part in message.parts):
            return message
        return structs.replace(message, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolResult):
            return structs.replace(part, parts=tuple(map(self._shown, part.parts)))
        return self._shown(part) if isinstance(part, Media) else part

    def _shown(self, part: Text | Media) -> Text | Media:
        if isinstance(part, Media) and part.file_id is not None:
            return self._found.get(part.file_id, part)
        return part


async def filed(files: Files | None, turn: Turn, ask: Ask) -> tuple[Turn, Ask]:
    """The same with the files that it names. Raises NotFound, BadRequest."""
    if files is None:
        raise NotFound("This gateway keeps no files.", field="file_id")
    if len(ask.files) > MOST:
        raise BadRequest(f"At most {MOST} files go with a request.", field="messages")
    whose = (turn.principal.id, project_of(turn, ask))
    kept = [await files.find(whose, id) for id in sorted(ask.files)]
    if sum(one.size for one in kept) > MOST_BYTES:
        raise BadRequest(f"The files of a request may have {MOST_BYTES} bytes together.", field="messages", status=413)
    found = {one.id: part_of(one, await files.read(whose, one.id)) for one in kept}
    needs = ask.needs | {_NEEDS[one.kind] for one in kept if one.kind in _NEEDS}
    return structs.replace(turn, codec=FiledCodec(turn.codec, found)), structs.replace(ask, needs=needs)


def part_of(kept: Kept, data: bytes) -> Text | Media:
    """A file as a part of a message."""
    if kept.kind == "text":
        return Text(f"[{kept.name}]\n{data.decode('utf-8-sig')}")
    return Media(
        "image" if kept.kind == "image" else "file", data=b64encode(data).decode(), mime=kept.mime, name=kept.name
    )
