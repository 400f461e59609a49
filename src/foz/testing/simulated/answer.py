"""
The simulated model: from a request to the events of its answer, by rule, without clock, chance or network.

The same request gets the same answer, word by word; another `seed` and another choice get other last words.
What it says, in this order of precedence:

* tools are offered and the last turn is the user's: it calls them (`simulated.tools`);
* the last turn is a tool's result: it repeats the result;
* a response format is asked for: JSON that satisfies it (`simulated.fill`);
* else it says what it is and repeats the user's words.

It thinks first when asked to. Tokens are counted as `simulated.words` says; `max_output` bounds thoughts, words and
arguments together. Whole answers are the fold of these events, as everywhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import cycle, islice

import msgspec
from msgspec import Struct

from foz.canon.content import ToolCall
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
    TokenLogprob,
)
from foz.canon.request import ChatRequest, CompleteRequest, ReasoningWish
from foz.canon.usage import Usage
from foz.testing.simulated import prompt, tools, words
from foz.testing.simulated.fill import satisfy_format

CREATED = 1_767_225_600
"""When an answer was made, where nobody says: 1 January 2026."""
DEFAULT_COMPLETION = 16
"""Tokens of a plain completion whose caller names no limit, as OpenAI has it."""
QUOTED = 600
"""Characters of the user's words, or of a tool's result, that are repeated."""
_CLOSERS = (
    "No network was needed for this answer.",
    "Every word of this follows from a rule.",
    "The same question gets the same answer.",
    "Nothing left this machine.",
    "Ask again and I shall say it again.",
)
_FILLER = ("This", "is", "Foz's", "simulated", "model", "and", "it", "goes", "on")
_THOUGHTS = (
    "The caller wants an answer.",
    "I am simulated, so I follow rules.",
    "First I look at the last turn.",
    "Then I say what I was asked for.",
)
_EFFORTS = {"minimal": 1, "low": 2, "medium": 3, "high": 4, "xhigh": 4, "max": 4}


class _Draft(Struct, frozen=True):
    """One choice, thought to its end. `said` are its tokens; `echoed` of them are the prompt's."""

    reason: Reason
    detail: str | None = None
    thoughts: Sequence[str] = ()
    said: Sequence[str] = ()
    echoed: int = 0
    calls: tuple[ToolCall, ...] = ()

    @property
    def output(self) -> int:
        """How many tokens it took."""
        arguments = sum(words.count(call.arguments) for call in self.calls)
        return len(self.thoughts) + len(self.said) - self.echoed + arguments


def answer(
    request: ChatRequest | CompleteRequest, *, created: int = CREATED, length: int | None = None
) -> Iterator[Event]:
    """The events of the answer. `length` asks for so many words instead of what would be said."""
    identity = _identity(request)
    if isinstance(request, ChatRequest):
        drafts = _chat_drafts(request, identity, length)
        top = (request.top_logprobs or 0) if request.logprobs else None
        asked = words.count_chat(request)
        id = f"chatcmpl-{identity}"
    else:
        drafts = _complete_drafts(request, identity, length)
        top = request.logprobs
        asked = sum(words.count_prompt(each) for each in request.prompts)
        id = f"cmpl-{identity}"
    usage = Usage(
        input=asked,
        output=sum(draft.output for draft in drafts),
        cached=0,
        reasoning=sum(len(draft.thoughts) for draft in drafts),
    )
    yield Started(id, request.model, created)
    yield from _in_turn([_tell(index, draft, identity, top) for index, draft in enumerate(drafts)])
    yield Measured(usage)
    yield Finished()


def _identity(request: ChatRequest | CompleteRequest) -> str:
    """A name for what was asked: how the answer travels, and what only a vendor knows, are no part of it."""
    digest = blake2b(digest_size=12)
    if isinstance(request, ChatRequest):
        plain = [msgspec.structs.replace(message, vendor={}) for message in request.messages]
        names = [tool.name for tool in request.tools]
        facts = (request.model, plain, names, request.sampling.seed, request.choices)
        digest.update(msgspec.json.encode(facts))
    else:
        digest.update(msgspec.json.encode((request.model, request.prompts, request.sampling.seed, request.choices)))
    return digest.hexdigest()


# What is said.


def _chat_drafts(request: ChatRequest, identity: str, length: int | None) -> list[_Draft]:
    calls = tools.choose_calls(request) if length is None else []
    drafts = []
    for choice in range(request.choices):
        thoughts = _think(request.reasoning)
        if calls:
            named = tuple(
                ToolCall(_call_id(identity, choice, position), name, arguments)
                for position, (name, arguments) in enumerate(calls)
            )
            drafts.append(_limit_calls(thoughts, named, request.max_output))
        else:
            text = " ".join(islice(cycle(_FILLER), length)) if length is not None else _say(request, identity, choice)
            drafts.append(_limit_text(thoughts, text, request.stop, request.max_output))
    return drafts


def _call_id(identity: str, choice: int, position: int) -> str:
    digest = blake2b(repr((identity, choice, position)).encode(), digest_size=12)
    return f"call_{digest.hexdigest()}"


def _think(wish: ReasoningWish | None) -> list[str]:
    """Thoughts, where they are wanted; a higher effort thinks longer, a budget bounds it."""
    if wish is None or wish.enabled is False or wish.effort == "none":
        return []
    if wish.effort is None and not wish.budget and wish.enabled is None:
        return []
    sentences = _EFFORTS.get(wish.effort or "medium", 3)
    return words.tokens(" ".join(_THOUGHTS[:sentences]))[: wish.budget]


def _clip(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[:QUOTED]} ..."


