"""What most chats are goes straight ways through the codec: each says what the way of all chats says."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foz.canon.content import Message, Refusal, Text
from foz.canon.fault import BadRequest, Cut, Fault, Garbled
from foz.canon.request import Ask, ChatRequest
from foz.canon.response import Response, fold
from foz.dialects.ollama import bodies
from foz.dialects.ollama.answer import DURATIONS, Reader
from foz.dialects.ollama.client import WordsClient
from foz.dialects.ollama.hearing import hear_chat
from foz.dialects.ollama.messages import say_messages
from foz.dialects.ollama.server import ChatServer, facts
from foz.wire.http import Reply
from tests.strategies import JSON, WORDS, bent

SERVER = ChatServer()
MANY = settings(max_examples=200)

# What is asked.

DRAWN = bodies.Drawn.__struct_fields__
EDGES = ("-0", "-0.0", "3.0", "1e3", "1e400", "-9223372036854775809", "12345678901234567890123", "9007199254740993")
ODD = ("null", "true", '"0.5"', "[]", '["a","b"]', '["\\ud800"]', "{}", '{"a":[1]}')
NUMBERS = (st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)).map(repr)
VALUES = st.sampled_from((*EDGES, *ODD)) | NUMBERS | st.integers(-3, 3).map(str)
OPTIONS = st.dictionaries(st.sampled_from((*DRAWN, "num_ctx", "mirostat", "repeat_last_n")), VALUES, max_size=4)
CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(("system", "developer", "user", "assistant", "tool", "User", "nobody"))},
    optional={
        "content": st.none() | WORDS,
        "thinking": st.none() | WORDS,
        "images": st.sampled_from((None, [], ["iVBORw0KGgoAAAAN"], ["no"])),
        "tool_calls": st.sampled_from((None, [], [CALL])),
        "tool_name": st.just("f"),
        "new": JSON,
    },
)
TOPS = st.fixed_dictionaries(
    {"model": st.sampled_from(("m", "", 1)), "messages": st.lists(MESSAGES, max_size=3)},
    optional={
        "stream": st.sampled_from((None, True, False, 0)),
        "format": st.sampled_from((None, "json", "", "xml", {"type": "object"})),
        "think": st.sampled_from((None, True, False, "high", "very")),
        "logprobs": st.sampled_from((None, True, False)),
        "top_logprobs": st.sampled_from((None, 3, 21)),
        "keep_alive": st.sampled_from((None, "5m", 0, -1.5, [])),
        "tools": st.sampled_from((None, [], [{"function": {"name": "f", "parameters": {"type": "object"}}}])),
        "truncate": st.just(False),
    },
)


def _outcome(way: Callable[[], Ask | ChatRequest]) -> object:
    """What comes of it, to the last digit, and in its order but for the needs, which have none."""
    try:
        found = way()
    except BadRequest as fault:
        return fault.message, fault.field, fault.vendor_code
    return msgspec.json.encode(found, order="deterministic" if isinstance(found, Ask) else None)


def _body(top: dict[str, object], options: dict[str, str] | None) -> bytes:
    """Numbers of the options stand as they are written."""
    if options is None:
        return msgspec.json.encode(top)
    written = {name: msgspec.Raw(value.encode()) for name, value in options.items()}
    return msgspec.json.encode({**top, "options": written})


@MANY
@given(TOPS, st.none() | OPTIONS)
@example({"model": "m", "messages": []}, {"temperature": "-9223372036854775809", "seed": "-1"})
def test_the_straight_way_hears_what_the_long_way_hears(top: dict[str, object], options: dict[str, str] | None) -> None:
    """A chat is heard, and its facts are told or it is refused, as by the schema that takes all chats."""
    body = _body(top, options)

    def all_chats() -> bodies.ChatBody:
        return bodies.decode(bodies.CHAT, body)

    assert _outcome(lambda: SERVER.decode_request(body)) == _outcome(lambda: hear_chat(all_chats(), body))
    assert _outcome(lambda: SERVER.read(body)) == _outcome(lambda: facts(all_chats()))


@MANY
@given(st.sampled_from(DRAWN), VALUES)
def test_each_option_is_heard_alike(name: str, value: str) -> None:
    """Any value of any option that canon has a word for is heard as by the schema that takes all chats."""
    body = _body({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, {name: value})

    assert _outcome(lambda: SERVER.decode_request(body)) == _outcome(
        lambda: hear_chat(bodies.decode(bodies.CHAT, body), body)
    )


def test_a_plain_chat_goes_straight() -> None:
    """A chat with options that are known is read by the schemas that read it once, not by that of all chats."""
    body = _body({"model": "m", "messages": [{"role": "user"}]}, {"temperature": "0.2", "num_ctx": "4096"})

    assert msgspec.json.decode(body, type=bodies.KnownBody).options == bodies.KnownDrawn(
        temperature=0.2, num_ctx=msgspec.Raw(b"4096")
    )
    assert msgspec.json.decode(body, type=bodies.PlainBody).options == bodies.Drawn(temperature=0.2)


# What servers are asked.

OWN = st.sampled_from(({}, {"ollama": {"new": msgspec.Raw(b"1")}}, {"openai": {"new": msgspec.Raw(b"1")}}))
TURNS = st.tuples(st.sampled_from(("system", "developer", "user", "assistant", "tool")), WORDS, OWN)


@MANY
@given(st.lists(TURNS, max_size=4))
def test_a_text_is_said_alike_on_both_ways(turns: list[tuple[Any, str, Any]]) -> None:
    """Turns of one text each are said as turns of one refusal are, which is said as text and goes the long way."""
    texts = [Message(role, (Text(text),), vendor=own) for role, text, own in turns]
    refusals = [Message(role, (Refusal(text),), vendor=own) for role, text, own in turns]

    assert say_messages(texts) == say_messages(refusals)


# What servers answer.

TIMES = [None, 0, 5, -1, 2**70, 4_900_000_000]
LIKELY = [{"token": "a", "logprob": -0.5}]
USUAL = {"message": {"role": "assistant", "content": "hi"}, "eval_count": 2, "done": True}
ANSWERS = bent(
    USUAL,
    {
        "message.content": ["", None, "\u2028", ...],
        "message.thinking": [None, "", "hm"],
        "message.tool_calls": [None, [], [CALL]],
        "message.new": [1, None],
        "message": [None],
        "done": [None, False, ...],
        "done_reason": [None, "", "stop", "length", "load"],
        "model": [None, "m"],
        "response": [None, "words"],
        "logprobs": [None, [], LIKELY],
        "created_at": [None, "2026-01-02T03:04:05.678901234Z", "yesterday", "\u2028", 1767323045.5],
        "prompt_eval_count": [None, 0, 31],
        "eval_count": [None, 0, ...],
        "error": [None, "", "out of memory", {}],
        "context": [[1]],
        "remote_model": ["m"],
        **dict.fromkeys(DURATIONS, TIMES),
    },
)


def _told(way: Callable[[], Response]) -> object:
    """The answer to the last digit, or the kind of its fault: its words name a body or a line."""
    try:
        return msgspec.json.encode(way())
    except Fault as fault:
        return type(fault)


@MANY
@given(ANSWERS)
def test_a_whole_answer_is_the_fold_of_its_events(said: dict[str, object]) -> None:
    """A body is heard as the fold of the events of the same answer as the only line of a stream."""
    data = msgspec.json.encode(said)

    def folded() -> Response:
        reader = Reader()
        events = reader.take(data)
        return fold(events if reader.done else reader.end())

    heard, expected = _told(lambda: WordsClient().decode_response(Reply(200, body=data))), _told(folded)
    assert heard == (Garbled if expected is Cut else expected)
