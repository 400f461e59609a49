"""Frames that differ in their words alone are passed without decoding: whatever comes, nothing else may differ."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import Fault
from foz.canon.request import Ask, Operation
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.completions.relay import CompletionRelay
from foz.dialects.openai.frames import LESSONS, around
from foz.dialects.openai.relay import PassingStream

CHAT = ChatRelay()
TEXT = CompletionRelay()
WORDS = st.one_of(
    st.sampled_from(
        ["", "a", " river", 'say "x"', "back\\slash", "line\n", "żółć", "🌊", '"content":"x"', "\x7f", "]}"]
    ),
    st.text(max_size=8),
)
BROKEN = [
    b'data: {"choices":[{"index":0,"delta":{"content":"\xff"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"\x01"},"finish_reason":null}]}\n\n',
    b'data: {"error":{"message":"no","code":"rate_limit_exceeded"}}\n\n',
    b"\0words\0",
]


def frame(words: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": words}, "finish_reason": None}
    return {"id": "c", "created": 1, "model": "up", "choices": [choice], **more}


def said(choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c", "created": 1, "model": "up", "choices": [choice]}


FRAMES = st.one_of(
    WORDS.map(frame),
    WORDS.map(lambda words: frame(words, usage=None)),
    WORDS.map(lambda words: frame(words, x={"content": words})),
    WORDS.map(lambda words: frame("same", obfuscation=words)),
    WORDS.map(lambda words: said({"index": 1, "delta": {"content": words}, "finish_reason": None})),
    WORDS.map(lambda words: said({"index": 0, "delta": {"reasoning_content": words}, "finish_reason": None})),
    WORDS.map(lambda words: said({"index": 0, "delta": {"content": "a", "refusal": words}, "finish_reason": None})),
    WORDS.map(lambda words: said({"index": 0, "delta": {"content": words}, "finish_reason": "stop"})),
    WORDS.map(lambda words: said({"index": 0, "text": words, "finish_reason": None})),
    st.sampled_from(
        [said({"index": 0, "delta": {"role": "assistant"}}), {"model": "up", "usage": {"prompt_tokens": 1}}]
    ),
).map(lambda said: b"data: %b\n\n" % msgspec.json.encode(said))
CHUNKS = st.one_of(FRAMES, FRAMES, FRAMES, st.sampled_from([*BROKEN, b"data: [DONE]\n\n", b": ping\n\n"]))


def outcome(stream: "PassingStream[Any]", chunks: list[bytes]) -> tuple[object, ...]:
    passed, fault = b"", ""
    try:
        for chunk in chunks:
            passed += stream.feed(chunk)
        passed += stream.close()
    except Fault as raised:
        fault = raised.message
    tally = stream.tally
    return passed, fault, tally.content, tally.pieces, tally.usage, tally.finished


def ask(model: str, *, shows_usage: bool) -> Ask:
    return Ask(Operation.CHAT, model, stream=True, wants_usage=shows_usage)


@given(chunks=st.lists(CHUNKS, max_size=12), model=st.sampled_from(["up", "public"]), shows=st.booleans())
@pytest.mark.parametrize("relay", [CHAT, TEXT], ids=["chat", "completions"])
def test_one_by_one_is_as_cut_anywhere(
    relay: ChatRelay | CompletionRelay, chunks: list[bytes], model: str, shows: bool
) -> None:
    """What passes, what is counted and what is refused is the same as when each chunk comes in two halves."""
    whole = outcome(relay.stream(ask(model, shows_usage=shows)), chunks)
    halves = [half for chunk in chunks for half in (chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :])]

    assert outcome(relay.stream(ask(model, shows_usage=shows)), halves) == whole


@given(words=st.lists(WORDS, min_size=3, max_size=10))
def test_the_words_arrive(words: list[str]) -> None:
    """Every frame's words reach the caller under the public name, and as many characters are counted."""
    stream = CHAT.stream(ask("public", shows_usage=True))
    got = [stream.feed(b"data: %b\n\n" % msgspec.json.encode(frame(each))) for each in words]

    decoded = [msgspec.json.decode(piece[6:]) for piece in got]
    assert decoded == [{**frame(each), "model": "public"} for each in words]
    assert stream.tally.content == sum(map(len, words))


def test_a_frame_that_has_begun_is_not_overlooked() -> None:
    """A chunk that looks like the frames before it, but continues one that has begun, is not passed as a frame."""
    alike = b"data: %b\n\n" % msgspec.json.encode(frame("word"))
    chunks = [alike, alike, b"data: [\n", alike, alike]
    stream = CHAT.stream(ask("public", shows_usage=True))
    passed = [stream.feed(chunk) for chunk in chunks[:3]]

    assert passed[2] == b""
    with pytest.raises(Fault):
        stream.feed(chunks[3])
    with pytest.raises(Fault):
        stream.feed(chunks[4])


def test_nothing_follows_the_end() -> None:
    """After the upstream's terminal frame nothing more is passed or counted, alike or not."""
    alike = b"data: %b\n\n" % msgspec.json.encode(frame("word"))
    stream = CHAT.stream(ask("public", shows_usage=True))
    passed = [stream.feed(chunk) for chunk in (alike, alike, b"data: [DONE]\n\n", alike)]

    assert passed[2:] == [b"", b""]
    assert stream.tally.pieces == 2


def test_a_stream_that_is_never_alike_is_still_right() -> None:
    """After more new patterns than a stream may learn from, what passes is still exact."""
    stream = CHAT.stream(ask("public", shows_usage=True))
    for at in range(LESSONS * 2):
        sent = frame("word", obfuscation="x" * at)
        assert msgspec.json.decode(stream.feed(b"data: %b\n\n" % msgspec.json.encode(sent))[6:]) == {
            **sent,
            "model": "public",
        }
    assert (stream.tally.content, stream.tally.pieces) == (LESSONS * 8, LESSONS * 2)


@pytest.mark.parametrize(
    "data",
    [b'{"content":"a","x":{"content":"b"}}', b'{"content":"a\\n"}', b'{"content":""}', b'{"content":"a', b'{"x":"a"}'],
)
def test_words_that_are_not_certain_are_none(data: bytes) -> None:
    """A key that is there twice, an escape, an empty, an open or a missing string is not taken for the words."""
    assert around(data, b'"content":"') is None
