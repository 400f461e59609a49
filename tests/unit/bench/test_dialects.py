"""The bench's bodies: who sends or answers what nobody would measures something else."""

import pytest

from bench import bodies, dialects
from bench.dialects import CALLERS, OPENAI, UPSTREAMS, Dialect
from bench.figures import Series
from bench.parts import pairs
from bench.parts.pairs import RELAYED, TRANSLATED, Pair, Run
from foz.canon.request import ChatRequest, Operation
from foz.canon.response import Response, fold
from foz.dialects.anthropic import speech as anthropic
from foz.dialects.ollama import speech as ollama
from foz.dialects.openai import speech as openai
from foz.dialects.openai.responses.server import ResponsesServer
from foz.ports.codec import ServerCodec
from foz.wire.http import Reply

SPEECHES = {"openai": openai.SPEECH, "anthropic": anthropic.SPEECH, "ollama": ollama.SPEECH}
EVENTS = 7


def _server(dialect: Dialect) -> ServerCodec:
    if dialect is dialects.RESPONSES:
        return ResponsesServer()
    server = SPEECHES[dialect.name][Operation.CHAT].server
    assert server is not None
    return server


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", CALLERS, ids=lambda one: one.name)
def test_callers_of_every_dialect_ask_the_same(dialect: Dialect, stream: bool) -> None:
    """What a bench's caller asks is the same question, limit and warmth in our words, whatever it speaks."""
    heard = _server(dialect).decode_request(dialects.request(dialect, "bench-m", stream=stream))
    told = _server(OPENAI).decode_request(dialects.request(OPENAI, "bench-m", stream=stream))

    assert isinstance(heard, ChatRequest)
    assert isinstance(told, ChatRequest)
    assert heard.model == "bench-m"
    assert (heard.stream, heard.max_output, heard.sampling) == (stream, 256, told.sampling)
    assert [message.parts for message in heard.messages] == [message.parts for message in told.messages]


@pytest.mark.parametrize("dialect", UPSTREAMS, ids=lambda one: one.name)
def test_upstreams_of_every_dialect_answer_the_same(dialect: Dialect) -> None:
    """What a bench's upstream says whole is the same text, with the same count of its tokens."""
    client = SPEECHES[dialect.name][Operation.CHAT].client
    assert client is not None
    answer = client.decode_response(Reply(200, (), dialects.answer(dialect, "mock")))

    assert isinstance(answer, Response)
    assert [choice.text for choice in answer.choices] == [bodies.ANSWER]
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output) == (31, 36)


@pytest.mark.parametrize("dialect", UPSTREAMS, ids=lambda one: one.name)
def test_streams_of_every_dialect_say_as_much(dialect: Dialect) -> None:
    """A bench's stream of N events brings N pieces of text and says that it is finished, in every dialect."""
    client = SPEECHES[dialect.name][Operation.CHAT].client
    assert client is not None
    decoder = client.decoder()
    frames = dialects.first(dialect, "mock") + [dialects.piece(dialect, "mock")] * EVENTS
    frames += dialects.last(dialect, "mock", EVENTS, usage=True)
    events = [event for frame in frames for event in decoder.feed(frame)] + decoder.close()

    assert fold(events).choices[0].text == dialects.WORDS * EVENTS
    assert sum(frame.count(dialects.MARK) for frame in frames) == EVENTS


def test_a_pair_is_measured_beside_the_relay_of_its_upstream() -> None:
    """The ratio of a pair divides by the relay lane of the upstream's dialect, not of the caller's."""
    runs = {pair: [Run(90.0, 9.0)] for pair in (*RELAYED, *TRANSLATED)}
    anthropic_relayed = next(pair for pair in RELAYED if pair.caller is dialects.ANTHROPIC)
    runs[anthropic_relayed] = [Run(60.0, 3.0)]
    found = {each.name: each for each in pairs.told(runs).series}
    name = Pair(OPENAI, dialects.ANTHROPIC, "").name.rpartition(",")[0]

    assert found[f"{name}: translated / relayed, a call"] == Series(
        f"{name}: translated / relayed, a call", "x", (1.5,)
    )
    assert found[f"{name}: translated / relayed, an event"].values == (3.0,)
