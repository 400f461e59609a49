"""The fast lane is exact: only what must change changes, whatever names and bytes come."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import CallerFault, Fault, UpstreamFault
from foz.canon.request import Ask, Operation
from foz.dialects.openai.chat.asking import Manner
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.chat.server import ChatServer
from foz.wire.http import Reply

RELAY = ChatRelay()
GOLDEN = Path(__file__).parents[3] / "golden/openai/chat"
SOME_STREAM = (GOLDEN / "tools_parallel/stream.sse").read_bytes()
SOME_ERROR = (GOLDEN / "error_in_stream/stream.sse").read_bytes()
SOME_REQUEST = (GOLDEN / "tools_parallel/request.json").read_bytes()
SOME_RESPONSE = (GOLDEN / "tools_parallel/response.json").read_bytes()
NAMES = ['a"b', "a\\", '\\"', '"model":"x"', "модель/é:7b", "a\nb", "\u2028", "x/y:z", '","choices":[', "plain", "\x00"]


def ask(model: str, *, wants_usage: bool = True) -> Ask:
    return Ask(Operation.CHAT, model, stream=True, wants_usage=wants_usage)


def loads(data: bytes) -> Any:
    return msgspec.json.decode(data)


def frames(stream: bytes) -> list[Any]:
    return [loads(data) for data in re.findall(rb"data: (\{.*\})\n\n", stream)]


def chunk(model: str, content: str = "hi", **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice], **more}


def shapes(model: str) -> list[bytes]:
    """Frames that write the same thing in ways that a careless swap would spoil."""
    spoken = chunk(model, 'say "model":"up", \\"usage\\":null}')
    late = {"choices": spoken["choices"], "model": model}
    nested = {"id": "c", "meta": {"model": model, "usage": None}, **spoken}
    spaced = re.sub(rb'^\{"id":"c","object"', b'{ "id" : "c" , "object"', msgspec.json.encode(spoken))
    return [
        msgspec.json.encode(spoken),
        msgspec.json.encode(late),
        msgspec.json.encode(nested),
        spaced,
        msgspec.json.format(msgspec.json.encode(spoken), indent=0),
        msgspec.json.encode({**spoken, "usage": None, "obfuscation": 'x"}'}),
        msgspec.json.encode({**spoken, "usage": None, "obfuscation": "abc"}),
        msgspec.json.encode({**spoken, "usage": None, "x": {"usage": None}}),
        msgspec.json.encode({**spoken, "x": {"usage": None}}),
        msgspec.json.encode({**spoken, "usage": {"prompt_tokens": 1}, "x": [1.50, "é"]}),
        msgspec.json.encode({**spoken, "id": "other", "created": 2}),
    ]


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("public", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
def test_only_the_top_level_model_changes(upstream: str, public: str, wants_usage: bool) -> None:
    """In frames of every shape the public name stands for the upstream's, and every other value is what it was."""
    for order in (1, -1):
        sent = [*shapes(upstream)[::order], *shapes(upstream)]
        stream = RELAY.stream(ask(public, wants_usage=wants_usage))
        got = frames(b"".join(stream.feed(b"data: " + data + b"\n\n") for data in sent))

        expected = [{**loads(data), "model": public} for data in sent]
        if not wants_usage:
            expected = [{key: value for key, value in frame.items() if key != "usage"} for frame in expected]
        assert got == expected


def test_a_chunk_without_changes_is_passed_on_itself() -> None:
    """Where the names are the same and nothing is stripped, the very object that came in goes out."""
    data = b"".join(b"data: " + msgspec.json.encode(chunk("m", str(at))) + b"\n\n" for at in range(3))

    assert RELAY.stream(ask("m")).feed(data) is data


def test_a_frame_without_a_model_stays_as_it_is() -> None:
    """No public name is invented where the upstream named none."""
    data = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'

    assert RELAY.stream(ask("public")).feed(data) is data


def test_the_whole_answer_keeps_all_but_its_model() -> None:
    """A whole body with extras and nested models differs in its top-level model only; the tally has what it says."""
    for model in NAMES:
        message = {"role": "assistant", "content": 'the "model":"x"', "x": {"model": model}}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 1.25}
        whole = {"x": {"model": model}, "model": model, "choices": [{"message": message, "finish_reason": "stop"}],
                 "usage": usage, "y": [1.0, 1e3]}  # fmt: skip
        body, tally = RELAY.whole(Reply(200, body=msgspec.json.encode(whole)), ask("public"))

        assert loads(body) == {**whole, "model": "public"}
        assert (tally.content, tally.pieces, tally.finished) == (15, 1, True)
        assert tally.usage is not None
        assert (tally.usage.input, tally.usage.output) == (3, 2)


@pytest.mark.parametrize(
    "options", [None, {}, {"include_usage": False}, {"include_obfuscation": False}, {"include_usage": True, "x": 1}]
)
def test_a_stream_asks_for_usage_beside_what_the_caller_asked(options: dict[str, object] | None) -> None:
    """`stream_options` keeps what the caller set and always includes usage."""
    sent = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "stream_options": options}
    body = msgspec.json.encode(sent)
    call = RELAY.retarget(body, ChatServer().read(body), "up")

    assert loads(call.body) == {**sent, "model": "up", "stream_options": {**(options or {}), "include_usage": True}}
    assert call.path == "/chat/completions"


