"""Which tool is to be called, where Anthropic's own servers run some of them."""

from typing import Any

import msgspec
import pytest

from foz.canon.tool import ToolChoice
from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.server import MessagesServer

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
OURS = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("tools", "said", "heard"),
    [
        ([SEARCH], {"type": "auto", "disable_parallel_tool_use": True}, None),
        ([SEARCH], {"type": "any"}, None),
        ([SEARCH], {"type": "tool", "name": "web_search"}, None),
        ([SEARCH, OURS], {"type": "tool", "name": "web_search"}, None),
        ([SEARCH, OURS], {"type": "tool", "name": "f"}, ToolChoice("named", "f")),
        ([SEARCH, OURS], {"type": "any"}, ToolChoice("required")),
        ([OURS], {"type": "tool", "name": "nobody's"}, ToolChoice("named", "nobody's")),
    ],
)
def test_a_tool_that_is_not_offered_is_not_chosen(tools: list[Any], said: dict[str, Any], heard: Any) -> None:
    """Models of others are not made to call what only Anthropic's servers run; Anthropic's are asked as it was said."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    request = MessagesServer().decode_request(msgspec.json.encode({**body, "tools": tools, "tool_choice": said}))
    told = msgspec.json.decode(MessagesClient().encode_request(request, "up").body)

    assert request.tool_choice == heard
    assert request.parallel_tools is None
    assert (told["tools"], told["tool_choice"]) == (tools, said)


def test_a_choice_without_tools_is_none() -> None:
    """Where no tools are offered at all, no choice is told: other dialects refuse one."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    request = MessagesServer().decode_request(msgspec.json.encode({**body, "tool_choice": {"type": "none"}}))

    assert request.tool_choice is None
    assert "tool_choice" not in msgspec.json.decode(MessagesClient().encode_request(request, "up").body)
