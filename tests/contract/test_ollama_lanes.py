"""
Both lanes of Ollama's dialect, through the whole core: every golden case means the same and costs the same.

The same request and the same server's bytes go once through the relay lane and once through the translate lane. What a
caller hears is compared without the ids that are made of when an answer began: translated, that is whole seconds.
"""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from foz.canon.fault import Fault
from foz.canon.model import Target
from foz.canon.money import Rates
from foz.canon.request import Operation
from foz.canon.response import fold
from foz.dialects.ollama.client import WordsClient
from foz.dialects.ollama.speech import SPEECH
from foz.gateway.lane import Name, TranslateStream
from foz.gateway.services import Policy
from foz.skins.ollama.skin import OllamaSkin
from foz.testing.upstream import Scripted
from foz.wire.http import Reply
from tests.core import PUBLIC, Core

GOLDEN = Path(__file__).parents[1] / "golden/ollama"
OPERATIONS = {"chat": Operation.CHAT, "generate": Operation.COMPLETE}
CASES = sorted(f"{path.parent.name}/{path.name}" for path in GOLDEN.glob("*/*"))
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.ndjson").exists()]
WHOLES = [name for name in CASES if (GOLDEN / name / "response.json").exists()]
TARGET = Target("one", "up:1", rates=Rates(input=3, output=5, version="test"))
NO_REPEATS = msgspec.structs.replace(Policy().retries, again=0)
CLIENT = WordsClient()


class Outcome(NamedTuple):
    """What the caller heard, and what was written."""

    answer: Any
    ended: bool
    told: str | None
    account: Any


