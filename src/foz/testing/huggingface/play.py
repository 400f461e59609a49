"""
One call to a fake Hugging Face as a play: the router's chat, `hf-inference`, the Hub's answer on what a model is for,
and, at `/`, an endpoint of one model. Implements `simulated.play.Face`.

Every call but the Hub's needs a bearer that begins with `hf_`; `hf_wrong` is none. A status of 503 that is asked for
with a `retry-after` is a model that is loading, so long.
"""

from http import HTTPStatus
from typing import Any

import msgspec

from foz.canon.fault import BadRequest, Fault
from foz.canon.request import EmbedRequest, Operation
from foz.canon.usage import Usage
from foz.dialects.openai.speech import SPEECH
from foz.testing.huggingface import generate
from foz.testing.huggingface.models import FEATURES, MODELS, POLICIES, PROVIDERS, Served
from foz.testing.simulated.answer import CREATED
from foz.testing.simulated.counted import JSON, chat, complete
from foz.testing.simulated.embed import embed
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, events_of, failure
from foz.testing.simulated.words import tokens
from foz.wire import json
from foz.wire.http import Call, Headers

HUB, TASKS = "/api/models/", "/hf-inference/models/"
CHAT = "/v1/chat/completions"
DEDICATED = "bigscience/bloom-560m"
"""What the endpoint at `/` serves."""
_DIMENSIONS = 16
_BROKEN = (
    b'data: {"error":{"message":"simulated","type":"server_error","code":500}}\n\n',
    b'data: {"id":"garbled","choices":[{"delta"\n\n',
)


class HuggingFaceFace:
    """How Hugging Face answers."""

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call."""
        path = call.path.rstrip("/") or "/"
        if path.startswith(HUB):
            return _hub(path.removeprefix(HUB))
        key = call.header(b"authorization") or b""
        if not key.startswith(b"Bearer hf_") or key == b"Bearer hf_wrong":
            return _error(401, "Invalid username or password.")
        try:
            if mischief.status is not None:
                raise failure(mischief.status, mischief)
            return self._answered(call, path, mischief)
        except generate.Refused as refused:
            return _error(refused.status, refused.message, error_type=refused.error_type)
        except Fault as fault:
            return _router_refusal(fault) if path.endswith(CHAT) else _refusal(fault, _model_of(path))

    def refuse(self, fault: Fault) -> Play:
        """A fault as it tells it."""
        return _refusal(fault, DEDICATED)

    def _answered(self, call: Call, path: str, mischief: Mischief) -> Play:
        if call.method == "GET" and path == "/v1/models":
            return Play(200, JSON, (json.encode({"object": "list", "data": _listed()}),))
        if call.method != "POST":
            raise BadRequest(f"{path} is not asked with {call.method}", status=405)
        if path == CHAT:
            return _chat(call.body, mischief)
        if path == "/":
            return _dedicated(call.body, mischief)
        model = _model_of(path)
        served = MODELS.get(model)
        if served is None or served.engine == "router":
            return _error(404, f"Model {model} does not exist", headers=((b"x-error-code", b"RepoNotFound"),))
        rest = path.removeprefix(f"{TASKS}{model}")
        if rest == f"/pipeline/{FEATURES}" or (not rest and served.task == FEATURES):
            return _features(call.body, model, served, mischief)
        if rest:
            return _error(404, "Not Found")
        return generate.generate(generate.hear(call.body, served), model, served, mischief)


def _model_of(path: str) -> str:
    return "/".join(path.removeprefix(TASKS).split("/")[:2])


def _listed() -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": name.partition("/")[0],
            "providers": [{"provider": provider, "status": "live"} for provider in PROVIDERS[:2]],
        }
        for name, served in MODELS.items()
        if served.engine == "router"
    ]


def _hub(model: str) -> Play:
    """What the Hub says of a model: what it is for, and who serves it."""
    served = MODELS.get(model)
    if served is None:
        return _error(401, "Invalid username or password.", headers=((b"x-error-code", b"RepoNotFound"),))
    provider = PROVIDERS[0] if served.engine == "router" else "hf-inference"
    said = {
        "_id": "0",
        "id": model,
        "pipeline_tag": "text-generation" if served.engine == "router" else served.task,
        "tags": [served.task],
        "inferenceProviderMapping": {provider: {"status": "live", "providerId": model, "task": served.task}},
    }
    return Play(200, JSON, (json.encode(said),))


def _chat(body: bytes, mischief: Mischief) -> Play:
    """The router's chat."""
    codec = SPEECH[Operation.CHAT].server
    assert codec is not None  # noqa: S101 - OpenAI's dialect has it
    request = codec.decode_request(body)
    name, _, suffix = request.model.partition(":")
    served = MODELS.get(name)
    if served is None or served.engine != "router" or (suffix and suffix not in {*PROVIDERS, *POLICIES}):
        raise BadRequest(
            f"The requested model '{request.model}' is not supported by any provider you have enabled.",
            field="model",
            vendor_code="model_not_supported",
        )
    request = msgspec.structs.replace(request, model=name)
    if isinstance(request, EmbedRequest):
        raise TypeError("a chat is no embedding")
    return chat(codec, request, list(events_of(request, _quiet(mischief))), mischief, _BROKEN)


