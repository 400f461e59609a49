"""
`/genai/{agent}/chat`: a message to an agent, in the session of a channel and a user there, or in one that is named.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from foz.canon.content import Media, Message, Part, Text
from foz.canon.event import Event, RefusalGrew, Started, TextGrew, VendorSaid
from foz.canon.fault import BadRequest, Fault
from foz.canon.request import Ask, ChatRequest, Operation, Request
from foz.canon.response import Response
from foz.dialects.oci_agent.frames import DIALECT
from foz.dialects.openai.fields import decode
from foz.ports.codec import Answer
from foz.skins.oci_proxy import forms
from foz.skins.oci_proxy.faults import encode_fault_event
from foz.skins.oci_proxy.inference import DONE
from foz.skins.oci_proxy.names import Names, known
from foz.wire import json, sse
from foz.wire.multipart import is_form

Word = Annotated[str, Meta(min_length=1, max_length=256)]
"""A channel, a user of it, a session."""


class AgentRequest(Struct, frozen=True):
    """What is said to the agent: with `channel` and `cuid`, or with `sessionId`."""

    userMessage: Annotated[str, Meta(min_length=1)]  # noqa: N815 - the API's name
    channel: Word | None = None
    cuid: Word | None = None
    sessionId: Word | None = None  # noqa: N815 - the API's name
    stream: bool = False


class AgentText(Struct, frozen=True, omit_defaults=True):
    """What the agent says, and what it says it from."""

    text: str
    citations: Raw | None = None


class AgentResponse(Struct, frozen=True):
    """The agent's message."""

    role: str
    content: list[AgentText]
    timeCreated: str  # noqa: N815 - the API's name


class SessionInfo(Struct, frozen=True):
    """The session that it was said in."""

    sessionId: str | None  # noqa: N815 - the API's name
    sessionKey: str | None  # noqa: N815 - the API's name
    reused: bool


class AgentAnswer(Struct, frozen=True):
    """The answer, or a piece of it."""

    agentResponse: AgentResponse  # noqa: N815 - the API's name
    sessionInfo: SessionInfo  # noqa: N815 - the API's name


class _Used(Struct):
    session: str
    reused: bool = False


_BODY = msgspec.json.Decoder(AgentRequest)
_USED = msgspec.json.Decoder(_Used)
_NOTHING: dict[str, Raw] = {}


def said_at(seconds: int) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Saying:
    """How one conversation's answers are said."""

    def __init__(self, asked: AgentRequest, vendor: dict[str, Raw], created: int) -> None:
        told = vendor.get("session")
        used = None if told is None else _USED.decode(told)
        key = None if asked.channel is None or asked.cuid is None else f"{asked.channel}:{asked.cuid}"
        self._session = SessionInfo(used.session if used else asked.sessionId, key, used is not None and used.reused)
        self._at = said_at(created)

    def say(self, text: str, citations: Raw | None = None) -> bytes:
        return json.encode(
            AgentAnswer(AgentResponse("ASSISTANT", [AgentText(text, citations)], self._at), self._session)
        )


class AgentEncoder:
    """A stream of pieces, each with its session. Implements `ports.codec.EventEncoder`."""

    def __init__(self, asked: AgentRequest) -> None:
        self._asked = asked
        self._saying = _Saying(asked, {}, 0)

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event."""
        match event:
            case Started(vendor=vendor, created=created):
                self._saying = _Saying(self._asked, vendor.get(DIALECT, _NOTHING), created)
                return b""
            case TextGrew(text=text) | RefusalGrew(text=text) if text:
                return sse.encode(self._saying.say(text))
            case VendorSaid(dialect=dialect, fields=fields) if dialect == DIALECT and "citations" in fields:
                return sse.encode(self._saying.say("", fields["citations"]))
            case _:
                return b""

    def close(self) -> bytes:
        """The end of the stream."""
        return DONE


class AgentCodec:
    """One message to an agent. Implements `ports.codec.ServerCodec`."""

    def __init__(self, names: Names, agent: str, content_type: bytes | None) -> None:
        self._names = names
        self._agent = agent
        self._content_type = content_type
        self._heard: tuple[AgentRequest, tuple[forms.Upload, ...]] | None = None

    def _hear(self, body: bytes) -> tuple[AgentRequest, tuple[forms.Upload, ...]]:
        if self._heard is None:
            uploads: tuple[forms.Upload, ...] = ()
            if is_form(self._content_type):
                form = forms.read(body, self._content_type)
                body, uploads = form.body, form.uploads
            asked = decode(_BODY, body)
            if asked.sessionId is None:
                missing = [name for name in ("channel", "cuid") if getattr(asked, name) is None]
                if missing:
                    raise BadRequest(
                        f"'{missing[0]}' is missing: send 'channel' and 'cuid', or 'sessionId'.", field=missing[0]
                    )
            self._heard = asked, uploads
        return self._heard

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        name = known(self._names, self._agent, "agent").name
        asked, _ = self._hear(body)
        return Ask(Operation.CHAT, name, asked.stream)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The message as one user's turn, in its session."""
        asked, uploads = self._hear(body)
        parts: list[Part] = [Text(asked.userMessage), *map(_part, uploads)]
        words = ("sessionId",) if asked.sessionId is not None else ("channel", "cuid")
        return ChatRequest(
            model=self._agent,
            messages=(Message("user", tuple(parts)),),
            stream=asked.stream,
            vendor={DIALECT: {word: Raw(json.encode(getattr(asked, word))) for word in words}},
        )

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        del model
        if not isinstance(answer, Response) or self._heard is None:
            raise TypeError("a message to an agent is answered by a Response")
        del request
        saying = _Saying(self._heard[0], answer.vendor.get(DIALECT, _NOTHING), answer.created)
        first = answer.choices[0]
        citations = first.vendor.get(DIALECT, _NOTHING).get("citations")
        return saying.say((first.text or "") + (first.refusal or ""), citations)

    def encoder(self, request: Request, model: str) -> AgentEncoder:
        """For a stream."""
        del request, model
        if self._heard is None:
            raise TypeError("a stream answers a message that was read")
        return AgentEncoder(self._heard[0])

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


def _part(upload: forms.Upload) -> Text | Media:
    match upload.found.kind:
        case "text":
            return Text(forms.titled(upload.name, upload.text))
        case "image":
            return Media("image", data=upload.base64, mime=upload.found.mime, name=upload.name)
        case "pdf":
            return Media("file", data=upload.base64, mime=upload.found.mime, name=upload.name)