def plain(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def asked(name: str, *, stream: bool) -> bytes:
    """The golden request for our public model."""
    body = msgspec.json.decode((GOLDEN / name / "request.json").read_bytes())
    return msgspec.json.encode(body | {"model": PUBLIC, "stream": stream})


def gist(said: bytes, *, stream: bool) -> Any:
    """What a caller hears, without the ids that are made of when it began; the code of the fault that ends it."""
    if not said:
        return None
    if not stream:
        return _gist(CLIENT.decode_response(Reply(200, body=said)))
    decoder = CLIENT.decoder()
    heard: list[Any] = []
    try:
        heard += decoder.feed(said)
        heard += decoder.close()
    except Fault as fault:
        return [type(event).__name__ for event in heard], fault.code
    return _gist(fold(heard))


def _gist(answer: Any) -> Any:
    answer = plain(answer)
    for choice in answer["choices"]:
        for call in choice["calls"]:
            call.pop("id")
    return {name: value for name, value in answer.items() if name not in {"id", "created", "timing"}}


async def outcome(name: str, request: bytes, turn: Scripted, *, relay: bool, stream: bool) -> tuple[Outcome, Core]:
    policy = Policy(relay=relay, retries=NO_REPEATS)
    core = Core(turn, targets=(TARGET,), policy=policy, skin=OllamaSkin(), speech=SPEECH)
    fault = await core.serve(request, OPERATIONS[name.partition("/")[0]])
    ledger = core.ledger
    account = plain((list(ledger.entries.values()), list(ledger.ends.values()), core.book.settled))
    told = None if fault is None else f"{fault.code}: {fault.message}"
    return Outcome(gist(core.caller.body, stream=stream), core.caller.ended, told, account), core


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_in_both_lanes_wherever_it_is_split(name: str) -> None:
    """A golden stream means the same to caller and ledger in both lanes, cut in two anywhere and in single bytes."""
    stream = (GOLDEN / name / "stream.ndjson").read_bytes()
    request = asked(name, stream=True)
    cuts = [(stream[:at], stream[at:]) for at in range(0, len(stream) + 1, 7)]
    single = tuple(bytes([byte]) for byte in stream)

    async def both() -> None:
        whole, _ = await outcome(name, request, Scripted(stream), relay=True, stream=True)
        for pieces in ((stream,), single, *cuts):
            for relay in (True, False):
                turn = Scripted(*filter(None, pieces))
                found, _ = await outcome(name, request, turn, relay=relay, stream=True)
                assert found == whole, f"relay={relay}, first piece of {len(pieces[0])} bytes"
        assert whole.ended is not (GOLDEN / name / "fault.json").exists()

    asyncio.run(both())


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_the_same_in_both_lanes(name: str) -> None:
    """A golden answer, whole, means the same to the caller and to the ledger whichever lane it took."""
    turn = (GOLDEN / name / "response.json").read_bytes()
    request = asked(name, stream=False)

    async def both() -> None:
        relayed, _ = await outcome(name, request, Scripted(turn), relay=True, stream=False)
        translated, _ = await outcome(name, request, Scripted(turn), relay=False, stream=False)
        assert relayed == translated
        assert relayed.ended
        assert relayed.answer["model"] == PUBLIC

    asyncio.run(both())


@pytest.mark.parametrize("name", CASES)
def test_a_relayed_request_is_the_callers_own(name: str) -> None:
    """Relayed, a golden request reaches the path that it came to, as it is, but for the name of the model."""

    async def sent() -> None:
        request = asked(name, stream=True)
        _, core = await outcome(name, request, Scripted(b"{}"), relay=True, stream=True)
        (call,) = core.upstream.calls
        assert (call.method, call.path) == ("POST", f"/api/{name.partition('/')[0]}")
        assert plain(msgspec.json.decode(call.body)) == {**msgspec.json.decode(request), "model": "up:1"}

    asyncio.run(sent())


REFUSALS = {400: "no", 401: "who?", 404: "model 'up:1' not found", 429: "slower", 500: "oh", 503: "full"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_the_same_in_both_lanes(status: int, stream: bool) -> None:
    """What a server refuses is the same fault to the caller and to the ledger whichever lane asked."""

    async def both() -> None:
        request = asked("chat/plain", stream=stream)
        turn = Scripted(msgspec.json.encode({"error": REFUSALS[status]}), status=status)
        relayed, _ = await outcome("chat/plain", request, turn, relay=True, stream=stream)
        translated, _ = await outcome("chat/plain", request, turn, relay=False, stream=stream)
        assert relayed == translated
        assert relayed.told is not None
        assert relayed.answer is None

    asyncio.run(both())


def test_a_line_of_any_shape_gets_the_public_name() -> None:
    """A line whose model stands elsewhere, has blanks or escapes, is told under the public name, all else as it was."""
    lines = (
        b'{"done": false, "x": {"model": "up:1"}, "model" : "up:1", "message": {"content": "\\"model\\":\\"up:1\\""}}\n'
        b'{"model":"\\u0075p:1","message":{"content":"b"},"done":false}\r\n'
        b'{"model":"up:1","message":{"content":""},"done":true,"done_reason":"stop"}'
    )
    relay = SPEECH[Operation.CHAT].relay
    assert relay is not None
    passing = relay.stream(_ask())
    told = [msgspec.json.decode(line) for line in (passing.feed(lines) + passing.close()).splitlines()]

    assert [line["model"] for line in told] == [PUBLIC] * 3
    assert told[0]["x"] == {"model": "up:1"}
    assert told[0]["message"] == {"content": '"model":"up:1"'}


def _ask() -> Any:
    server = SPEECH[Operation.CHAT].server
    assert server is not None
    return server.read(asked("chat/plain", stream=True))


@pytest.mark.parametrize("name", [name for name in STREAMS if not (GOLDEN / name / "fault.json").exists()])
def test_what_came_before_a_hang_up_counts_alike(name: str) -> None:
    """After each line of a stream both lanes know of as many characters, and of as few tokens."""
    lines = (GOLDEN / name / "stream.ndjson").read_bytes().splitlines(keepends=True)
    speech = SPEECH[Operation.CHAT]
    assert speech.relay is not None
    assert speech.client is not None
    assert speech.server is not None
    ask = _ask()
    passing = speech.relay.stream(ask)
    request = speech.server.decode_request(asked("chat/plain", stream=True))
    translated = TranslateStream(speech.client.decoder(), speech.server.encoder(request, PUBLIC), Name("id", 1))

    for line in lines:
        passing.feed(line)
        translated.feed(line)
        ours, theirs = passing.tally, translated.tally
        assert (ours.content, ours.fewest) == (theirs.content, theirs.fewest)
        assert bool(ours.pieces) == bool(theirs.pieces)
