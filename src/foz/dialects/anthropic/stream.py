"""
Events as the frames of a stream.

Blocks are told one behind the other, as Anthropic tells them: one is closed before the next one begins. Upstreams of
other dialects may say more of one call after they began another: what is not of the block that is open waits until
that one is whole, which a call is when its arguments are an object. How an answer ended and what it took are one frame,
the last but one, whenever they came in.
"""

from collections import deque

import msgspec
from msgspec import Raw

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    VendorSaid,
)
from foz.canon.request import ChatRequest
from foz.dialects.anthropic import usage
from foz.dialects.anthropic.answer import BLOCK, TOLD_EXACTLY
from foz.dialects.anthropic.frames import DIALECT, STOP, event
from foz.dialects.anthropic.media import Wire
from foz.wire import json

MOST_HELD = 10_000
"""Events that wait for the end of a call."""
_PIECE = event(b"content_block_delta", b'"index":%d,"delta":{"type":"text_delta","text":"%b"}')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_WORDS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_UNSAID = ChoiceFinished("other")
"""Where nobody said why it ended."""


def stop_of(reason: Reason, detail: str | None, request: ChatRequest, *, refused: bool) -> tuple[str, str | None]:
    """`stop_reason` and `stop_sequence`. A stop of the caller's own is named where the upstream named it."""
    if detail is not None:
        if detail in TOLD_EXACTLY:
            return detail, None
        if reason == "stop" and detail in request.stop:
            return "stop_sequence", detail
    return "refusal" if refused and reason == "stop" else _WORDS.get(reason, "end_turn"), None


