"""
Completions' bytes where caller and upstream both speak this dialect: what is said in them. See `openai.relay`.

Some upstreams (llama.cpp) tell how likely tokens were as chat does, and no client of this operation reads that: where
it is asked for, such lists are told as this operation has them. Nothing else of a body changes.
"""

import msgspec
from msgspec import Raw, Struct
from typing_extensions import override

from foz.canon.model import Capability
from foz.canon.request import Ask
from foz.dialects.openai.completions.answer import Choice, likely
from foz.dialects.openai.completions.client import PATH
from foz.dialects.openai.completions.stream import say_logprobs
from foz.dialects.openai.frames import BROKEN
from foz.dialects.openai.relay import Glance, Lens, PassingStream, Relay, Spoken
from foz.ports.codec import Tally
from foz.wire import json
from foz.wire.http import Reply


class _Choice(Spoken):
    text: str | None = None


class _Likely(Struct):
    choices: list[Choice] | None = None


class _Bags(Struct):
    choices: list[dict[str, Raw]]


def _weigh(choice: _Choice) -> int:
    return len(choice.text) if choice.text else -1


def _said(choice: _Choice) -> list[str]:
    return [choice.text] if choice.text else []


LENS = Lens(msgspec.json.Decoder(Glance[_Choice]), _weigh, _said, b"text")
_LIKELY = msgspec.json.Decoder(_Likely)
_BAGS = msgspec.json.Decoder(_Bags)
_BAG = msgspec.json.Decoder(dict[str, Raw])


def _retold(data: bytes, behind: dict[int, int]) -> bytes:
    """The body with its logprobs as four lists; itself, where they are. `behind` is how far each choice was before."""
    try:
        choices = _LIKELY.decode(data).choices or []
    except BROKEN:
        return data
    told: dict[int, Raw] = {}
    for at, choice in enumerate(choices):
        index = choice.index or 0
        before = behind.get(index, 0)
        behind[index] = before + len(choice.text or "")
        if choice.logprobs is not None and choice.logprobs.content is not None:
            told[at] = Raw(json.encode(say_logprobs(likely(choice.logprobs, before))))
    if not told:
        return data
    bags = _BAGS.decode(data).choices
    for at, logprobs in told.items():
        bags[at]["logprobs"] = logprobs
    return json.encode({**_BAG.decode(data), "choices": bags})


class _LikelyStream(PassingStream[_Choice]):
    """Where logprobs are asked for: each chunk is looked at."""

    __slots__ = ("_behind",)

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask, LENS)
        self._lessons = 0
        self._behind: dict[int, int] = {}

    @override
    def _pass(self, data: bytes) -> bytes:
        passed = super()._pass(data)
        return _retold(passed, self._behind) if passed else passed


class CompletionRelay(Relay[_Choice]):
    """Implements `ports.codec.RelayCodec`."""

    def __init__(self) -> None:
        super().__init__(PATH, LENS)

    @override
    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        data, tally = super().whole(reply, ask)
        return (_retold(data, {}) if Capability.LOGPROBS in ask.needs else data), tally

    @override
    def stream(self, ask: Ask) -> PassingStream[_Choice]:
        """For a streamed 2xx answer."""
        return _LikelyStream(ask) if Capability.LOGPROBS in ask.needs else super().stream(ask)
