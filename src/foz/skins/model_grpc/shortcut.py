"""
Whole chats, from the bytes of targets of the `openai` dialect to a message and not by way of our words.

Only the usual is told here: choices in their order that say text, or thoughts and text, and end in a usual way.
Whatever has more (calls, logprobs, parts) or is not as it should be makes the detour, which knows it all; what is told
here the detour tells in the same message.
"""

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from foz.canon.request import Ask
from foz.dialects.openai import usage
from foz.dialects.openai.frames import BROKEN, DIALECT, NULL
from foz.ports.codec import RelayCodec, Tally
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.telling import counts
from foz.wire.http import Call, Reply


class _Said(Struct, forbid_unknown_fields=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: None = None
    reasoning: None = None


class _Choice(Struct, forbid_unknown_fields=True):
    message: _Said
    finish_reason: Literal["stop", "length", "content_filter"]
    index: int = 0
    logprobs: None = None
    stop_reason: None = None


class _Answer(Struct):
    id: str
    created: float
    choices: list[_Choice]
    object: str | None = None
    model: str | None = None
    usage: Raw = Raw(NULL)
    error: None = None


_READ = msgspec.json.Decoder(_Answer).decode
_BAG = msgspec.json.Decoder(dict[str, Raw]).decode
_OWN = frozenset((*_Answer.__struct_fields__, "obfuscation"))
"""Names that have a place of their own."""


class ChatShortcut:
    """Of one call. Implements `ports.codec.Shortcut`; `body` gives its request as the REST API's."""

    dialect = DIALECT

    def __init__(self, body: Callable[[bytes], bytes]) -> None:
        self._body = body

    def along(self, relay: RelayCodec) -> "ChatPassage":
        """From this call's bytes to those that are relayed, and back."""
        return ChatPassage(self._body, relay)


class ChatPassage:
    """Implements `ports.codec.Passage`."""

    __slots__ = ("_body", "_relay")

    def __init__(self, body: Callable[[bytes], bytes], relay: RelayCodec) -> None:
        self._body = body
        self._relay = relay

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """What the caller asks, as the REST API's body is relayed."""
        return self._relay.retarget(self._body(body), ask, model)

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally] | None:
        """The answer's message, and what it tells; None where it is not usual."""
        try:
            return _told(reply.body, ask.model)
        except (*BROKEN, ValueError):  # a number that no field holds is a ValueError: the detour says what is wrong
            return None


def _told(data: bytes, model: str) -> tuple[bytes, Tally] | None:
    answer = _READ(data)
    if not answer.id or not answer.created or not answer.choices or answer.object == "error":
        return None
    tally = Tally()
    tally.finished, tally.pieces = True, 1
    choices: list[pb.Choice] = []
    for place, choice in enumerate(answer.choices):
        if choice.index != place:
            return None
        text, thoughts = choice.message.content or "", choice.message.reasoning_content or ""
        tally.content += len(text) + len(thoughts)
        turn = pb.Message(role="assistant", content=text, reasoning_content=thoughts)
        choices.append(pb.Choice(message=turn, finish_reason=choice.finish_reason, index=place))
    said = pb.ChatCompletionResponse(
        id=answer.id, object="chat.completion", created=int(answer.created), model=model, choices=choices
    )
    told = None if bytes(answer.usage) == NULL else usage.hear(answer.usage)
    if told is not None:
        tally.usage = told[0]
        counts(said.usage, *told)
    bag = _BAG(data)
    for name in bag.keys() - _OWN:
        if bytes(bag[name]) != NULL:
            said.extra[name] = bytes(bag[name]).decode()
    return said.SerializeToString(), tally
