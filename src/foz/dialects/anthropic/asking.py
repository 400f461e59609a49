"""
Requests as Anthropic takes them.

What canon has no word for travels in `vendor["anthropic"]` and is said again as it was. `max_tokens` must be said:
where the caller does not, it is what the model's family can say, or a number that all can. How much to think is told to
newer models as an effort, to older ones as a budget of tokens.
"""

from collections.abc import Mapping

from msgspec import Raw, Struct

from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec, among
from foz.dialects.anthropic.frames import DIALECT
from foz.dialects.anthropic.media import Wire, unsupported
from foz.dialects.anthropic.messages import leaves_thoughts_out, say_messages, say_system, thinks_on
from foz.dialects.anthropic.unsigned import by_budget

LIMIT = 4096
"""Tokens that the answer of every model of Anthropic's may have."""
LEAST = 1024
"""The smallest budget for thoughts."""
_ANYTHING = Raw(b'{"type":"object","properties":{}}')
_EFFORTS: Mapping[str, str] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "ultra": "max", "max": "max",
}  # fmt: skip
"""OpenAI's scale in Anthropic's words."""
_BUDGETS: Mapping[str, int] = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_000, "max": 32_000}
_WISHES = frozenset({"thinking", "output_config", "output_format"})
"""Where a caller of this dialect says how much to think, and of what form the answer shall be."""
_LEVELS = ((2048, "low"), (8192, "medium"))


class Manner(Struct, frozen=True):
    """What is known of a model's family."""

    limit: int | None = None
    """The most tokens that an answer may have."""
    budgets: bool = False
    """Whether it thinks by a budget of tokens and knows no effort."""


MANNER = Manner()


def say(request: ChatRequest, model: str, manner: Manner = MANNER) -> Wire:
    """The body for an upstream. Raises Unsupported."""
    _demand(request)
    own = request.vendor.get(DIALECT, {})
    said: Wire = {"model": model, "max_tokens": request.max_output or _limit(manner)}
    system = say_system(request.messages)
    if system is not None:
        said["system"] = system
    said["messages"] = say_messages(request.messages)
    if request.tools or "tools" in own:
        said |= _say_tools(request)
    if request.stop:
        said["stop_sequences"] = request.stop
    if request.stream:
        said["stream"] = True
    if request.user is not None:
        said["metadata"] = {"user_id": request.user}
    _add_sampling(said, request.sampling)
    wishes = request.response_format is not None or request.reasoning is not None
    if wishes and own.keys().isdisjoint(_WISHES):
        _add_wishes(said, request, manner)
    if "thinking" in own and by_budget(own["thinking"]) and leaves_thoughts_out(request.messages):
        own = {name: raw for name, raw in own.items() if name != "thinking"}
    return said | own if own else said


def _demand(request: ChatRequest) -> None:
    if request.choices != 1:
        raise unsupported("it gives one answer, so ask once for each", "n")
    if request.logprobs:
        raise unsupported("it does not tell how likely its tokens were", "logprobs")
    if request.sampling.logit_bias:
        raise unsupported("it cannot bias tokens", "logit_bias")


def _limit(manner: Manner) -> int:
    return LIMIT if manner.limit is None else manner.limit


def _add_sampling(said: Wire, drawn: Sampling) -> None:
    if drawn.temperature is not None:
        said["temperature"] = min(drawn.temperature, 1)
    if drawn.top_p is not None:
        said["top_p"] = drawn.top_p
    if drawn.top_k is not None:
        said["top_k"] = drawn.top_k


# Tools.


def _say_tools(request: ChatRequest) -> Wire:
    choice = request.tool_choice
    offered = among(request.tools, () if choice is None else choice.allowed)
    tools = [_say_tool(tool) for tool in offered]
    if not tools and "tools" not in request.vendor.get(DIALECT, {}):
        return {}
    said: Wire = {"tools": tools}
    told = _say_choice(choice, request.parallel_tools)
    if told is not None:
        said["tool_choice"] = told
    return said


def _say_tool(tool: ToolSpec) -> Wire:
    said: Wire = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    said["input_schema"] = _ANYTHING if tool.schema is None else tool.schema
    if tool.strict is not None:
        said["strict"] = tool.strict
    return said


def _say_choice(choice: ToolChoice | None, parallel: bool | None) -> Wire | None:
    if choice is not None and choice.mode == "none":
        return {"type": "none"}
    alone: Wire = {} if parallel is None else {"disable_parallel_tool_use": not parallel}
    if choice is None:
        return {"type": "auto", **alone} if alone else None
    if choice.mode == "named":
        return {"type": "tool", "name": choice.name, **alone}
    return {"type": "any" if choice.mode == "required" else "auto", **alone}


# How much to think, and of what form the answer is.


def _add_wishes(said: Wire, request: ChatRequest, manner: Manner) -> None:
    config: Wire = {}
    if request.response_format is not None:
        config |= _say_format(request.response_format)
    wish = request.reasoning
    if wish is not None and _declines(wish):
        said["thinking"] = {"type": "disabled"}
    elif wish is not None and manner.budgets:
        _add_budget(said, request, wish)
    elif wish is not None:
        said["thinking"] = {"type": "adaptive"}
        effort = _effort(wish)
        if effort is not None:
            config["effort"] = effort
        _calm(said)
    if config:
        said["output_config"] = config


def _declines(wish: ReasoningWish) -> bool:
    return wish.enabled is False or wish.effort == "none" or wish.budget == 0


def _effort(wish: ReasoningWish) -> str | None:
    if wish.effort is not None:
        return _EFFORTS.get(wish.effort)
    if wish.budget is None:
        return None
    return next((level for most, level in _LEVELS if wish.budget <= most), "high")


def _add_budget(said: Wire, request: ChatRequest, wish: ReasoningWish) -> None:
    """It is within `max_tokens`; where that leaves too little, or the thoughts so far are not here, there is none."""
    if not thinks_on(request.messages):
        return
    budget = wish.budget or _BUDGETS.get(_EFFORTS.get(wish.effort or "", ""), _BUDGETS["medium"])
    limit = said["max_tokens"]
    if isinstance(limit, int) and request.max_output is None and limit <= budget:
        said["max_tokens"] = limit = limit + budget
    budget = min(budget, int(str(limit)) - 1)
    if budget >= LEAST:
        said["thinking"] = {"type": "enabled", "budget_tokens": budget}
        _calm(said)


def _calm(said: Wire) -> None:
    """Who thinks draws as they are wont to: other settings are refused."""
    said.pop("temperature", None)
    said.pop("top_k", None)
    said.pop("top_p", None)


def _say_format(form: ResponseFormat) -> Wire:
    if form.kind == "text":
        return {}
    if form.kind == "json" or form.schema is None:
        raise unsupported("it keeps to a schema, not to any JSON: name the schema", "response_format")
    return {"format": {"type": "json_schema", "schema": form.schema}}
