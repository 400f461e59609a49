"""Chat's bytes where caller and upstream both speak this dialect: what is said in them. See `openai.relay`."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from foz.dialects.openai.chat.answer import Piece, text_of
from foz.dialects.openai.chat.asking import MANNER, Manner
from foz.dialects.openai.chat.client import PATH
from foz.dialects.openai.relay import SAME_NAMES, Glance, Lens, Relay, Spoken


class _Called(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(Struct):
    function: _Called | None = None


class _Delta(Struct):
    content: str | list[Piece] | None = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Called | None = None
    audio: dict[str, Raw] | None = None


class _Choice(Spoken):
    delta: _Delta | None = None
    message: _Delta | None = None


def _weigh_choice(choice: _Choice) -> int:
    said = choice.delta or choice.message
    return -1 if said is None else _weigh(said)


def _weigh(delta: _Delta) -> int:
    """Characters of content in this delta; -1 where it says nothing."""
    content, calls = delta.content, delta.tool_calls
    thoughts = delta.reasoning_content or delta.reasoning
    if content.__class__ is str and content and not calls and not thoughts:
        return len(content)
    size = -1
    for said in (content, thoughts, delta.refusal):
        if said:
            length = len(said) if not isinstance(said, list) else sum(map(len, text_of(said)))
            size = max(size, 0) + length
    called = [it.function for it in calls or ()]
    if delta.function_call:
        called.append(delta.function_call)
    if called:
        size = max(size, 0) + sum(map(_weigh_call, called))
    return 0 if size < 0 and delta.audio else size


def _weigh_call(called: _Called | None) -> int:
    return 0 if called is None else len(called.name or "") + len(called.arguments or "")


def _said(choice: _Choice) -> list[str]:
    delta = choice.delta or choice.message
    if delta is None:
        return []
    content, thoughts = delta.content, delta.reasoning_content or delta.reasoning
    texts = [*text_of(content), thoughts if isinstance(thoughts, str) else "", delta.refusal or ""]
    called = [delta.function_call, *(it.function for it in delta.tool_calls or ())]
    texts += [it.arguments for it in called if it is not None and isinstance(it.arguments, str)]
    return [text for text in texts if text]


LENS = Lens(msgspec.json.Decoder(Glance[_Choice]), _weigh_choice, _said, b"content")
_OLD_LIMIT = {"max_completion_tokens": "max_tokens"}


class ChatRelay(Relay[_Choice]):
    """Implements `ports.codec.RelayCodec`, for one manner of this dialect."""

    def __init__(self, manner: Manner = MANNER) -> None:
        super().__init__(manner.root + PATH, LENS, _OLD_LIMIT if manner.limit == "max_tokens" else SAME_NAMES)