def test_an_old_server_is_told_its_own_limit() -> None:
    """Where a row says `max_tokens`, the caller's `max_completion_tokens` is told so, in its place of it."""
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":5}'
    relay = ChatRelay(Manner(limit="max_tokens"))

    sent = loads(relay.retarget(body, ChatServer().read(body), "up").body)
    assert sent["max_tokens"] == 5
    assert "max_completion_tokens" not in sent
    assert loads(RELAY.retarget(body, ChatServer().read(body), "up").body)["max_completion_tokens"] == 5


def test_a_fault_waits_for_the_good_frames_before_it() -> None:
    """Frames before an error in one chunk reach the caller; the next call raises the upstream's fault."""
    good = b"data: " + msgspec.json.encode(chunk("m")) + b"\n\n"
    stream = RELAY.stream(ask("m"))

    assert stream.feed(good + b'data: {"error":{"message":"no","code":"rate_limit_exceeded"}}\n\n') == good
    with pytest.raises(Fault) as caught:
        stream.close()
    assert caught.value.code == "upstream_limited"
    assert not stream.tally.finished


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"<html>", b'{"choices":[]}', b'{"choices":7}', b"{}", b'{"choices":[{"index":"a"}]}'],
)
def test_a_body_that_is_no_answer_is_garbled_in_both_lanes(body: bytes) -> None:
    """A 2xx body that is not an answer of this dialect is Garbled."""
    reply = Reply(200, body=body)

    for read in (lambda: RELAY.whole(reply, ask("m")), lambda: ChatClient().decode_response(reply)):
        with pytest.raises(Fault) as caught:
            read()
        assert caught.value.code == "upstream_garbled"


def test_an_error_with_status_200_is_the_upstreams_fault() -> None:
    """A whole body that holds an error object is that fault, whatever its status."""
    reply = Reply(200, body=b'{"error":{"message":"busy","type":"server_error","code":503}}')

    for read in (lambda: RELAY.whole(reply, ask("m")), lambda: ChatClient().decode_response(reply)):
        with pytest.raises(UpstreamFault) as caught:
            read()
        assert caught.value.code == "upstream_down"


def test_a_finish_without_a_beginning_is_garbled() -> None:
    """`[DONE]` before any chunk is not an answer, in both lanes."""
    for feed in (RELAY.stream(ask("m")).feed, ChatClient().decoder().feed):
        with pytest.raises(Fault) as caught:
            feed(b"data: [DONE]\n\n")
        assert caught.value.code == "upstream_garbled"


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes) -> bytes:
    """Good bytes with some of them replaced, removed or doubled."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"\n\n", b"[" * 999])
        )
    return bytes(data)


def test_broken_text_that_nobody_reads_is_garbled_or_a_fault() -> None:
    """Bytes that are no UTF-8, in a key that no schema names, raise an upstream's fault wherever a frame is rebuilt."""
    broken = (
        b'data: {"\xff":1,"choices":[],"meta":{"model":"up"},"usage":null,"x":0,"model":"up"}\n\n',
        b'data: {"error":"x","\xff":1}\n\n',
        b'event: error\ndata: "\xff"\n\n',
    )
    for data in broken:
        with pytest.raises(UpstreamFault):
            RELAY.stream(ask("m", wants_usage=False)).feed(data)


@given(st.binary(max_size=60) | spoiled(SOME_STREAM) | spoiled(SOME_ERROR))
def test_hostile_streams_raise_nothing_but_faults(data: bytes) -> None:
    """Whatever an upstream streams, both lanes answer with bytes, events or an upstream's fault."""
    for stream in (RELAY.stream(ask("m", wants_usage=False)), ChatClient().decoder()):
        with suppress(UpstreamFault):
            stream.feed(data)
            stream.close()


@given(st.binary(max_size=60) | spoiled(SOME_RESPONSE))
def test_hostile_answers_raise_nothing_but_faults(data: bytes) -> None:
    """Whatever an upstream answers, both lanes give an answer or an upstream's fault."""
    with suppress(UpstreamFault):
        RELAY.whole(Reply(200, body=data), ask("m"))
    with suppress(UpstreamFault):
        ChatClient().decode_response(Reply(200, body=data))
    assert isinstance(ChatClient().decode_fault(Reply(500, body=data)), UpstreamFault)


@given(st.binary(max_size=60) | spoiled(SOME_REQUEST))
def test_hostile_requests_raise_nothing_but_faults(data: bytes) -> None:
    """Whatever a caller sends is a request that can be translated and relayed, or the caller's fault."""
    with suppress(CallerFault):
        asked = ChatServer().read(data)
        ChatClient().encode_request(ChatServer().decode_request(data), "up")
        RELAY.retarget(data, asked, "up")
