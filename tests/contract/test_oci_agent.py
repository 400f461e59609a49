"""The `oci_agent` dialect: what an agent is told, and what it says, whole or in pieces of any kind."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Text, ToolResult
from foz.canon.event import Event, Finished, Started, TextGrew
from foz.canon.fault import BadRequest, Down, Fault, Limited, Refused, Unsupported
from foz.canon.request import ChatRequest, ResponseFormat
from foz.canon.response import fold
from foz.dialects.oci_agent.client import ChatClient
from foz.dialects.oci_agent.session import Used, Wish, ending, mark, opened, opening, told
from foz.testing.oracle.agents import Answer, Chat
from foz.wire import json, sse
from foz.wire.http import Reply

CLIENT = ChatClient()
AGENT = "ocid1.genaiagentendpoint.oc1..a"
USED = Used("ocid1.genaiagentsession.oc1..s", reused=True)


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def bag(**fields: object) -> dict[str, dict[str, msgspec.Raw]]:
    return {"openai": {name: msgspec.Raw(json.encode(value)) for name, value in fields.items()}}


def body_of(request: ChatRequest) -> Any:
    return msgspec.json.decode(CLIENT.encode_request(request, AGENT).body)


def decode(*chunks: bytes) -> list[Event]:
    decoder = CLIENT.decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def plain(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextGrew))


def frame(text: str | None = None, **more: object) -> bytes:
    message = {} if text is None else {"message": {"role": "AGENT", "content": {"text": text}}}
    return sse.encode(json.encode({**message, **more}))


# Asking.


def test_a_chat_of_a_session_brings_its_last_words() -> None:
    """Where the session remembers, only what the user said last goes out, in that session."""
    talk = (user("One"), Message("assistant", (Text("Two"),)), user("Three"), user("Four"))
    call = CLIENT.encode_request(ChatRequest("m", talk, vendor=bag(channel="web", cuid="u")), AGENT)
    assert call.within is not None

    assert call.path == f"/20240531/agentEndpoints/{AGENT}/actions/chat"
    assert call.wish == Wish(channel="web", cuid="u")
    assert msgspec.json.decode(call.within("s").body) == {
        "userMessage": "Three\nFour",
        "shouldStream": False,
        "sessionId": "s",
    }


def test_a_chat_alone_brings_all_of_it() -> None:
    """Where nothing is remembered the whole conversation is one message; one turn is its words alone."""
    system = Message("system", (Text("Be brief."),))

    assert body_of(ChatRequest("m", (user("Hi"),)))["userMessage"] == "Hi"
    assert body_of(ChatRequest("m", (system, user("Hi"))))["userMessage"] == "Be brief.\n\nHi"
    talk = (system, user("Hi"), Message("assistant", (Text("Yes?"),)), user("Go"))
    assert body_of(ChatRequest("m", talk))["userMessage"] == "Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Go"


def test_results_of_tools_are_what_was_done() -> None:
    """Results go back in their session as performed actions; without a session they are refused."""
    talk = (user("Weather?"), Message("tool", (ToolResult("a-1", (Text("30"),)),)))
    said = body_of(ChatRequest("m", talk, vendor=bag(sessionId="s")))

    assert said["performedActions"] == [
        {"actionId": "a-1", "performedActionType": "FUNCTION_CALLING_PERFORMED_ACTION", "functionCallOutput": "30"}
    ]
    with pytest.raises(BadRequest):
        body_of(ChatRequest("m", talk))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ChatRequest("m", (user("x"),), choices=2), "n"),
        (ChatRequest("m", (user("x"),), logprobs=True), "logprobs"),
        (ChatRequest("m", (user("x"),), response_format=ResponseFormat("json")), "response_format"),
        (ChatRequest("m", (Message("user", (Media("image", "https://x"),)),)), "messages"),
    ],
)
def test_what_an_agent_cannot_do_is_refused(request_: ChatRequest, field: str) -> None:
    """Choices, logprobs, formats and pictures are refused by name."""
    with pytest.raises(Unsupported) as refused:
        body_of(request_)

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"channel": "web"}, "cuid"),
        ({"cuid": "u"}, "channel"),
        ({"sessionId": 7}, "sessionId"),
        ({"channel": "x" * 257, "cuid": "u"}, "channel"),
        ({"channel": "", "cuid": "u"}, "channel"),
    ],
)
def test_a_conversation_must_be_named_well(said: dict[str, object], field: str) -> None:
    """Half a name, one that is no string, empty or endless is the caller's mistake, by field."""
    with pytest.raises(BadRequest) as refused:
        body_of(ChatRequest("m", (user("x"),), vendor=bag(**said)))

    assert refused.value.field == field


