"""
Answers of upstreams as events: whole messages and streams.

Blocks come one behind the other. A thought's mark is told when its block is closed; a call that nothing was said of is
called with `{}`. Blocks that canon has no word for (what tools of Anthropic's servers did) are told whole, verbatim, as
`VendorSaid`, each under its own name.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    ReasoningGrew,
    Started,
    TextGrew,
    VendorSaid,
)
from foz.canon.response import Choice, Response, fold
from foz.dialects.anthropic import usage
from foz.dialects.anthropic.faults import fault_in_stream
from foz.dialects.anthropic.frames import BROKEN, DIALECT, NULL, garbled
from foz.wire import json

REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
TOLD_EXACTLY = frozenset({"model_context_window_exceeded", "pause_turn"})
"""Reasons that say more than ours: they are the detail."""
BLOCK = "block."
"""Before the number of a block that is told verbatim."""
_KEPT = ("container", "stop_details", "context_management")
"""What a message may say beside its content, kept verbatim."""
_KINDS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
"""Blocks that canon has words for."""
_NOTHING = Raw(NULL)
_NONE_KEPT = (_NOTHING,) * len(_KEPT)


class Block(Struct):
    """A block of content, or the beginning of one."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = _NOTHING


class _Said(Struct):
    """What a message says beside its content. The last three are kept verbatim."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = _NOTHING
    container: Raw = _NOTHING
    stop_details: Raw = _NOTHING
    context_management: Raw = _NOTHING


class Message(_Said):
    """A message, whole or without its content yet."""

    content: list[Raw] | None = None


class _Read(_Said):
    """A whole message, its blocks read with it."""

    content: list[Block] | None = None


Blocks = Sequence[Block | Raw]
"""Read where canon has words for them, or as they are."""


class Delta(Struct):
    """More of a block, or how the message ended."""

    type: str | None = None
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Frame(Struct):
    """One event of a stream, or a whole message."""

    type: str | None = None
    index: int = 0
    message: Message | None = None
    content_block: Raw = _NOTHING
    delta: Delta | None = None
    usage: Raw = _NOTHING


_FRAME = msgspec.json.Decoder(Frame)
_MESSAGE = msgspec.json.Decoder(Message)
_READ = msgspec.json.Decoder(_Read)
_BLOCK = msgspec.json.Decoder(Block)
_BAG = msgspec.json.Decoder(dict[str, Raw])


class _Loose(Struct):
    type: str | None = None


_LOOSE = msgspec.json.Decoder(_Loose)


def _kind(raw: Raw) -> str:
    return _LOOSE.decode(raw).type or ""


class _Open:
    """A block while it comes in."""

    __slots__ = ("bag", "call", "grew", "input", "kind", "signature", "written")

    def __init__(self, kind: str, call: int | None, bag: dict[str, Raw]) -> None:
        self.kind = kind
        self.call = call
        """The number of the call that it is."""
        self.grew = False
        self.input: bytes = b""
        """What a call was opened with."""
        self.signature = ""
        self.bag = bag
        """The block itself, where it is told verbatim."""
        self.written: list[str] = []
        """Its input, where it is told verbatim."""


class Reader:
    """One answer while it comes in."""

    def __init__(self) -> None:
        self.done = False
        self._started = False
        self._blocks: dict[int, _Open] = {}
        self._calls = 0
        self._counted = usage.Counted()
        self._news: usage.Bag = {}
        self._measured = False
        self._ended: ChoiceFinished | None = None

    # -- whole -------------------------------------------------------------

    def whole(self, message: _Said, blocks: Blocks) -> list[Event]:
        """The events of a whole message. Raises msgspec's errors where a block is none."""
        events = [self._start(message)]
        for place, block in enumerate(blocks):
            events += self._begin(place, block) if isinstance(block, Block) else self._open(place, block)
            events += self._close(place)
        events += self._stop(message.stop_reason or "end_turn", message.stop_sequence, _said_beside(message))
        return [*events, *self._finish()]

    # -- streamed ----------------------------------------------------------

    def take(self, data: bytes) -> list[Event]:
        """The events of a frame. Raises Garbled, or the fault that the upstream reports."""
        try:
            return self._take(_FRAME.decode(data), data)
        except BROKEN as error:
            if _is_error(data):
                raise fault_in_stream(data) from None
            raise garbled("stream", error) from None

    def is_text(self, place: int) -> bool:
        """Whether the block at this place was opened and is text."""
        block = self._blocks.get(place)
        return block is not None and block.kind == "text"

    def _take(self, frame: Frame, data: bytes) -> list[Event]:
        match frame.type:
            case "content_block_delta":
                return self._grow(frame.index, frame.delta or Delta())
            case "message_start":
                return [self._start(frame.message or Message())]
            case "content_block_start":
                return self._open(frame.index, frame.content_block)
            case "content_block_stop":
                return self._close(frame.index)
            case "message_delta":
                self._count(frame.usage)
                delta = frame.delta or Delta()
                return self._stop(delta.stop_reason, delta.stop_sequence, {}) if delta.stop_reason else []
            case "message_stop":
                return self._finish()
            case "error":
                raise fault_in_stream(data)
            case _:
                return []  # pings, and what is new

    # -- both --------------------------------------------------------------

    def _start(self, message: _Said) -> Event:
        if self._started:
            raise garbled("stream", "it begins twice")
        self._started = True
        self._count(message.usage)
        return Started(message.id or "", message.model or "", 0)

    def _count(self, raw: Raw) -> None:
        heard = usage.hear(raw)
        if heard is None:
            return
        counted, news = heard
        self._counted = usage.later(self._counted, counted) if self._measured else counted
        self._news = {**self._news, **news}
        self._measured = True

    def _open(self, place: int, raw: Raw) -> list[Event]:
        if not self._started or self._ended is not None or place in self._blocks:
            raise garbled("stream", f"the block {place} begins where none may")
        kind = _kind(raw)
        if kind not in _KINDS:
            self._blocks[place] = _Open(kind, None, _BAG.decode(raw))
            return []
        return self._begin(place, _BLOCK.decode(raw))

    def _begin(self, place: int, block: Block) -> list[Event]:
        kind = block.type
        call = self._calls if kind == "tool_use" else None
        opened = self._blocks[place] = _Open(kind, call, {})
        if call is not None:
            self._calls += 1
            opened.input = bytes(block.input)
            return [CallOpened(call, block.id or f"toolu_{call}", block.name)]
        if kind == "redacted_thinking":
            return [ReasoningGrew(sealed=block.data)]
        opened.signature = block.signature
        if kind == "thinking":
            return [ReasoningGrew(block.thinking)] if block.thinking else []
        return [TextGrew(block.text)] if block.text else []

    def _grow(self, place: int, delta: Delta) -> list[Event]:
        block = self._blocks.get(place)
        if block is None:
            raise garbled("stream", f"more of the block {place}, which is not open")
        match delta.type:
            case "text_delta" if block.kind == "text":
                return [TextGrew(delta.text)] if delta.text else []
            case "thinking_delta" if block.kind == "thinking":
                return [ReasoningGrew(delta.thinking)] if delta.thinking else []
            case "signature_delta":
                block.signature += delta.signature
            case "input_json_delta" if block.call is not None and delta.partial_json:
                block.grew = True
                return [CallGrew(block.call, delta.partial_json)]
            case "input_json_delta":
                block.written.append(delta.partial_json)
            case _:
                pass  # citations, and what is new
        return []

    def _close(self, place: int) -> list[Event]:
        block = self._blocks.get(place)
        if block is None:
            raise garbled("stream", f"the end of the block {place}, which is not open")
        if block.bag:
            return [_verbatim(place, block)]
        if block.call is not None and not block.grew:
            block.grew = True
            return [CallGrew(block.call, "{}" if block.input in {b"", NULL} else block.input.decode())]
        if block.signature:
            signature, block.signature = block.signature, ""
            return [ReasoningGrew(signature=signature)]
        return []

    def _stop(self, said: str | None, sequence: str | None, beside: dict[str, Raw]) -> list[Event]:
        if self._ended is not None or said is None:
            return []
        reason, detail = _why(said, sequence)
        self._ended = ChoiceFinished(reason, 0, detail)
        told: list[Event] = [VendorSaid(DIALECT, beside)] if beside else []
        return [*told, self._ended]

    def _finish(self) -> list[Event]:
        if self._ended is None:
            raise garbled("stream", "it ended without saying why")
        self.done = True
        counts = usage.tokens(self._counted) if self._measured else None
        if counts is None:
            return [Finished()]
        return [Measured(counts, {DIALECT: self._news} if self._news else {}), Finished()]


