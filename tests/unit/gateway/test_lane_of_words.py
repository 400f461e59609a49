"""Words that are written the same on both sides pass without becoming events; nothing else may differ."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import dialects
from bench.dialects import ANTHROPIC, CALLERS, OLLAMA, OPENAI, RESPONSES, UPSTREAMS, Dialect
from foz.canon.event import Event, Finished, Started, TextGrew
from foz.canon.fault import Fault
from foz.canon.request import Operation
from foz.canon.usage import Timing
from foz.dialects.anthropic import speech as anthropic
from foz.dialects.ollama import speech as ollama
from foz.dialects.openai import speech as openai
from foz.dialects.openai.responses.server import ResponsesServer
from foz.gateway.lane import Name, TranslateStream
from foz.ports.codec import EventDecoder, EventEncoder, ServerCodec, WordsDecoder, WordsEncoder
from foz.skins.hf_chat.envelope import Pieces
from foz.skins.model_api.envelope import EnvelopedEncoder

SPEECHES = {"openai": openai.SPEECH, "anthropic": anthropic.SPEECH, "ollama": ollama.SPEECH}
TEXTS = st.one_of(
    st.sampled_from(
        [
            "a",
            " river",
            'say "x"',
            "back\\slash",
            "line\n",
            "żółć",
            "🌊",
            '"content":"x"',
            "\x7f",
            "]}",
            "\u2028",
            "data: ",
        ]
    ),
    st.text(min_size=1, max_size=8),
)


def _choice(index: int, delta: bytes, finish: bytes = b"null") -> bytes:
    return b'data: {"id":"c","choices":[{"index":%d,"delta":%b,"finish_reason":%b}]}\n\n' % (index, delta, finish)


def _frame(kind: bytes, fields: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b",%b}\n\n' % (kind, kind, fields)


def _delta(place: int, kind: bytes, words: bytes) -> bytes:
    fields = b'"index":%d,"delta":{"type":"%b_delta","%b":"%b"}' % (place, kind, kind, words)
    return _frame(b"content_block_delta", fields)


def _line(message: bytes, rest: bytes = b'"done":false') -> bytes:
    return b'{"model":"m","created_at":"x",%b,%b}\n' % (message, rest)


CALL = b'{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}'
ODD: dict[str, list[bytes]] = {
    "openai": [
        b": ping\n\n",
        _choice(1, b'{"content":"two"}'),
        _choice(0, b'{"content":"x","annotations":[1]}'),
        _choice(0, b'{"reasoning_content":"hm"}'),
        _choice(0, CALL),
        _choice(0, b'{"content":"\xff"}'),
        _choice(0, b"{}", b'"stop"'),
        b'data: {"error":{"message":"no","code":"rate_limit_exceeded"}}\n\n',
        b"data: [DONE]\n\n",
    ],
    "anthropic": [
        _frame(b"ping", b'"x":1'),
        _delta(7, b"text", b"nowhere"),
        _delta(0, b"text", b"\xff"),
        _frame(b"content_block_start", b'"index":1,"content_block":{"type":"thinking","thinking":""}'),
        _delta(1, b"thinking", b"hm"),
        _delta(1, b"text", b"no thought"),
        _frame(b"error", b'"error":{"type":"overloaded_error","message":"no"}'),
    ],
    "ollama": [
        _line(b'"message":{"role":"assistant","content":"","thinking":"hm"}'),
        _line(b'"message":{"role":"assistant","content":"\xff"}'),
        _line(b'"response":"other"'),
        _line(b'"message":{"role":"assistant","content":""}', b'"done":true,"done_reason":"stop"'),
        b'{"error":"no"}\n',
        b"\n",
    ],
}
"""What is not plain words, and what looks like them."""


class Listening:
    """A decoder that gives nothing but events."""

    def __init__(self, inner: EventDecoder) -> None:
        self._inner = inner

    def feed(self, chunk: bytes) -> list[Event]:
        return self._inner.feed(chunk)

    def close(self) -> list[Event]:
        return self._inner.close()


def _encoder(caller: Dialect) -> EventEncoder:
    server: ServerCodec | None = ResponsesServer()
    if caller is not RESPONSES:
        server = SPEECHES[caller.name][Operation.CHAT].server
    assert server is not None
    return server.encoder(server.decode_request(dialects.request(caller, "public", stream=True)), "public")


def _decoder(upstream: Dialect) -> EventDecoder:
    client = SPEECHES[upstream.name][Operation.CHAT].client
    assert client is not None
    return client.decoder()


def _heard(decoder: EventDecoder, caller: Dialect, chunks: list[bytes]) -> tuple[bytes, tuple[object, ...]]:
    """What a caller hears of it, and what is known of it in the end."""
    road = TranslateStream(decoder, _encoder(caller), Name("foz-1", 1))
    road.took = lambda: Timing(3, 2)
    said: list[bytes] = []
    fault = ""
    try:
        said += map(road.feed, chunks)
        said.append(road.close())
    except Fault as error:
        fault = f"{type(error).__name__}: {error.message}"
    tally = road.tally
    return b"".join(said), (fault, tally.content, tally.fewest, tally.pieces, tally.finished, tally.usage)


def _worded(upstream: Dialect, text: str) -> bytes:
    """A piece that says this, as JSON is written."""
    return dialects.piece(upstream, "mock").replace(dialects.MARK, msgspec.json.encode(text))


@st.composite
def streams(draw: st.DrawFn, upstream: Dialect) -> list[bytes]:
    """The chunks of a stream, mostly a frame each, now and then cut or run together."""
    frames = dialects.first(upstream, "mock")
    odd = st.sampled_from(ODD[upstream.name])
    for frame in draw(st.lists(st.one_of(TEXTS, TEXTS, TEXTS, odd), max_size=12)):
        frames.append(frame if isinstance(frame, bytes) else _worded(upstream, frame))
    frames += draw(st.sampled_from([[], dialects.last(upstream, "mock", 3, usage=True)]))
    chunks: list[bytes] = []
    for frame in frames:
        how = draw(st.sampled_from(["alone", "alone", "alone", "with the one before", "cut"]))
        if how == "with the one before" and chunks:
            chunks[-1] += frame
        elif how == "cut":
            at = draw(st.integers(0, len(frame)))
            chunks += [frame[:at], frame[at:]]
        else:
            chunks.append(frame)
    return chunks


@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
@pytest.mark.parametrize("upstream", UPSTREAMS, ids=lambda one: one.name)
@settings(max_examples=50)
@given(data=st.data())
def test_words_that_pass_are_heard_as_those_that_are_told(
    upstream: Dialect, caller: Dialect, data: st.DataObject
) -> None:
    """Whatever an upstream says and however it is cut, a caller hears the same bytes, and as much is counted."""
    chunks = data.draw(streams(upstream))

    assert _heard(_decoder(upstream), caller, chunks) == _heard(Listening(_decoder(upstream)), caller, chunks)


@pytest.mark.parametrize("upstream", UPSTREAMS, ids=lambda one: one.name)
def test_plain_pieces_are_known_by_their_bytes(upstream: Dialect) -> None:
    """From the second one on, the pieces of a plain stream are words to the decoder, without their quotes."""
    decoder = _decoder(upstream)
    assert isinstance(decoder, WordsDecoder)
    for frame in [*dialects.first(upstream, "mock"), _worded(upstream, "one")]:
        decoder.feed(frame)

    assert decoder.words(_worded(upstream, " two")) == b" two"
    assert decoder.words(_worded(upstream, 'a "quote"')) is None
    assert decoder.words(_worded(upstream, "two")[:-1]) is None


@pytest.mark.parametrize("upstream", UPSTREAMS, ids=lambda one: one.name)
def test_nothing_is_words_before_the_beginning_nor_after_the_end(upstream: Dialect) -> None:
    """A piece that comes first, or behind the end, or while another frame is incomplete, is not known by its bytes."""
    decoder = _decoder(upstream)
    assert isinstance(decoder, WordsDecoder)
    piece = _worded(upstream, "one")
    assert decoder.words(piece) is None
    for frame in [*dialects.first(upstream, "mock"), piece]:
        decoder.feed(frame)
    decoder.feed(piece[:5])
    assert decoder.words(piece) is None
    decoder.feed(piece[5:])
    assert decoder.words(piece) == b"one"
    for frame in dialects.last(upstream, "mock", 1, usage=True):
        decoder.feed(frame)
    assert decoder.words(piece) is None


@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
def test_words_are_said_as_text_is(caller: Dialect) -> None:
    """Where an encoder says words at all, it says just what it says of their text, and goes on alike."""
    told, said = _encoder(caller), _encoder(caller)
    assert isinstance(said, WordsEncoder)
    decoder = _decoder(OPENAI)
    opening = [event for frame in dialects.first(OPENAI, "mock") for event in decoder.feed(frame)]
    for event in [*opening, TextGrew("one")]:
        assert told.feed(event) == said.feed(event)

    assert said.say("żółć".encode(), "żółć") == told.feed(TextGrew("żółć"))
    assert said.feed(TextGrew("\n")) == told.feed(TextGrew("\n"))
    assert said.say(b" two", " two") == told.feed(TextGrew(" two"))


@pytest.mark.parametrize("words", ["two", "żółć %b %s", "\x7f"])
def test_skins_that_put_words_into_an_envelope_say_them_alike(words: str) -> None:
    """The two that wrap each piece say words as they say their text, whatever a model and a request are called."""
    openai_chat = SPEECHES["openai"][Operation.CHAT].server
    assert openai_chat is not None
    request = openai_chat.decode_request(dialects.request(OPENAI, "public", stream=True))
    for made in (
        lambda: Pieces(request, 'm"%b\x1f'),
        lambda: EnvelopedEncoder(openai_chat.encoder(request, "m%b"), "id%s\x1f"),
    ):
        told, said = made(), made()
        assert isinstance(said, WordsEncoder)
        for event in (Started("c", "m", 5), TextGrew("one")):
            assert told.feed(event) == said.feed(event)
        assert said.say(words.encode(), words) == told.feed(TextGrew(words))
        assert said.feed(Finished()) == told.feed(Finished())


def test_padding_of_anthropics_own_is_known() -> None:
    """Blanks between the braces at the end of a frame, as Anthropic's servers put them, hide no words."""
    decoder = _decoder(ANTHROPIC)
    assert isinstance(decoder, WordsDecoder)
    for frame in dialects.first(ANTHROPIC, "mock"):
        decoder.feed(frame)

    assert decoder.words(_worded(ANTHROPIC, "x").replace(b"}}\n\n", b"}           }\n\n")) == b"x"


def test_moments_of_ollamas_lines_may_differ() -> None:
    """Each line has its own moment, and its words are known all the same."""
    decoder = _decoder(OLLAMA)
    assert isinstance(decoder, WordsDecoder)
    decoder.feed(_worded(OLLAMA, "one"))

    assert decoder.words(_worded(OLLAMA, " two").replace(b"08:53:20.123456789Z", b"08:53:21.1Z")) == b" two"