def _quiet(mischief: Mischief) -> Mischief:
    """The model counts in any case; what is shown of it is another matter."""
    return msgspec.structs.replace(mischief, no_usage=False)


def _dedicated(body: bytes, mischief: Mischief) -> Play:
    served = MODELS[DEDICATED]
    return generate.generate(generate.hear(body, served), DEDICATED, served, mischief)


class _Inputs(msgspec.Struct):
    inputs: str | list[str]
    dimensions: int | None = None


_INPUTS = msgspec.json.Decoder(_Inputs)


def _features(body: bytes, model: str, served: Served, mischief: Mischief) -> Play:
    if served.task != FEATURES:
        return _error(400, f"Model {model} is not supported for task {FEATURES}")
    try:
        asked = _INPUTS.decode(body)
    except (json.DecodeError, UnicodeDecodeError) as error:
        raise generate.Refused(f"Input validation error: {error}", status=422) from None
    inputs = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    count = sum(len(tokens(text)) for text in inputs)
    size = asked.dimensions or _DIMENSIONS
    vectors: list[Any] = (
        [_tokenwise(text, size) for text in inputs] if served.engine == "tokens" else _place(inputs, size)
    )
    if isinstance(asked.inputs, str) and served.engine != "tokens":
        vectors = vectors[0]
    counted: Headers = () if mischief.no_usage else ((b"x-compute-tokens", b"%d" % count),)
    return complete(json.encode(vectors), Usage(input=count, output=0), mischief, (*JSON, *counted))


def _place(inputs: list[str], size: int) -> list[Any]:
    return (
        [list(vector) for vector in embed(EmbedRequest("m", tuple(inputs), dimensions=size)).vectors] if inputs else []
    )


def _tokenwise(text: str, size: int) -> list[Any]:
    """A vector for each token."""
    return _place(tokens(text) or [""], size)


# What it refuses with.


def _error(status: int, message: str, *, error_type: str | None = None, headers: Headers = ()) -> Play:
    said: dict[str, Any] = {"error": message}
    if error_type is not None:
        said["error_type"] = error_type
    return Play(status, (*JSON, *headers), (json.encode(said),))


_TYPES: dict[int, str] = {422: "validation", 424: "generation", 429: "overloaded", 500: "incomplete_generation"}


def _refusal(fault: Fault, model: str) -> Play:
    """As a task endpoint says it."""
    if fault.status == HTTPStatus.SERVICE_UNAVAILABLE and fault.retry_after is not None:
        said = {"error": f"Model {model} is currently loading", "estimated_time": fault.retry_after}
        return Play(503, JSON, (json.encode(said),))
    wait: Headers = () if fault.retry_after is None else ((b"retry-after", b"%g" % fault.retry_after),)
    return _error(fault.status, fault.message, error_type=_TYPES.get(fault.status), headers=wait)


def _router_refusal(fault: Fault) -> Play:
    """As the router says it: OpenAI's object, but for keys."""
    if fault.status == HTTPStatus.UNAUTHORIZED:
        return _error(401, "Invalid username or password.")
    wait: Headers = () if fault.retry_after is None else ((b"retry-after", b"%g" % fault.retry_after),)
    said = {
        "message": fault.message,
        "type": "invalid_request_error",
        "param": fault.field,
        "code": fault.vendor_code,
    }
    return Play(fault.status, (*JSON, *wait), (json.encode({"error": said}),))