def hear(data: bytes) -> Response:
    """A whole answer. Raises Garbled, or the fault that the upstream reports."""
    try:
        message, blocks = _read(data)
        if message.type == "error":
            raise fault_in_stream(data)
        if blocks is None:
            raise garbled("answer", "it has no content")
        return _one_text(message, blocks) or fold(Reader().whole(message, blocks))
    except BROKEN as error:
        if _is_error(data):
            raise fault_in_stream(data) from None
        raise garbled("answer", error) from None


def _read(data: bytes) -> tuple[_Said, Blocks | None]:
    """A message and its blocks."""
    try:
        read = _READ.decode(data)
    except BROKEN:  # a block of a kind that canon does not know may be anything
        message = _MESSAGE.decode(data)
        return message, message.content
    blocks = read.content
    for block in blocks or ():
        if block.type not in _KINDS:
            raws = _MESSAGE.decode(data).content or ()
            return read, [it if it.type in _KINDS else raws[place] for place, it in enumerate(blocks or ())]
    return read, blocks


def _one_text(message: _Said, blocks: Blocks) -> Response | None:
    """What most answers are, one text, as the fold of its events would be."""
    block = blocks[0] if len(blocks) == 1 else None
    if not isinstance(block, Block) or block.type != "text" or not block.text or block.signature:
        return None
    if _said_beside(message):
        return None
    reason, detail = _why(message.stop_reason or "end_turn", message.stop_sequence)
    choice = Choice(block.text, reason=reason, detail=detail)
    heard = usage.hear(message.usage)
    counts = None if heard is None else usage.tokens(heard[0])
    if heard is None or counts is None:
        return Response(message.id or "", message.model or "", 0, (choice,))
    news = {DIALECT: heard[1]} if heard[1] else {}
    return Response(message.id or "", message.model or "", 0, (choice,), counts, usage_vendor=news)


def _why(said: str, sequence: str | None) -> tuple[Reason, str | None]:
    """How it ended, and what there is to say of that."""
    reason = REASONS.get(said, "other")
    return reason, said if said in TOLD_EXACTLY or reason == "other" else sequence


def _is_error(data: bytes) -> bool:
    """Whether this says that it is an error, whatever else is wrong with it."""
    try:
        return _kind(Raw(data)) == "error"
    except BROKEN:
        return False


def _said_beside(message: _Said) -> dict[str, Raw]:
    kept = (message.container, message.stop_details, message.context_management)
    if kept == _NONE_KEPT:
        return {}
    return {name: raw for name, raw in zip(_KEPT, kept, strict=True) if bytes(raw) != NULL}


def _verbatim(place: int, block: _Open) -> Event:
    """A block that canon has no word for; a number that sorts keeps several apart and in order."""
    written = "".join(block.written).encode()
    if written and json.valid(written):
        block.bag["input"] = Raw(written)
    return VendorSaid(DIALECT, {f"{BLOCK}{place:04d}": Raw(json.encode(block.bag))})
