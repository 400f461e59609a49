"""
What the real Anthropic refuses and a dialect that is polite to callers does not: the body as it came, looked at by
hand.

Each sentence is the API's own, or near it.
"""

import re
from hashlib import blake2b
from typing import Any

from foz.canon.fault import BadRequest

Wire = dict[str, Any]
BUDGETS = ("claude-3-7", "claude-sonnet-4-5")
"""Names of models that think by a budget, and by nothing else."""
LEAST = 1024
_FIELDS = frozenset(
    {"model", "messages", "max_tokens", "system", "tools", "tool_choice", "stop_sequences", "stream", "temperature"}
    | {"top_p", "top_k", "metadata", "thinking", "output_config", "service_tier", "cache_control", "container"}
    | {"mcp_servers", "context_management", "inference_geo"}
)
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})


def sign(thought: str) -> str:
    """The mark that a thought is the model's own."""
    return blake2b(thought.encode("utf-8", "surrogatepass"), digest_size=16, key=b"simulated").hexdigest()


def check(said: Wire) -> None:
    """Raises BadRequest."""
    unknown = said.keys() - _FIELDS
    if unknown:
        raise BadRequest(f"{min(unknown)}: Extra inputs are not permitted")
    if (said.get("temperature") or 0) > 1:
        raise BadRequest("temperature: range: 0..1")
    _thinking(said)
    system = said.get("system")
    for block in system if isinstance(system, list) else []:
        _text(block, "system")
    before: Wire = {}
    for place, message in enumerate(said["messages"]):
        if message["role"] not in {"user", "assistant"}:
            raise BadRequest(f"messages.{place}.role: Input should be 'user' or 'assistant'")
        _message(message, before, f"messages.{place}")
        before = message
    last = _blocks(before)[-1:]
    if before["role"] == "assistant" and last and last[0].get("text", "") != last[0].get("text", "").rstrip():
        raise BadRequest("messages: final assistant content cannot end with trailing whitespace")
    if before["role"] == "assistant" and _calls(before):
        raise BadRequest("messages: `tool_use` ids were found without `tool_result` blocks immediately after")


def _blocks(message: Wire) -> list[Wire]:
    content = message.get("content", "")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _calls(message: Wire) -> list[str]:
    return [block["id"] for block in _blocks(message) if block["type"] == "tool_use"]


def _text(block: Wire, at: str) -> None:
    if block.get("type") == "text" and not block["text"]:
        raise BadRequest(f"{at}: text content blocks must be non-empty")


def _message(message: Wire, before: Wire, at: str) -> None:
    blocks = _blocks(message)
    if not blocks:
        raise BadRequest(f"{at}: messages must have non-empty content")
    answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    asked = _calls(before) if before else []
    missing = [id for id in asked if id not in answered]
    if missing:
        raise BadRequest(
            f"{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing[0]}"
        )
    strange = [id for id in answered if id not in asked]
    if strange:
        raise BadRequest(f"{at}: unexpected `tool_use_id` found in `tool_result` blocks: {strange[0]}")
    if answered and any(block["type"] != "tool_result" for block in blocks[: len(answered)]):
        raise BadRequest(f"{at}: `tool_result` blocks must come first")
    for number, block in enumerate(blocks):
        _block(block, f"{at}.content.{number}")


def _block(block: Wire, at: str) -> None:
    _text(block, at)
    for name in ("id", "tool_use_id"):
        if name in block and not _ID.fullmatch(block[name]):
            raise BadRequest(f"{at}.{name}: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if block["type"] == "thinking" and block.get("signature") != sign(block["thinking"]):
        raise BadRequest(f"{at}: Invalid `signature` in `thinking` block")


def _thinking(said: Wire) -> None:
    thinking = said.get("thinking") or {}
    effort = (said.get("output_config") or {}).get("effort")
    kind = thinking.get("type", "disabled")
    by_budget = said["model"].startswith(BUDGETS)
    if effort is not None and (by_budget or effort not in _EFFORTS):
        raise BadRequest("output_config.effort: This model does not support the effort parameter.")
    if kind == "adaptive" and by_budget:
        raise BadRequest("thinking.type: adaptive thinking is not supported on this model")
    if kind == "disabled":
        return
    if said.get("temperature", 1) != 1 or "top_k" in said:
        raise BadRequest("`temperature` may only be set to 1 when thinking is enabled.")
    if (said.get("tool_choice") or {}).get("type") in {"any", "tool"}:
        raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "enabled":
        budget = thinking["budget_tokens"]
        if budget < LEAST:
            raise BadRequest(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST}")
        if budget >= said.get("max_tokens", budget + 1):
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
        _thoughts_are_back(said)


def _thoughts_are_back(said: Wire) -> None:
    """Whoever thinks by a budget and calls a tool begins with a thought."""
    for message in said["messages"]:
        blocks = _blocks(message)
        if message["role"] == "assistant" and _calls(message) and blocks[0]["type"] not in _THOUGHTS:
            raise BadRequest("Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
