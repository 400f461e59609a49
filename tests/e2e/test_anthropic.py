"""Anthropic as a provider: who asks in whatever dialect, its models answer; what they took stands in the ledger."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.wire.http import Headers, Reply

CONFIG = """
[[provider]]
name = "anthropic"
base_url = "http://127.0.0.1:{port}"
forwards = ["x-simulate-", "anthropic-beta"]

[[model]]
name = "kept"
targets = ["anthropic/simulated"]

[gateway]
relay = {relay}
"""
MARKED = {"type": "text", "text": "Where do rivers end?", "cache_control": {"type": "ephemeral"}}
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("anthropic"), program="foz.testing.anthropic") as running:
        yield running


@pytest.fixture(scope="module", params=["true", "false"], ids=["relay", "translate"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[Served]:
    config = CONFIG.format(port=upstream.port, relay=request.param)
    environment = {"ANTHROPIC_API_KEY": "sk-ant-test"}
    with start_gateway(tmp_path_factory.mktemp("gateway"), config=config, environment=environment) as running:
        yield running


def asked(gateway: Served, path: str, headers: Headers = (), **body: Any) -> Reply:
    with gateway.connect() as connection:
        return connection.call("POST", path, msgspec.json.encode(body), headers)


def entry(gateway: Served, id: str) -> dict[str, Any]:
    """What the ledger says of a call."""
    with closing(sqlite3.connect(f"file:{gateway.folder / 'data/foz.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        (row,) = connection.execute("SELECT * FROM entries WHERE request_id = ?", (id,))
        return dict(row)


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_of_a_cache_are_counted_apart(gateway: Served, upstream: Upstream, stream: bool) -> None:
    """The ledger's count is the fake's own, in both lanes, with what came from a cache and what was written to one."""
    id = f"cached-{gateway.port}-{stream}"
    reply = asked(
        gateway,
        "/v1/messages",
        ((b"x-request-id", id.encode()),),
        model="kept",
        max_tokens=200,
        stream=stream,
        messages=[{"role": "user", "content": [MARKED]}],
    )
    (made,) = [row for row in upstream.seen()["produced"] if row["request_id"] == id]
    row = entry(gateway, id)

    assert reply.status == 200
    assert (row["state"], row["input"], row["output"]) == ("complete", made["input"], made["output"])
    assert row["cached"] == made["input"] // 2
    assert row["cache_written"] == made["input"] // 4


def test_its_models_are_listed(gateway: Served) -> None:
    """All that it says it has is listed, and answers by that name."""
    with gateway.connect() as connection:
        listed = msgspec.json.decode(connection.call("GET", "/v1/models").body)["data"]
    names = {model["id"] for model in listed}

    assert {"simulated", "claude-sonnet-4-5", "claude-opus-4-8"} <= names
    hello = [{"role": "user", "content": "Hi"}]
    assert asked(gateway, "/v1/messages", model="claude-opus-4-8", max_tokens=9, messages=hello).status == 200


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8"])
def test_callers_of_openais_dialect_reach_it(gateway: Served, model: str) -> None:
    """Each family is told to think in the way that it knows, calls tools, and takes their results back by their ids."""
    weather = {"type": "function", "function": {"name": "weather", "parameters": TOOL}}
    turns: list[Any] = [{"role": "user", "content": "How is the weather in Lisbon and Porto?"}]
    options: dict[str, Any] = {
        "model": f"anthropic/{model}",
        "tools": [weather],
        "reasoning_effort": "high",
        "temperature": 0.3,
    }
    first = asked(gateway, "/v1/chat/completions", messages=turns, **options)
    message = msgspec.json.decode(first.body)["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "eighteen degrees"} for call in message["tool_calls"]
    ]
    second = asked(gateway, "/v1/chat/completions", messages=[*turns, message, *results], **options)

    assert first.status == 200, first.body
    assert len(results) == 2
    assert message["reasoning_content"]
    assert second.status == 200, second.body
    assert "eighteen degrees" in msgspec.json.decode(second.body)["choices"][0]["message"]["content"]


def test_its_refusals_keep_their_meaning(gateway: Served) -> None:
    """What the provider refuses is told in the caller's dialect, with the status that it has there."""
    for path in ("/v1/messages", "/v1/chat/completions"):
        for status, told in ((429, 429), (529, 502), (401, 502), (413, 413)):
            reply = asked(
                gateway,
                path,
                ((b"x-simulate-status", str(status).encode()),),
                model="kept",
                max_tokens=9,
                messages=[{"role": "user", "content": "Hi"}],
            )
            assert reply.status == told
            assert msgspec.json.decode(reply.body)["error"]["message"]
