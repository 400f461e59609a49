"""
Both lanes, through the whole core: every golden case gives the same answer and the same account.

The same request and the same upstream's bytes go once through the relay lane and once through the translate lane.
Ids and times come from the same source, so the accounts must be equal in every field.
"""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from foz.canon.event import Event
from foz.canon.fault import Fault
from foz.canon.model import Target
from foz.canon.money import Rates
from foz.canon.request import Operation
from foz.dialects.openai.speech import SPEECH
from foz.gateway.services import Policy
from foz.testing.upstream import Scripted
from foz.wire.http import Reply
from tests.core import PUBLIC, Core

GOLDEN = Path(__file__).parents[1] / "golden/openai"
FOLDERS = {"chat": Operation.CHAT, "completions": Operation.COMPLETE, "embeddings": Operation.EMBED}
CASES = sorted(f"{folder}/{path.name}" for folder in FOLDERS for path in (GOLDEN / folder).iterdir())
STREAMS = [case for case in CASES if (GOLDEN / case / "stream.sse").exists()]
WHOLES = [case for case in CASES if (GOLDEN / case / "response.json").exists()]
OF_OLD = "chat/legacy_functions"
"""Translated, it is said in today's words: LOSSES.md of the dialect has it."""
TARGET = Target("one", "up-1", rates=Rates(input=3, output=5, cached=1, version="test"))
NO_REPEATS = msgspec.structs.replace(Policy().retries, again=0)


class Account(NamedTuple):
    """All that the ledger and the meters were told."""

    entries: Any
    attempts: Any
    ends: Any
    attempt_ends: Any
    settled: Any
    metered: Any


class Outcome(NamedTuple):
    """What the caller got, read by our own client, and what was written."""

    answer: Any
    ended: bool
    told: str | None
    """The fault that was raised for the door to tell."""
    account: Account


def operation_of(case: str) -> Operation:
    return FOLDERS[case.split("/", maxsplit=1)[0]]


def asked(case: str, *, stream: bool | None, wants_usage: bool | None = None) -> bytes:
    """The golden request for our public model."""
    fields = msgspec.json.decode((GOLDEN / case / "request.json").read_bytes())
    fields["model"] = PUBLIC
    if stream is not None:
        fields["stream"] = stream
        if not stream:
            fields.pop("stream_options", None)
    if wants_usage is not None:
        fields["stream_options"] = {"include_usage": wants_usage}
    return msgspec.json.encode(fields)


@lru_cache(maxsize=64)
def heard(operation: Operation, said: bytes, *, stream: bool) -> Any:
    """The caller's bytes as events, or as an answer; with the fault that ends them."""
    client = SPEECH[operation].client
    assert client is not None
    if not stream:
        return plain(client.decode_response(Reply(200, body=said)))
    decoder = client.decoder()
    events: list[Event] = []
    try:
        events += decoder.feed(said)
        events += decoder.close()
    except Fault as fault:
        return plain(events), fault.code, fault.message
    return plain(events), None, None


def plain(value: object) -> Any:
    """A value as JSON has it, so that verbatim parts are compared by what they say."""
    return msgspec.json.decode(msgspec.json.encode(value))


async def through(case: str, request: bytes, turn: Scripted, *, relay: bool) -> tuple[Core, Fault | None]:
    core = Core(turn, targets=(TARGET,), policy=Policy(relay=relay, retries=NO_REPEATS))
    return core, await core.serve(request, operation_of(case))


async def outcome(case: str, request: bytes, turn: Scripted, *, relay: bool, stream: bool) -> Outcome:
    core, fault = await through(case, request, turn, relay=relay)
    ledger = core.ledger
    said = core.caller.body
    return Outcome(
        heard(operation_of(case), said, stream=stream) if said else None,
        core.caller.ended,
        None if fault is None else f"{fault.code}: {fault.message}",
        Account(ledger.entries, ledger.attempts, ledger.ends, ledger.attempt_ends, core.book.settled, core.meters.ends),
    )


@pytest.mark.parametrize("case", [case for case in CASES if case != OF_OLD])
def test_the_upstream_is_asked_the_same(case: str) -> None:
    """In both lanes the upstream is asked the same, under its own name, with usage asked for."""

    async def sent(*, relay: bool) -> Any:
        core, _ = await through(case, asked(case, stream=None), Scripted(b"{}"), relay=relay)
        (call,) = core.upstream.calls
        server = SPEECH[operation_of(case)].server
        assert server is not None
        return call.method, call.path, call.headers, plain(server.decode_request(call.body))

    async def both() -> None:
        relayed = await sent(relay=True)
        assert relayed == await sent(relay=False)
        assert relayed[3]["model"] == "up-1"

    asyncio.run(both())


REFUSALS = {
    400: {"message": "no", "type": "invalid_request_error", "param": "messages", "code": "wrong"},
    401: {"message": "who?", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"},
    404: {"message": "no such model", "type": "invalid_request_error", "param": None, "code": "model_not_found"},
    429: {"message": "slower", "type": "requests", "param": None, "code": "rate_limit_exceeded"},
    500: {"message": "oh", "type": "server_error", "param": None, "code": None},
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_the_same_in_both_lanes(status: int, stream: bool) -> None:
    """What an upstream refuses is the same fault to the caller and to the ledger whichever lane asked."""

    async def both() -> None:
        request = asked("chat/plain", stream=stream)
        turn = Scripted(msgspec.json.encode({"error": REFUSALS[status]}), status=status)
        relayed = await outcome("chat/plain", request, turn, relay=True, stream=stream)
        assert relayed == await outcome("chat/plain", request, turn, relay=False, stream=stream)
        assert relayed.told is not None
        assert relayed.answer is None
        assert [end.state for end in relayed.account.ends.values()] == ["failed"]

    asyncio.run(both())


@pytest.mark.parametrize("case", WHOLES)
def test_a_whole_answer_is_the_same_in_both_lanes(case: str) -> None:
    """A golden answer, whole, means the same to the caller and to the ledger whichever lane it took."""

    async def both() -> None:
        request = asked(case, stream=None if case.startswith("embeddings") else False)
        turn = Scripted((GOLDEN / case / "response.json").read_bytes())
        relayed = await outcome(case, request, turn, relay=True, stream=False)
        assert relayed == await outcome(case, request, turn, relay=False, stream=False)
        assert relayed.ended
        assert relayed.answer["model"] == PUBLIC
        assert [end.state for end in relayed.account.ends.values()] == ["complete"]

    asyncio.run(both())


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_is_the_same_in_both_lanes_wherever_it_is_split(case: str, wants_usage: bool) -> None:
    """A golden stream means the same to caller and ledger in both lanes, cut in two anywhere and in single bytes."""
    stream = (GOLDEN / case / "stream.sse").read_bytes()
    request = asked(case, stream=True, wants_usage=wants_usage)
    cuts = [(stream[:at], stream[at:]) for at in range(len(stream) + 1)] if wants_usage else []
    single = tuple(bytes([byte]) for byte in stream)

    async def both() -> None:
        whole = await outcome(case, request, Scripted(stream), relay=True, stream=True)
        for pieces in ((stream,), single, *cuts):
            for relay in (True, False):
                found = await outcome(case, request, Scripted(*filter(None, pieces)), relay=relay, stream=True)
                assert found == whole, f"relay={relay}, first piece of {len(pieces[0])} bytes"
        finished = not (GOLDEN / case / "fault.json").exists()
        assert whole.ended is finished
        assert [end.state == "complete" for end in whole.account.ends.values()] == [finished]

    asyncio.run(both())
