"""The client role of the `ollama` dialect against the fake server's ears and mouth: what one says the other hears."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    Started,
    TextGrew,
)
from foz.canon.request import ChatRequest, CompleteRequest, EmbedRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.response import Response, fold
from foz.canon.tool import ToolSpec
from foz.canon.usage import Usage
from foz.dialects.ollama.client import EmbedClient, WordsClient
from foz.testing.ollama import hear, say
from foz.testing.simulated import words
from foz.wire.http import Reply
from tests.strategies import BASE64, JSON, NAMES, SCHEMAS, WORDS, raw

CLIENT = WordsClient()
SLOW = settings(max_examples=60)
IMAGES = st.lists(st.builds(Media, st.just("image"), data=BASE64), max_size=2)
ARGUMENTS = st.dictionaries(WORDS, JSON, max_size=3).map(lambda value: msgspec.json.encode(value).decode())
CALLS = st.builds(ToolCall, NAMES, NAMES, ARGUMENTS)
SHARES = st.none() | st.floats(0, 2, allow_nan=False)
SAMPLINGS = st.builds(
    Sampling,
    temperature=SHARES,
    top_p=SHARES,
    top_k=st.none() | st.integers(0, 100),
    min_p=SHARES,
    frequency_penalty=SHARES,
    presence_penalty=SHARES,
    repetition_penalty=SHARES,
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
)
FORMATS = st.one_of(
    st.none(), st.just(ResponseFormat("json")), SCHEMAS.map(lambda schema: ResponseFormat("schema", schema=schema))
)
WISHES = st.sampled_from(
    [None, ReasoningWish(enabled=True), ReasoningWish(enabled=False), *map(ReasoningWish, ("low", "high", "max"))]
)
VENDORS = st.sampled_from([{}, {"ollama": {"options": raw({"num_ctx": 2048}), "keep_alive": raw("5m")}}])


@st.composite
def _messages(draw: st.DrawFn) -> Message:
    role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
    said = draw(st.lists(st.builds(Text, NAMES), max_size=1))
    images = draw(IMAGES)
    parts: list[Part] = [*said, *images]
    if role == "tool":
        return Message("tool", (ToolResult(draw(NAMES), (*said, *images), draw(NAMES)),))
    if role == "assistant":
        parts = [*draw(st.lists(st.builds(Reasoning, NAMES), max_size=1)), *parts, *draw(st.lists(CALLS, max_size=2))]
    return msgspec.structs.replace(msgspec.convert({"role": role}, Message), parts=tuple(parts))


@st.composite
def _chats(draw: st.DrawFn) -> ChatRequest:
    logprobs = draw(st.booleans())
    return ChatRequest(
        model=draw(NAMES),
        messages=tuple(draw(st.lists(_messages(), min_size=1, max_size=4))),
        tools=tuple(draw(st.lists(st.builds(ToolSpec, NAMES, st.none() | WORDS, SCHEMAS), max_size=2))),
        response_format=draw(FORMATS),
        reasoning=draw(WISHES),
        sampling=draw(SAMPLINGS),
        max_output=draw(st.none() | st.integers(0, 10**6)),
        stop=tuple(draw(st.lists(WORDS, max_size=3))),
        logprobs=logprobs,
        top_logprobs=draw(st.integers(0, 20)) if logprobs else None,
        stream=draw(st.booleans()),
        vendor=draw(VENDORS),
    )


@st.composite
def _texts(draw: st.DrawFn) -> CompleteRequest:
    return CompleteRequest(
        model=draw(NAMES),
        prompts=(draw(NAMES),),
        suffix=draw(st.none() | WORDS),
        sampling=draw(SAMPLINGS),
        max_output=draw(st.none() | st.integers(0, 10**6)),
        logprobs=draw(st.none() | st.integers(0, 20)),
        stop=tuple(draw(st.lists(WORDS, max_size=3))),
        stream=draw(st.booleans()),
    )


@st.composite
def _answers(draw: st.DrawFn, *, calls: bool) -> list[Event]:
    """Thoughts, then words, then calls, as models say them."""
    events: list[Event] = [Started("", draw(NAMES), 0)]
    events += draw(st.lists(st.builds(ReasoningGrew, NAMES), max_size=3))
    events += draw(st.lists(st.builds(TextGrew, NAMES), max_size=4))
    called = draw(st.lists(CALLS, max_size=3, unique_by=lambda call: call.id)) if calls else []
    for index, call in enumerate(called):
        at = draw(st.integers(0, len(call.arguments)))
        events.append(CallOpened(index, call.id, call.name))
        events += [CallGrew(index, piece) for piece in (call.arguments[:at], call.arguments[at:])]
    events.append(ChoiceFinished(draw(st.sampled_from(["tool_calls" if called else "stop", "length"]))))
    if draw(st.booleans()):
        events.append(Measured(Usage(input=draw(st.integers(1, 10**6)), output=draw(st.integers(0, 10**6)))))
    return [*events, Finished()]


def plain(value: object) -> Any:
    """A value as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def gist(answer: Response) -> Any:
    """What an answer says, without what the server makes up for itself (ids and times)."""
    choice = answer.choices[0]
    return plain(
        (
            answer.model,
            choice.text or "",
            "".join(block.text for block in choice.reasoning),
            choice.calls,
            choice.reason,
            answer.usage,
        )
    )


