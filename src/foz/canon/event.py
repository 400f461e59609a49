"""
What a model says, one fact at a time.

A stream is a list of events; a response is their fold (`canon.response.fold`).
There is no other way to build a response, so streamed and whole answers agree.

Order: `Started` first, `Finished` last, each once. Between them anything, for any choice in any order;
`CallOpened` precedes the `CallGrew` of its `index`; `Measured` may come once, late.
"""

from typing import Literal

from msgspec import Raw, Struct

from foz.canon.usage import Timing, Usage

Reason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


class TokenLogprob(Struct, frozen=True):
    """One token and how likely it was. `logprob` is None where nothing precedes it."""

    token: str
    logprob: float | None
    bytes: tuple[int, ...] | None = None
    top: "tuple[TokenLogprob, ...]" = ()
    offset: int | None = None
    """Character offset in the text, where the dialect counts it."""


class Started(Struct, frozen=True, tag="started"):
    """The target has begun. `id`, `created` and `vendor` are the target's own."""

    id: str
    model: str
    created: int
    vendor: dict[str, dict[str, Raw]] = {}


class TextGrew(Struct, frozen=True, tag="text_grew"):
    """More of the answer. `text` may be empty where only `logprobs` come."""

    text: str
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class RefusalGrew(Struct, frozen=True, tag="refusal_grew"):
    """More of a refusal."""

    text: str
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class ReasoningGrew(Struct, frozen=True, tag="reasoning_grew"):
    """More of the thinking; a signature or sealed block closes a block of it."""

    text: str = ""
    choice: int = 0
    signature: str | None = None
    sealed: str | None = None


class CallOpened(Struct, frozen=True, tag="call_opened"):
    """The model calls a tool; `index` counts the calls of this choice."""

    index: int
    id: str
    name: str
    choice: int = 0


class CallGrew(Struct, frozen=True, tag="call_grew"):
    """More of the arguments of call `index`: a piece of JSON text."""

    index: int
    arguments: str
    choice: int = 0


class VendorSaid(Struct, frozen=True, tag="vendor_said"):
    """Something of a choice that only `dialect` has a word for (audio, annotations), verbatim."""

    dialect: str
    fields: dict[str, Raw]
    choice: int = 0


class ChoiceFinished(Struct, frozen=True, tag="choice_finished"):
    """One choice is complete. `detail` is what stopped it (the stop string, the vendor's own word)."""

    reason: Reason
    choice: int = 0
    detail: str | None = None


class Measured(Struct, frozen=True, tag="measured"):
    """The target's own count."""

    usage: Usage
    vendor: dict[str, dict[str, Raw]] = {}


class Finished(Struct, frozen=True, tag="finished"):
    """The target said that it is done. A stream without it was cut."""

    timing: Timing | None = None
    """The gateway's own measure, for dialects that tell it."""


Event = (
    Started
    | TextGrew
    | RefusalGrew
    | ReasoningGrew
    | CallOpened
    | CallGrew
    | VendorSaid
    | ChoiceFinished
    | Measured
    | Finished
)
