"""
Requests as Ollama takes them.

How tokens are drawn goes into `options`, beside those that only Ollama has (`num_ctx`), which travel verbatim in
`vendor["ollama"]` with all else that canon has no word for. `stream` is always said, for left out it means true.
What is asked for and Ollama would silently not do (several answers, biased tokens) is Unsupported.
"""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, Raw, UnsetType

from foz.canon.fault import Unsupported
from foz.canon.request import (
    ChatRequest,
    CompleteRequest,
    EmbedRequest,
    ReasoningWish,
    ResponseFormat,
    Vendor,
)
from foz.canon.tool import ToolChoice, ToolSpec, among
from foz.dialects.ollama import schema
from foz.dialects.ollama.frames import DIALECT
from foz.dialects.ollama.messages import say_messages
from foz.wire import json

_ANYTHING = Raw(b'{"type":"object","properties":{}}')
_JSON = Raw(b'"json"')
_LEVELS: Mapping[str, str | bool] = {
    "none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high",
    "xhigh": "max", "ultra": "max", "max": "max",
}  # fmt: skip
"""OpenAI's scale is longer at both ends: the nearest of Ollama's, as Ollama's own /v1 has it."""
PLAINLY = ReasoningWish("medium", enabled=True)
"""Thinking that is simply on, in a word for those who only know levels: not all of Ollama's models know any."""
_BUDGETS = ((2048, "low"), (8192, "medium"))
_NO_OPTIONS = schema.Options()
_NOTHING: schema.Bag = {}


def say_chat(request: ChatRequest, model: str) -> bytes:
    """The body for `/api/chat`. Raises Unsupported."""
    if not request.messages:
        raise _unsupported("a conversation without messages only loads the model", "messages")
    _demand_one(request.choices)
    body = schema.ChatBody(
        model=model,
        messages=say_messages(request.messages),  # type: ignore[arg-type]  # one with extras is an object already
        stream=request.stream,
        options=_say_options(request),
        format=_say_format(request.response_format),
        think=say_think(request.reasoning),
        logprobs=request.logprobs,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else 0,
        tools=_say_tools(request.tools, request.tool_choice),
    )
    return _finish(body, request.vendor)


def say_generate(request: CompleteRequest, model: str) -> bytes:
    """The body for `/api/generate`: one prompt, as one turn of a user. Raises Unsupported."""
    _demand_one(request.choices, request.best_of or 1)
    prompt = request.prompts[0] if len(request.prompts) == 1 else None
    if not isinstance(prompt, str):
        what = "several prompts at once" if prompt is None else "a prompt of token ids"
        raise _unsupported(f"it takes one text, not {what}", "prompt")
    if not prompt:
        raise _unsupported("an empty prompt only loads the model", "prompt")
    if request.echo:
        raise _unsupported("it never repeats the prompt", "echo")
    body = schema.GenerateBody(
        model=model,
        prompt=prompt,
        suffix=request.suffix,
        stream=request.stream,
        options=_say_options(request),
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs or 0,
    )
    return _finish(body, request.vendor)


def say_embed(request: EmbedRequest, model: str) -> bytes:
    """The body for `/api/embed`. Raises Unsupported."""
    inputs = [text for text in request.inputs if isinstance(text, str)]
    if len(inputs) < len(request.inputs):
        raise _unsupported("it takes texts to embed, not token ids", "input")
    body = schema.EmbedBody(model=model, input=inputs, dimensions=request.dimensions)
    return _finish(body, request.vendor)


def _unsupported(why: str, field: str) -> Unsupported:
    return Unsupported(f"This model's provider is an Ollama server: {why}.", field=field)


def _demand_one(choices: int, best_of: int = 1) -> None:
    if choices != 1 or best_of != 1:
        raise _unsupported("it gives one answer, so ask once for each", "n" if choices != 1 else "best_of")


def _finish(body: object, vendor: Vendor) -> bytes:
    """The body with what does not fit its schema: extras never replace what was said."""
    own = vendor.get(DIALECT)
    extras = {name: raw for name, raw in own.items() if name != "options"} if own else None
    if not extras:
        return json.encode(body)
    return json.encode({**extras, **schema.BAG.decode(json.encode(body))})


# Options.


def _say_options(request: ChatRequest | CompleteRequest) -> schema.Bag | None:
    drawn = request.sampling
    if drawn.logit_bias:
        raise _unsupported("it cannot bias tokens", "logit_bias")
    said = schema.Options(
        drawn.temperature,
        drawn.top_p,
        drawn.top_k,
        drawn.min_p,
        drawn.frequency_penalty,
        drawn.presence_penalty,
        drawn.repetition_penalty,
        drawn.seed,
        request.max_output,
        request.stop or None,
    )
    own = request.vendor.get(DIALECT, _NOTHING).get("options")
    if own is not None:
        return {**schema.BAG.decode(own), **schema.BAG.decode(json.encode(said))} or None
    return None if said == _NO_OPTIONS else said  # type: ignore[return-value]  # it is written as a bag is


def _say_format(form: ResponseFormat | None) -> Raw | UnsetType:
    if form is None or form.kind == "text":
        return UNSET
    return form.schema if form.kind == "schema" and form.schema is not None else _JSON


def say_think(wish: ReasoningWish | None) -> bool | str | None:
    """`think`: a level, on, off, or nothing: left out, a model that can think does."""
    if wish is None:
        return None
    if wish == PLAINLY:
        return True
    if wish.effort is not None and wish.effort != "default":
        return _LEVELS.get(wish.effort, True)
    if wish.enabled is False or wish.budget == 0:
        return False
    if wish.budget is not None:
        return next((level for most, level in _BUDGETS if wish.budget <= most), "high")
    return wish.enabled


# Tools.


def _say_tools(tools: Sequence[ToolSpec], choice: ToolChoice | None) -> list[schema.Tool] | None:
    """A choice is told by what is offered: Ollama has no other word for it."""
    if not tools:
        return None
    offered = [
        schema.Tool(schema.Function(tool.name, tool.schema if tool.schema is not None else _ANYTHING, tool.description))
        for tool in _offered(tools, choice)
    ]
    return offered or None


def _offered(tools: Sequence[ToolSpec], choice: ToolChoice | None) -> Sequence[ToolSpec]:
    if choice is None:
        return tools
    if choice.mode == "none":
        return ()
    return among(tools, (choice.name,) if choice.mode == "named" else choice.allowed)
