"""`foz serve` in front of Oracle's agents: sessions that are kept, shared, repaired, owned and ended."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.oracle.process import Account, make_account, start_oracle
from foz.testing.process import Served, Upstream, start_gateway, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers

AGENT = "oci_agent/ocid1.genaiagentendpoint.oc1.us-chicago-1.plain"
WHOLE = "oci_agent/ocid1.genaiagentendpoint.oc1.us-chicago-1.whole"
TRACED = "oci_agent/ocid1.genaiagentendpoint.oc1.us-chicago-1.traced"
TOOL = "oci_agent/ocid1.genaiagentendpoint.oc1.us-chicago-1.tool"
SETTINGS = """
[retries]
backoff = "10ms"
budget = 1.0

[breaker]
failures = 1000

[[provider]]
name = "oci_agent"
forwards = ["x-simulate-"]
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Upstream]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), account) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


def start(folder: Path, account: Account, upstream: Upstream) -> Served:
    (folder / "credentials.conf").write_text(account.config.read_text())
    return start_gateway(folder, config=SETTINGS, environment={"OCI_AGENT_ENDPOINT": upstream.url})


@pytest.fixture(scope="module")
def gateway(folder: Path, account: Account, upstream: Upstream) -> Iterator[Served]:
    with start(folder, account, upstream) as running:
        yield running


def sent_with(headers: dict[str, str]) -> Headers:
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())