@SLOW
@given(_chats(), NAMES)
def test_a_chat_is_heard_as_it_was_asked(request: ChatRequest, model: str) -> None:
    """Whatever chat the dialect can say means the same to the server, under the upstream's name."""
    body = CLIENT.encode_request(request, model).body

    assert plain(hear.hear_chat(hear.read(hear.CHAT, body))) == plain(msgspec.structs.replace(request, model=model))


@SLOW
@given(_texts(), NAMES)
def test_a_text_to_continue_is_heard_as_it_was_asked(request: CompleteRequest, model: str) -> None:
    """Whatever text the dialect can ask to continue means the same to the server."""
    body = CLIENT.encode_request(request, model).body

    assert plain(hear.hear_generate(hear.read(hear.GENERATE, body))) == plain(
        msgspec.structs.replace(request, model=model)
    )


@SLOW
@given(st.lists(WORDS, min_size=1, max_size=3), st.none() | st.integers(1, 10**4))
def test_texts_to_embed_are_heard_as_they_were_asked(texts: list[str], dimensions: int | None) -> None:
    """Whatever texts are to be embedded, the server gets them in their order."""
    request = EmbedRequest("m", tuple(texts), dimensions=dimensions)

    assert hear.hear_embed(hear.read(hear.EMBED, EmbedClient().encode_request(request, "m").body)) == request


@SLOW
@given(st.booleans().flatmap(lambda chat: st.tuples(st.just(chat), _answers(calls=chat))), st.data())
def test_answers_are_heard_as_they_were_made(made: tuple[bool, list[Event]], data: st.DataObject) -> None:
    """
    Whatever a model says is heard the same, streamed and cut into bytes anywhere, or whole; each line has the tokens
    that its content took.
    """
    chat, events = made
    expected = fold(events)
    lines = list(say.Teller(expected.model, chat=chat).tell(events))
    stream = b"".join(line for line, _ in lines)
    at = data.draw(st.integers(0, len(stream)))
    decoder = CLIENT.decoder()
    heard = fold([*decoder.feed(stream[:at]), *decoder.feed(stream[at:]), *decoder.close()])
    whole = CLIENT.decode_response(Reply(200, body=say.say_whole(expected, expected.model, chat=chat)))

    assert gist(heard) == gist(whole) == gist(expected)
    told = [event.text for event in events if isinstance(event, TextGrew | ReasoningGrew)]
    assert [tokens for _, tokens in lines[: len(told)]] == [words.count(text) for text in told]
