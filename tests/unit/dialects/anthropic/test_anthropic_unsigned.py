"""Thoughts that nobody signed, given back: upstreams of the dialect, which refuse them, are not shown them."""

from typing import Any

import msgspec
import pytest

from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.relay import MessagesRelay
from foz.dialects.anthropic.server import MessagesServer
from foz.testing.anthropic.check import check, sign

SERVER = MessagesServer()
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
BARE = {"type": "thinking", "thinking": "hm"}
SIGNED = {"type": "thinking", "thinking": "aha", "signature": sign("aha")}
SAID = {"type": "text", "text": "Into the sea."}
MARKED = {**SAID, "cache_control": {"type": "ephemeral"}}
CALLED = {"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 12345678901234567890}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "42"}
BUDGET = {"type": "enabled", "budget_tokens": 2000}


def lanes(*messages: Any) -> list[dict[str, Any]]:
    """What an upstream of the dialect gets of these messages, in the relay lane and in the other."""
    said = {"model": "m", "max_tokens": 9000, "thinking": BUDGET, "messages": messages}
    body = msgspec.json.encode(said)
    relayed = MessagesRelay().retarget(body, SERVER.read(body), "up")
    told = MessagesClient().encode_request(SERVER.decode_request(body), "up")
    return [msgspec.json.decode(call.body) for call in (relayed, told)]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def model(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


@pytest.mark.parametrize("thought", [UNSIGNED, BARE])
@pytest.mark.parametrize("beside", [[], [SAID], [MARKED], [SIGNED, SAID]])
def test_unsigned_thoughts_are_left_out_in_both_lanes(thought: Any, beside: list[Any]) -> None:
    """What the fake Anthropic refuses, an unsigned thought, is left out and nothing else is; thinking stays on."""
    for body in lanes(user("Where?"), model(thought, *beside), user("And then?")):
        check(body)
        kept = [message["content"] for message in body["messages"] if message["role"] == "assistant"]

        assert kept in ([], [beside], [SAID["text"]])
        assert bool(kept) == bool(beside)
        assert body["thinking"] == BUDGET


def test_who_may_not_be_shown_its_thoughts_is_not_asked_to_think() -> None:
    """While calls go on beside which an unsigned thought stood, no thinking by a budget is asked for; later it is."""
    calling = (user("Where?"), model(UNSIGNED, CALLED), user([RESULT]))
    over = (*calling, model(SAID), user([{"type": "text", "text": "Thanks"}]))
    signed = (user("Where?"), model(SIGNED, CALLED), user([RESULT]))

    for body in (*lanes(*calling), *lanes(*signed)):
        check(body)
    assert ["thinking" in body for body in lanes(*calling)] == [False, False]
    assert ["thinking" in body for body in (*lanes(*over), *lanes(*signed))] == [True] * 4


def test_a_body_without_unsigned_thoughts_passes_as_it_is() -> None:
    """The relay lane changes nothing of messages whose thoughts are all signed, or that only speak of thinking."""
    said = [user('is "thinking" hard?'), model(SIGNED, SAID), user("And?")]
    relayed, _ = lanes(*said)

    assert relayed["messages"] == said
