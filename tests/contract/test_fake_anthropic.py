"""
The fake Anthropic refuses what Anthropic refuses, and counts what it makes.

That Anthropic's own SDKs take it for the real one is proven with the gateway, in tests/e2e/sdk_anthropic.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.testing.anthropic.check import sign
from foz.testing.process import Upstream, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers, Reply

HI = {"role": "user", "content": "Hi"}
HEADERS: Headers = ((b"x-api-key", b"k"), (b"anthropic-version", b"2023-06-01"))
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}
THINKS: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
BUDGETS = "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("anthropic"), program="foz.testing.anthropic") as running:
        yield running


def asked(fake: Upstream, headers: Headers = HEADERS, **fields: Any) -> Reply:
    body = {"model": "simulated", "max_tokens": 2000, "messages": [HI], **fields}
    with fake.connect() as connection:
        connection.send(request("POST", "/v1/messages", msgspec.json.encode(body), headers))
        return connection.reply()


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"top_z": 1}, "Extra inputs are not permitted"),
        ({"temperature": 1.5}, "range: 0..1"),
        ({"system": [{"type": "text", "text": ""}]}, "must be non-empty"),
        ({"messages": [HI, assistant({"type": "text", "text": ""}), HI]}, "must be non-empty"),
        ({"messages": [HI, assistant(CALL), HI]}, "without `tool_result` blocks"),
        ({"messages": [HI, assistant(CALL)]}, "without `tool_result` blocks"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "unexpected `tool_use_id`"),
        ({"messages": [HI, assistant(CALL | {"id": "a:b"}), HI]}, "should match pattern"),
        ({"messages": [HI, {"role": "assistant", "content": "Well, "}]}, "trailing whitespace"),
        (THINKS | {"max_tokens": 1024}, "must be greater than"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal"),
        (THINKS | {"temperature": 0.5}, "may only be set to 1"),
        (
            THINKS | {"messages": [HI, assistant({"type": "thinking", "thinking": "a", "signature": "b"}), HI]},
            "Invalid `signature`",
        ),
        (
            THINKS | {"messages": [HI, assistant(CALL), {"role": "user", "content": [RESULT]}]},
            "Expected `thinking`",
        ),
        ({"model": BUDGETS, "thinking": {"type": "adaptive"}}, "not supported"),
        ({"model": BUDGETS, "output_config": {"effort": "low"}}, "does not support the effort"),
    ],
)
def test_it_refuses_what_anthropic_refuses(fake: Upstream, fields: dict[str, Any], words: str) -> None:
    """A body that the real one would not take is a 400 that says why."""
    reply = asked(fake, **fields)
    error = msgspec.json.decode(reply.body)["error"]

    assert (reply.status, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]


def test_it_wants_a_key_and_a_version(fake: Upstream) -> None:
    """Without a key it is 401, without a version 400; a bearer is a key too."""
    assert asked(fake, HEADERS[1:]).status == 401
    assert asked(fake, HEADERS[:1]).status == 400
    assert asked(fake, ((b"authorization", b"Bearer k"), HEADERS[1])).status == 200


def test_it_takes_its_own_thoughts_back(fake: Upstream) -> None:
    """Thoughts that bear its mark are taken, whole, before a call."""
    thought = {"type": "thinking", "thinking": "a", "signature": sign("a")}
    turns = [HI, assistant(thought, CALL), {"role": "user", "content": [RESULT]}]

    assert asked(fake, messages=turns, **THINKS).status == 200


@pytest.mark.parametrize(
    ("status", "kind"), [(402, "billing_error"), (504, "timeout_error"), (529, "overloaded_error")]
)
def test_statuses_have_their_types(fake: Upstream, status: int, kind: str) -> None:
    """A status that is asked for is told with Anthropic's word for it."""
    reply = asked(fake, (*HEADERS, (b"x-simulate-status", str(status).encode())))

    assert (reply.status, msgspec.json.decode(reply.body)["error"]["type"]) == (status, kind)


def test_it_counts_what_it_makes(fake: Upstream) -> None:
    """What it says that it made is what `/_seen` says too, whole and streamed; a cache's share is told apart."""
    for stream in (False, True):
        marked = {"type": "text", "text": "Where do rivers end?", "cache_control": {"type": "ephemeral"}}
        id = f"counted-{stream}"
        headers = (*HEADERS, (b"x-request-id", id.encode()))
        reply = asked(fake, headers, messages=[{"role": "user", "content": [marked]}], stream=stream)
        told = reply.body
        if stream:
            told = next(line for line in told.split(b"\n") if b'"message_delta"' in line).removeprefix(b"data: ")
        usage = msgspec.json.decode(told)["usage"]
        (made,) = [row for row in fake.seen()["produced"] if row["request_id"] == id]

        parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        assert sum(usage[name] for name in parts) == made["input"]
        assert all(usage[name] for name in parts)
        assert usage["output_tokens"] == made["output"]