def is_object(text: str) -> bool:
    """Whether this is a whole JSON object."""
    try:
        _OBJECT.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class MessagesEncoder:
    """Events to the bytes of a stream. Implements `ports.codec.EventEncoder`."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._request = request
        self._model = model
        self._place = -1
        self._kind = ""
        """What the open block is; empty where none is open."""
        self._call = -1
        """Which call the open block is."""
        self._signed = False
        self._arguments: list[str] = []
        self._held: deque[tuple[int | None, list[Event]]] = deque()
        """What waits: each call, by its number, with all that was said of it so far; and what came between calls."""
        self._waiting: dict[int, list[Event]] = {}
        """The calls among that."""
        self._count = 0
        """Events that wait."""
        self._refused = False
        self._beside: Wire = {}
        self._ended: ChoiceFinished | None = None
        self._measured: Measured | None = None

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none. Only the first choice is told: nobody asks for more here."""
        match event:
            case Started():
                return self._start(event)
            case Measured():
                self._measured = event
            case Finished():
                return self._finish()
            case ChoiceFinished(choice=0):
                self._ended = event
            case TextGrew(choice=0) | RefusalGrew(choice=0) | ReasoningGrew(choice=0) | VendorSaid(choice=0):
                return self._in_order(event)
            case CallOpened(choice=0) | CallGrew(choice=0):
                return self._in_order(event)
            case _:
                pass
        return b""

    def say(self, words: bytes, text: str) -> bytes | None:  # noqa: ARG002 - the words say it
        """The frame that brings these words, where it is more of an open block."""
        return _PIECE % (self._place, words) if self._kind == "text" else None

    def close(self) -> bytes:
        """The terminal frame."""
        return STOP

    # -- what comes before, and what comes after ---------------------------

    def _start(self, said: Started) -> bytes:
        message: Wire = {
            "id": said.id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage.say(None, {}),
        }
        return event(b"message_start", b'"message":' + json.encode(message))

    def _finish(self) -> bytes:
        said = []
        while self._held:
            said.append(self._release())
        said.append(self._shut())
        ended, measured = self._ended or _UNSAID, self._measured
        stopped, sequence = stop_of(ended.reason, ended.detail, self._request, refused=self._refused)
        delta = {"stop_reason": stopped, "stop_sequence": sequence, **self._beside}
        counts = (
            usage.say(None, {}) if measured is None else usage.say(measured.usage, measured.vendor.get(DIALECT, {}))
        )
        said.append(event(b"message_delta", b'"delta":%b,"usage":%b' % (json.encode(delta), json.encode(counts))))
        return b"".join(said)

    # -- blocks ------------------------------------------------------------

    def _in_order(self, said: Event) -> bytes:
        """Now, or when the call that is open is whole."""
        if self._kind == "call":
            more = isinstance(said, CallGrew) and said.index == self._call
            if not more and (self._held or not self._is_whole()) and not _is_nothing(said):
                self._hold(said)
                return b"" if self._count < MOST_HELD else self._release()
        passed = self._say(said)
        if self._held and isinstance(said, CallGrew) and said.arguments.rstrip().endswith("}") and self._is_whole():
            passed += self._release()
        return passed

    def _is_whole(self) -> bool:
        """Whether the call that is open can be over."""
        return is_object("".join(self._arguments))

    def _hold(self, said: Event) -> None:
        """With what waits of the same call, else behind all that waits."""
        call = said.index if isinstance(said, CallOpened | CallGrew) else None
        known = self._waiting.get(call) if call is not None else None
        if known is None and call is None and self._held and self._held[-1][0] is None:
            known = self._held[-1][1]
        if known is None:
            known = []
            self._held.append((call, known))
            if call is not None:
                self._waiting[call] = known
        known.append(said)
        self._count += 1

    def _release(self) -> bytes:
        """The open call is over; what waited for that is said, up to a call that is not whole yet."""
        passed = [self._shut()]
        while self._held:
            call, held = self._held.popleft()
            if call is not None:
                del self._waiting[call]
            self._count -= len(held)
            passed += map(self._say, held)
            if self._kind == "call" and not self._is_whole():
                break
        return b"".join(passed)

    def _say(self, said: Event) -> bytes:
        match said:
            case TextGrew(text=text) if text:
                return self._grow("text", b'{"type":"text","text":""}', b'"text_delta","text":' + json.encode(text))
            case RefusalGrew(text=text) if text:
                self._refused = True
                return self._grow("text", b'{"type":"text","text":""}', b'"text_delta","text":' + json.encode(text))
            case ReasoningGrew(sealed=str(sealed)):
                block = json.encode({"type": "redacted_thinking", "data": sealed})
                return self._open("redacted", block) + self._shut()
            case ReasoningGrew():
                return self._think(said)
            case CallOpened(index=index, id=id, name=name):
                block = json.encode({"type": "tool_use", "id": id, "name": name, "input": {}})
                opened = self._open("call", block)
                self._call, self._arguments = index, []
                return opened
            case CallGrew(index=index, arguments=piece) if self._kind == "call" and index == self._call and piece:
                self._arguments.append(piece)
                return self._delta(b'"input_json_delta","partial_json":' + json.encode(piece))
            case VendorSaid(dialect=dialect, fields=fields) if dialect == DIALECT:
                return self._vendor(fields)
            case _:
                return b""

    def _think(self, said: ReasoningGrew) -> bytes:
        passed = b""
        if said.text or said.signature:
            if self._kind == "thinking" and self._signed:
                passed = self._shut()
            start = b'{"type":"thinking","thinking":"","signature":""}'
            grown = b'"thinking_delta","thinking":' + json.encode(said.text)
            passed += self._grow("thinking", start, grown if said.text else b"")
        if said.signature:
            self._signed = True
            passed += self._delta(b'"signature_delta","signature":' + json.encode(said.signature))
        return passed

    def _vendor(self, fields: dict[str, Raw]) -> bytes:
        passed = []
        for name, raw in fields.items():
            if name.startswith(BLOCK):
                passed.append(self._open("vendor", bytes(raw)) + self._shut())
            else:
                self._beside[name] = raw
        return b"".join(passed)

    def _grow(self, kind: str, start: bytes, delta: bytes) -> bytes:
        opened = b"" if self._kind == kind else self._open(kind, start)
        return opened + self._delta(delta) if delta else opened

    def _open(self, kind: str, block: bytes) -> bytes:
        shut = self._shut()
        self._place += 1
        self._kind = kind
        self._signed = False
        return shut + event(b"content_block_start", b'"index":%d,"content_block":%b' % (self._place, block))

    def _delta(self, delta: bytes) -> bytes:
        return event(b"content_block_delta", b'"index":%d,"delta":{"type":%b}' % (self._place, delta))

    def _shut(self) -> bytes:
        if not self._kind:
            return b""
        self._kind, self._call = "", -1
        return event(b"content_block_stop", b'"index":%d' % self._place)


def _is_nothing(said: Event) -> bool:
    return isinstance(said, TextGrew | RefusalGrew) and not said.text