def test_an_odd_agent_stays_in_its_path() -> None:
    """Whatever an agent or a session is called, it is one segment of the path."""
    odd = "a/../b?c#d"

    assert CLIENT.encode_request(ChatRequest("m", (user("x"),)), odd).path.count("/") == 5
    assert ending(AGENT, odd).path == f"/20240531/agentEndpoints/{AGENT}/sessions/a%2F..%2Fb%3Fc%23d"


def test_sessions_are_opened() -> None:
    """A session is opened with its name where it has one; what is opened is read from the answer."""
    assert opening(AGENT).body == b"{}"
    assert opening(AGENT, "mine").body == b'{"displayName":"mine"}'
    assert opened(b'{"id":"s","welcomeMessage":"hello"}') == "s"
    for body in (b"", b"{}", b'{"id":7}'):
        with pytest.raises(Fault):
            opened(body)


# Answers.


@pytest.mark.parametrize("agent", ["plain", "whole", "traced", "tool"])
def test_an_answer_is_the_same_whole_and_streamed(agent: str) -> None:
    """Each kind of agent folds to the same answer, session and citations included, wherever its stream is split."""
    answer = Answer(agent, Chat("Olá 🌊 there, ha ha ha"), 1, "Olá")
    stream = mark(USED) + b"".join(frame for frame, _ in answer.frames())
    whole = CLIENT.decode_response(Reply(200, told(USED), answer.whole()))
    expected = plain(decode(stream))

    streamed = fold(decode(stream))
    assert plain(streamed.choices) == plain(whole.choices)
    assert streamed.usage == whole.usage
    assert plain(streamed.vendor) == plain(whole.vendor) == {"oci_agent": {"session": plain(USED)}}
    assert plain(whole.choices[0].vendor)["oci_agent"]["citations"][0]["title"] == "rivers"
    for at in range(len(stream) + 1):
        assert plain(decode(stream[:at], stream[at:])) == expected
    assert plain(decode(*(bytes([byte]) for byte in stream))) == expected


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ((frame("he"), frame("llo")), "hello"),
        ((frame("he"), frame("hello"), frame("hello there")), "hello there"),
        ((frame("he"), frame("llo"), frame("hello", traces=[])), "hello"),
        ((frame("ha"), frame("ha")), "haha"),
        ((frame("he"), frame("hello"), frame("hello")), "hello"),
        ((frame("he"), frame(None, traces=[]), frame("llo")), "hello"),
        ((frame("all at once"),), "all at once"),
        ((frame(""), frame("x"), b"data: [DONE]\n\n"), "x"),
    ],
)
def test_deltas_and_restated_texts_are_told_apart(frames: tuple[bytes, ...], text: str) -> None:
    """More of the text, all of it so far, and all of it once more at the end come to the same text."""
    assert text_of(decode(*frames)) == text


def test_a_stream_of_nothing_was_cut() -> None:
    """A stream that ends before it said anything is no answer."""
    for stream in (b"", mark(USED), b"data: [DONE]\n\n"):
        with pytest.raises(Fault, match="before it began"):
            decode(stream)


def test_an_error_in_the_stream_is_a_fault() -> None:
    """An error that comes in a stream, or as an answer, is its fault."""
    error = json.encode({"code": "429", "message": "slow down"})

    decoder = CLIENT.decoder()
    assert isinstance(decoder.feed(frame("he") + sse.encode(error))[0], Started)
    with pytest.raises(Limited):
        decoder.close()
    with pytest.raises(Limited):
        CLIENT.decode_response(Reply(200, (), error))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"code":"404","message":"session s not found"}', Refused),
        (409, b'{"code":"IncorrectState","message":"busy"}', Limited),
        (409, b'{"code":"Conflict","message":"no"}', Refused),
        (401, b'{"code":"NotAuthenticated","message":"no"}', Refused),
        (500, b"", Down),
    ],
)
def test_status_and_code_decide(status: int, body: bytes, kind: type[Fault]) -> None:
    """Each status is its fault; a 409 may pass unless its code is final."""
    assert type(CLIENT.decode_fault(Reply(status, (), body))) is kind


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_hostile_bytes_are_events_or_a_fault(noise: bytes, at: int) -> None:
    """Any bytes are events that end well or a fault of the dialect's; never another error."""
    for chunks in ((noise[:at], noise[at:]), (b"data: " + noise.replace(b"\n", b"") + b"\n\n",)):
        with suppress(Fault):
            assert isinstance(decode(*chunks)[-1], Finished)
    with suppress(Fault):
        assert CLIENT.decode_response(Reply(200, (), noise)).choices
