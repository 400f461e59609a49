"""
How a family of models is spoken to where an endpoint only continues text: a conversation folded into one prompt.

What differs between families is data (`Kind`, in the profiles of providers), never code: how each role's words are
marked, what stands between turns and before the answer, what ends it, and what the endpoint does not know.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from foz.canon.content import Message, Part, Reasoning, Refusal, Text
from foz.canon.fault import Unsupported

TEXT = "{text}"
Unknown = Literal["details", "full_text", "stop", "stream", "grammar", "seed"]


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """`system`, `user` and `assistant` are how a turn is said; `{text}` stands for its words."""

    system: str = TEXT + "\n\n"
    user: str = TEXT
    assistant: str = TEXT
    between: str = ""
    """What stands between two turns."""
    answer: str = ""
    """What stands before the answer."""
    alone: bool = False
    """Whether a lone question is said without marks."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer, for the model goes on with the next turn."""
    output: int | None = None
    """Tokens of an answer where the caller does not say: some families never end by themselves."""
    fits: int | None = None
    """Characters that the family can read; the oldest turns are left out."""
    without: frozenset[Unknown] = frozenset()
    """Parameters that its endpoint refuses."""


PLAIN = Kind()
"""A text to go on with, as it is."""


def _words(part: Part, role: str) -> str:
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Reasoning():
            return ""
        case _:
            raise Unsupported(
                f"This model is asked at a Hugging Face task endpoint, which takes text: a message of role '{role}' "
                f"cannot hold {type(part).__name__.lower()} there.",
                field="messages",
            )


def _text(message: Message) -> str:
    if message.role == "tool":
        raise Unsupported(
            "This model is asked at a Hugging Face task endpoint, which knows no tools: leave out the messages of role "
            "'tool', or ask another model.",
            field="messages",
        )
    return "\n".join(filter(None, (_words(part, message.role) for part in message.parts)))


def _marked(mark: str, text: str) -> str:
    before, _, after = mark.partition(TEXT)
    return f"{before}{text}{after}"


def _turn(message: Message, kind: Kind) -> str:
    mark = kind.user if message.role == "user" else kind.assistant
    return _marked(mark, _text(message))


def _fitting(turns: list[str], kind: Kind, room: int) -> list[str]:
    """The last turns that there is room for; the last one in any case, from its end."""
    kept: list[str] = []
    for turn in reversed(turns):
        size = len(turn) + (len(kind.between) if kept else 0)
        if size > room:
            if not kept:
                kept.append(turn[len(turn) - max(room, 1) :])
            break
        room -= size
        kept.append(turn)
    return kept[::-1]


def _shortened(system: str, others: list[Message], kind: Kind) -> str:
    """Of what the system says, the beginning: what the last turn leaves room for, and half of all room in any case."""
    if kind.fits is None or not others:
        return system
    beside = len(_marked(kind.system, "")) + len(_turn(others[-1], kind)) + len(kind.answer)
    return system[: max(kind.fits - beside, kind.fits // 2)]


def fold(messages: Iterable[Message], kind: Kind) -> str:
    """The conversation as one prompt. Raises Unsupported for what is no text."""
    said = tuple(messages)
    system = "\n".join(_text(message) for message in said if message.role in {"system", "developer"})
    others = [message for message in said if message.role not in {"system", "developer"}]
    head = _marked(kind.system, _shortened(system, others, kind)) if system else ""
    if kind.alone and len(others) == 1 and others[0].role == "user":
        return head + _text(others[0])
    goes_on = bool(others) and others[-1].role == "assistant"
    tail = "" if goes_on else kind.answer
    turns = [_turn(message, kind) for message in others]
    if goes_on:
        turns[-1] = turns[-1].removesuffix(kind.assistant.partition(TEXT)[2])
    if kind.fits is not None:
        turns = _fitting(turns, kind, kind.fits - len(head) - len(tail))
    return head + kind.between.join(turns) + tail