def _say(request: ChatRequest, identity: str, choice: int) -> str:
    """The text of a choice."""
    results = prompt.results_of(request)
    user = prompt.last_user(request)
    told = prompt.text_of(user)
    if request.response_format is not None and request.response_format.kind != "text":
        facts = f"{told} {' '.join(text for _, text in results)}".strip()
        return satisfy_format(request.response_format, facts)
    sentences = ["This is Foz's simulated model."]
    if results:
        sentences += [f"The tool {name} answered: {_clip(text)}" for name, text in results]
    else:
        media = prompt.media_of(user)
        sentences.append(f'You said: "{_clip(told)}"' if told else "You said nothing.")
        if media:
            sentences.append(f"You sent {media}.")
    sentences.append(_closer(identity, request.sampling.seed, choice))
    return " ".join(sentences)


def _closer(identity: str, seed: int | None, choice: int) -> str:
    """The last sentence: each choice has another, as far as there are."""
    first = int.from_bytes(blake2b(repr((identity, seed)).encode(), digest_size=4).digest())
    return _CLOSERS[(first + choice) % len(_CLOSERS)]


def _complete_drafts(request: CompleteRequest, identity: str, length: int | None) -> list[_Draft]:
    drafts = []
    limit = DEFAULT_COMPLETION if request.max_output is None and length is None else request.max_output
    for number, each in enumerate(request.prompts):
        before = words.spell(each)
        for choice in range(request.choices):
            if length is not None:
                text = "".join(f" {word}" for word in islice(cycle(_FILLER), length))
            else:
                text = _continue(before, request.suffix, _closer(identity, request.sampling.seed, number + choice))
            draft = _limit_text([], text, request.stop, limit)
            if request.echo:
                echo = words.tokens(before)
                draft = msgspec.structs.replace(draft, said=[*echo, *draft.said], echoed=len(echo))
            drafts.append(draft)
    return drafts


def _continue(before: str, suffix: str | None, closer: str) -> str:
    last = " ".join(before[-QUOTED:].split()[-8:])
    middle = f' It goes on after "{last}"' if last else " It begins with nothing"
    ahead = " ".join((suffix or "")[:QUOTED].split()[:8])
    end = f' and leads to "{ahead}".' if ahead else "."
    return f" This is Foz's simulated model.{middle}{end} {closer}"


# Where it stops.


def _limit_text(thoughts: list[str], text: str, stops: tuple[str, ...], limit: int | None) -> _Draft:
    """Ends before the first stop string, and at the limit."""
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    detail = None
    if found:
        end, detail = min(found)
        text = text[:end]
    said = words.tokens(text)
    if limit is not None and len(thoughts) + len(said) > limit:
        thoughts = thoughts[:limit]
        return _Draft("length", None, thoughts, said[: limit - len(thoughts)])
    return _Draft("stop", detail, thoughts, said)


def _limit_calls(thoughts: list[str], calls: tuple[ToolCall, ...], limit: int | None) -> _Draft:
    """A limit cuts the arguments short, as vendors do, and drops the calls behind them."""
    if limit is None:
        return _Draft("tool_calls", None, thoughts, calls=calls)
    left = limit - len(thoughts)
    kept: list[ToolCall] = []
    for call in calls:
        pieces = words.tokens(call.arguments)
        if len(pieces) > left:
            if left > 0:
                kept.append(ToolCall(call.id, call.name, "".join(pieces[:left])))
            return _Draft("length", None, thoughts[:limit], calls=tuple(kept))
        left -= len(pieces)
        kept.append(call)
    return _Draft("tool_calls", None, thoughts, calls=tuple(kept))


# How it is told.


def _tell(index: int, draft: _Draft, identity: str, top: int | None) -> Iterator[Event]:
    """One choice, token by token."""
    for thought in draft.thoughts:
        yield ReasoningGrew(thought, index)
    offset = 0
    for position, token in enumerate(draft.said):
        if top is None:
            yield TextGrew(token, index)
            continue
        sure = _rate(token, position, offset, top, identity)
        if position == 0 and draft.echoed:
            sure = TokenLogprob(token, None, sure.bytes, offset=0)
        yield TextGrew(token, index, (sure,))
        offset += len(token)
    if not draft.said and not draft.calls:
        yield TextGrew("", index)
    for position, call in enumerate(draft.calls):
        yield CallOpened(position, call.id, call.name, index)
        for piece in words.tokens(call.arguments):
            yield CallGrew(position, piece, index)
    yield ChoiceFinished(draft.reason, index, draft.detail)


def _rate(token: str, position: int, offset: int, top: int, identity: str) -> TokenLogprob:
    """How likely a token was: made up, always the same; the token itself is the likeliest."""
    logprob = -int.from_bytes(blake2b(repr((identity, position)).encode(), digest_size=2).digest()) / 65536
    others = tuple(
        TokenLogprob(other, logprob - rank, tuple(other.encode()))
        for rank, other in enumerate(_alternatives(token, top - 1), 1)
    )
    spelled = tuple(token.encode("utf-8", "replace"))
    best = (TokenLogprob(token, logprob, spelled), *others) if top else ()
    return TokenLogprob(token, logprob, spelled, best, offset)


def _alternatives(token: str, number: int) -> list[str]:
    """Other tokens that might have stood there."""
    return [f" {word}" for word in _FILLER if f" {word}" != token][: max(number, 0)] + [
        f" alternative-{rank}" for rank in range(len(_FILLER), number)
    ]


def _in_turn(streams: Iterable[Iterator[Event]]) -> Iterator[Event]:
    """One event of each choice in turn, until all are told."""
    waiting = list(streams)
    while waiting:
        still = []
        for stream in waiting:
            event = next(stream, None)
            if event is not None:
                yield event
                still.append(stream)
        waiting = still