def chat(model: str, text: str, **more: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": text}], **more})


def ask(gateway: Served, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and body of one call."""
    with gateway.connect() as connection:
        answer = connection.call("POST", "/v1/chat/completions", body, sent_with(headers))
        return answer.status, msgspec.json.decode(answer.body)


def said(gateway: Served, body: bytes, **headers: str) -> str:
    """The words of an answer that must be one."""
    status, told = ask(gateway, body, **headers)
    assert status == 200, told
    return str(told["choices"][0]["message"]["content"])


def stream(gateway: Served, body: bytes, **headers: str) -> list[Any]:
    """The events of one stream, which may be broken off."""
    with gateway.connect() as connection:
        along = (*sent_with(headers), (b"connection", b"close"))
        connection.send(request("POST", "/v1/chat/completions", body, along))
        assert connection.head().status == 200
        left, text = connection.rest(), b""
    while left:
        size, _, left = left.partition(b"\r\n")
        text, left = text + left[: int(size, 16)], left[int(size, 16) + 2 :]
    frames = [frame.removeprefix("data: ") for frame in text.decode().split("\n\n") if frame]
    return [msgspec.json.decode(frame) if frame.startswith("{") else frame for frame in frames]


def sessions(upstream: Upstream, method: str = "GET") -> dict[str, Any]:
    """How many sessions the fake has made and ended, and which are open."""
    with upstream.connect() as connection:
        told: dict[str, Any] = msgspec.json.decode(connection.call(method, "/_sessions").body)
        return told


def lay(upstream: Upstream, *acts: dict[str, str]) -> None:
    with upstream.connect() as connection:
        assert connection.call("PUT", "/_next", msgspec.json.encode(acts)).status == 200


def test_a_chat_without_a_session_has_its_own(gateway: Served, upstream: Upstream) -> None:
    """A chat that names no conversation is told whole in a session of its own, which is ended afterwards."""
    before = sessions(upstream)
    body = {
        "model": AGENT,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": "Three 🌊"},
        ],
    }
    text = said(gateway, msgspec.json.encode(body))

    assert "Be brief.\n\nUser: One\n\nAssistant: Two\n\nUser: Three 🌊" in text
    wait_until(lambda: sessions(upstream)["ended"] == before["ended"] + 1, "the session to be ended")
    assert sessions(upstream)["made"] == before["made"] + 1


def test_a_conversation_is_remembered(gateway: Served, upstream: Upstream) -> None:
    """Calls of one channel and user share a session, streamed or whole; another user has another one."""
    before = sessions(upstream)["made"]
    first = said(gateway, chat(AGENT, "Hello", channel="web", cuid="u1"))
    events = stream(gateway, chat(AGENT, "Again", channel="web", cuid="u1", stream=True))
    other = said(gateway, chat(AGENT, "Hi", channel="web", cuid="u2"))
    text = "".join(choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"])

    assert first.startswith('Turn 1, which began with "Hello"')
    assert text == 'Turn 2, which began with "Hello": you said "Again".'
    assert events[-1] == "[DONE]"
    assert other.startswith("Turn 1")
    assert sessions(upstream)["made"] == before + 2


def test_pieces_that_bring_all_of_the_text_are_told_apart(gateway: Served) -> None:
    """An agent that streams all of its text so far in each piece is heard once."""
    events = stream(gateway, chat(WHOLE, "Hello", stream=True))
    pieces = [choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"]]

    assert "".join(pieces) == 'Turn 1, which began with "Hello": you said "Hello".'
    assert len([piece for piece in pieces if piece]) > 5


def test_many_at_once_share_one_session(gateway: Served, upstream: Upstream) -> None:
    """Eight callers of one new conversation at once make one session."""
    before = sessions(upstream)["made"]
    together = threading.Barrier(8)

    def one(at: int) -> int:
        together.wait(10)
        return ask(gateway, chat(AGENT, f"Hello {at}", channel="web", cuid="crowd"))[0]

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(8)))

    assert statuses == [200] * 8
    assert sessions(upstream)["made"] == before + 1


def test_an_expired_session_is_repaired(gateway: Served, upstream: Upstream) -> None:
    """Where the agent knows the session no more, it is made anew and the message is sent again, once."""
    said(gateway, chat(AGENT, "Hello", channel="web", cuid="late"))
    before = sessions(upstream, "DELETE")["made"]
    text = said(gateway, chat(AGENT, "Still there?", channel="web", cuid="late"))

    assert text.startswith('Turn 1, which began with "Still there?"')
    assert sessions(upstream)["made"] == before + 1
    assert said(gateway, chat(AGENT, "Good", channel="web", cuid="late")).startswith("Turn 2")


def test_a_busy_session_is_asked_again(gateway: Served, upstream: Upstream) -> None:
    """A 409 that may pass is asked again; one that is final is told at once."""
    said(gateway, chat(AGENT, "Hello", channel="web", cuid="busy"))
    lay(upstream, {"x-simulate-status": "409"}, {"x-simulate-status": "409", "x-simulate-code": "IncorrectState"})
    assert said(gateway, chat(AGENT, "Again", channel="web", cuid="busy")).startswith("Turn 2")

    lay(upstream, {"x-simulate-status": "409", "x-simulate-code": "Conflict"})
    assert ask(gateway, chat(AGENT, "Again", channel="web", cuid="busy"))[0] == 409


def test_a_session_by_name_must_be_ones_own(gateway: Served) -> None:
    """A session that this gateway has not opened for the caller is unknown: 404."""
    status, told = ask(gateway, chat(AGENT, "Hello", sessionId="ocid1.genaiagentsession.oc1..somebody"))

    assert status == 404
    assert "no such session" in told["error"]["message"]


def test_a_conversation_needs_both_names(gateway: Served) -> None:
    """A channel without its user is refused, naming what is missing."""
    status, told = ask(gateway, chat(AGENT, "Hello", channel="web"))

    assert (status, told["error"]["param"]) == (400, "cuid")


def test_a_tool_of_the_agent_is_the_callers_to_play(gateway: Served) -> None:
    """What an agent wants done comes as a call, and its result goes back in the same session."""
    status, told = ask(gateway, chat(TOOL, "The weather?", channel="web", cuid="tool"))
    assert status == 200
    call = told["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": '{"city":"Rio"}'}
    assert told["choices"][0]["finish_reason"] == "tool_calls"

    messages = [
        {"role": "user", "content": "The weather?"},
        told["choices"][0]["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "30 degrees"},
    ]
    body = msgspec.json.encode({"model": TOOL, "messages": messages, "channel": "web", "cuid": "tool"})
    assert "The tool answered: 30 degrees" in said(gateway, body)


def test_tokens_are_told_where_traces_tell_them(gateway: Served) -> None:
    """Usage is in the answer only where the agent shows its traces."""
    _, traced = ask(gateway, chat(TRACED, "Hello there"))
    _, plain = ask(gateway, chat(AGENT, "Hello there"))

    assert traced["usage"]["prompt_tokens"] == 2
    assert not plain.get("usage")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_refusal_is_told(gateway: Served, upstream: Upstream, status: int) -> None:
    """A session that cannot be opened is told in the caller's words, and nothing is left behind."""
    lay(upstream, *({"x-simulate-status": str(status)} for _ in range(2)))
    told = ask(gateway, chat(AGENT, "Hello"))[0]
    lay(upstream)

    assert told == {401: 502, 500: 502}.get(status, status)


def test_a_cut_stream_never_looks_finished(gateway: Served) -> None:
    """A stream that breaks off ends with an error."""
    events = stream(gateway, chat(AGENT, "Hello", stream=True, channel="web", cuid="cut"), x_simulate_cut="5")

    assert "error" in events[-1]


def test_sessions_survive_a_restart(gateway: Served, folder: Path, account: Account, upstream: Upstream) -> None:
    """A gateway that is started again finds its callers' sessions."""
    said(gateway, chat(AGENT, "Hello", channel="web", cuid="long"))
    gateway.stop()
    with start(folder, account, upstream) as again:
        assert said(again, chat(AGENT, "Again", channel="web", cuid="long")).startswith("Turn 2")
