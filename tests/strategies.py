"""Values of the canon that the OpenAI dialect can say without loss, for property tests."""

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.content import Media, Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
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
    TokenLogprob,
    VendorSaid,
)
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.canon.usage import Usage

HOSTILE = st.sampled_from(
    ['a"b', "a\\b", '"model":"x"', '\\"', "модель", "a\nb", "x/y:z", "\u2028", '","choices":[', "{}"]
)
WORDS = st.text(max_size=12) | HOSTILE
NAMES = st.text(min_size=1, max_size=12) | HOSTILE
BASE64 = st.sampled_from(["QQ==", "aGVsbG8=", "JVBERi0="])
COUNTS = st.none() | st.integers(0, 10**9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def raw(value: object) -> Raw:
    """A value as JSON."""
    return Raw(msgspec.json.encode(value))


RAWS = JSON.filter(lambda value: value is not None).map(raw)
SCHEMAS = st.dictionaries(WORDS, JSON, max_size=3).map(raw)
BAGS = st.dictionaries(st.sampled_from(["x_one", "x_two", 'x_"three']), RAWS, min_size=1, max_size=2)
VENDORS: st.SearchStrategy[dict[str, dict[str, Raw]]] = st.just({}) | BAGS.map(lambda bag: {"openai": bag})


def _floats(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high, allow_nan=False)


URLS = st.sampled_from(["https://example.com/a.png", "http://127.0.0.1/b?c=d,e"])
MEDIA = st.one_of(
    st.builds(Media, st.just("image"), url=URLS, detail=st.none() | st.just("low")),
    st.builds(Media, st.just("image"), data=BASE64, mime=st.sampled_from(["image/png", "image/jpeg"])),
    st.builds(Media, st.just("audio"), data=BASE64, mime=st.sampled_from(["audio/wav", "audio/mp3"])),
    st.builds(Media, st.just("audio"), url=URLS),
    st.builds(Media, st.just("video"), url=URLS),
    st.builds(
        Media,
        st.just("file"),
        data=BASE64,
        mime=st.none() | st.just("application/pdf"),
        name=st.none() | NAMES,
        file_id=st.none() | NAMES,
    ),
)
TEXTS = st.builds(Text, WORDS)
CALLS = st.builds(ToolCall, NAMES, NAMES, WORDS)


@st.composite
def _assistants(draw: st.DrawFn) -> Message:
    parts: list[Part] = []
    parts += draw(st.lists(st.builds(Reasoning, NAMES), max_size=1))
    parts += draw(st.lists(st.builds(Text, NAMES), max_size=2))
    parts += draw(st.lists(st.builds(Refusal, NAMES), max_size=1))
    parts += draw(st.lists(CALLS, max_size=2))
    return Message("assistant", tuple(parts), draw(st.none() | NAMES), draw(VENDORS))


def _tuples(values: st.SearchStrategy[Part], most: int = 3) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.lists(values, min_size=1, max_size=most).map(tuple)


RESULTS = st.builds(ToolResult, NAMES, st.lists(TEXTS, min_size=1, max_size=2).map(tuple), st.none() | NAMES)
MESSAGES = st.one_of(
    st.builds(Message, st.sampled_from(["system", "developer"]), _tuples(TEXTS), st.none() | NAMES, VENDORS),
    st.builds(Message, st.just("user"), _tuples(TEXTS | MEDIA), st.none() | NAMES, VENDORS),
    _assistants(),
    st.builds(Message, st.just("tool"), RESULTS.map(lambda result: (result,)), st.none(), VENDORS),
)
TOOLS = st.builds(ToolSpec, NAMES, st.none() | WORDS, st.none() | SCHEMAS, st.none() | st.booleans())
FORMATS = st.one_of(
    st.none(),
    st.builds(ResponseFormat, st.sampled_from(["text", "json"])),
    st.builds(
        ResponseFormat, st.just("schema"), NAMES, st.none() | WORDS, st.none() | SCHEMAS, st.none() | st.booleans()
    ),
)
EFFORTS = st.sampled_from(
    [None, ReasoningWish("none", enabled=False), ReasoningWish("low"), ReasoningWish("high"), ReasoningWish("max")]
)
SAMPLINGS = st.builds(
    Sampling,
    temperature=_floats(0, 2),
    top_p=_floats(0, 1),
    top_k=st.none() | st.integers(-1, 100),
    min_p=_floats(0, 1),
    frequency_penalty=_floats(-2, 2),
    presence_penalty=_floats(-2, 2),
    repetition_penalty=_floats(0, 2),
    logit_bias=st.none() | st.dictionaries(NAMES, st.floats(-100, 100), max_size=2),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def _choices(draw: st.DrawFn, tools: list[ToolSpec]) -> ToolChoice | None:
    names = st.sampled_from([tool.name for tool in tools] or ["none"])
    plain = st.sampled_from([None, ToolChoice("auto"), ToolChoice("none")])
    if not tools:
        return draw(plain)
    allowed = st.builds(
        ToolChoice, st.sampled_from(["auto", "required"]), st.none(), st.lists(names, min_size=1, max_size=2).map(tuple)
    )
    return draw(plain | st.just(ToolChoice("required")) | st.builds(ToolChoice, st.just("named"), names) | allowed)


@st.composite
def chat_requests(draw: st.DrawFn) -> ChatRequest:
    """Requests that survive the way out and in."""
    tools = draw(st.lists(TOOLS, max_size=2))
    logprobs = draw(st.booleans())
    return ChatRequest(
        model=draw(NAMES),
        messages=tuple(draw(st.lists(MESSAGES, min_size=1, max_size=3))),
        tools=tuple(tools),
        tool_choice=draw(_choices(tools)),
        parallel_tools=draw(st.none() | st.booleans()),
        response_format=draw(FORMATS),
        reasoning=draw(EFFORTS),
        sampling=draw(SAMPLINGS),
        max_output=draw(st.none() | st.integers(1, 10**6)),
        choices=draw(st.integers(1, 128)),
        stop=tuple(draw(st.lists(WORDS, max_size=3))),
        logprobs=logprobs,
        top_logprobs=draw(st.none() | st.integers(0, 20)) if logprobs else None,
        stream=draw(st.booleans()),
        user=draw(st.none() | WORDS),
        vendor=draw(VENDORS),
    )


LIKELY = st.builds(
    TokenLogprob,
    WORDS,
    st.none() | st.floats(-9999, 0),
    st.none() | st.lists(st.integers(0, 255), max_size=2).map(tuple),
)
TOKENS = st.builds(
    lambda token, top: msgspec.structs.replace(token, top=tuple(top)), LIKELY, st.lists(LIKELY, max_size=2)
)
LOGPROBS = st.just(()) | st.lists(TOKENS, min_size=1, max_size=2).map(tuple)


@st.composite
def _said(draw: st.DrawFn, choice: int) -> list[Event]:
    """What one choice says, to its end."""
    events: list[Event] = []
    opened = 0
    for kind in draw(st.lists(st.sampled_from("tfrvcg"), max_size=6)):
        match kind:
            case "t":
                events.append(TextGrew(draw(NAMES), choice, draw(LOGPROBS)))
            case "f":
                events.append(RefusalGrew(draw(NAMES), choice, draw(LOGPROBS)))
            case "r":
                events.append(ReasoningGrew(draw(NAMES), choice))
            case "v":
                events.append(VendorSaid("openai", draw(BAGS), choice))
            case "c":
                events.append(CallOpened(opened, draw(NAMES), draw(NAMES), choice))
                opened += 1
            case _ if opened:
                events.append(CallGrew(draw(st.integers(0, opened - 1)), draw(NAMES), choice))
    reasons: list[Reason] = ["tool_calls" if opened else "stop", "length", "content_filter"]
    finish = st.builds(ChoiceFinished, st.sampled_from(reasons), st.just(choice), st.none() | WORDS)
    odd = st.builds(ChoiceFinished, st.just("other"), st.just(choice), st.just("eos_token"))
    events.append(draw(finish | odd))
    return events


USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS).filter(lambda usage: usage != Usage())


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    """Streams that survive the way out and in: choices in any mixture, each in its own order."""
    tracks = [draw(_said(choice)) for choice in range(draw(st.integers(1, 3)))]
    events: list[Event] = [Started(draw(WORDS), draw(NAMES), draw(st.integers(0, 2**40)), draw(VENDORS))]
    while tracks:
        track = draw(st.sampled_from(tracks))
        events.append(track.pop(0))
        tracks = [track for track in tracks if track]
    if draw(st.booleans()):
        events.append(Measured(draw(USAGES), draw(VENDORS)))
    return [*events, Finished()]


def bent(usual: dict[str, Any], ways: Mapping[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """
    The usual object with at most two of its fields put otherwise. A field is named by its path (`choices.0.index`), and
    becomes one of the values; `...` takes it away.
    """
    changes = [(path, value) for path, values in ways.items() for value in values]

    def put(chosen: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(usual))
        for path, value in sorted(chosen, key=lambda change: -len(change[0])):
            *steps, last = path.split(".")
            place: Any = made
            for step in steps:
                place = place[int(step) if step.isdigit() else step]
            if value is ...:
                place.pop(last, None)
            else:
                place[last] = value
        return made

    return st.lists(st.sampled_from(changes), max_size=2).map(put)
