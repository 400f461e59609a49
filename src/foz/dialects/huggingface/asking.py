"""
Bodies for text-generation and text2text-generation: `{"inputs", "parameters", "stream"}`.

What canon has no word for travels in `vendor["huggingface"]`: `options` beside the parameters, all else among them.
"""

from collections.abc import Iterator

from msgspec import Raw

from foz.canon.fault import Unsupported
from foz.canon.request import ChatRequest, CompleteRequest, ResponseFormat, Sampling
from foz.dialects.huggingface.frames import DIALECT
from foz.dialects.huggingface.kind import Kind, fold

Wire = dict[str, object]
_BESIDE = frozenset({"options"})
_ANY_OBJECT = {"type": "object"}


def _unable(what: str, field: str) -> Unsupported:
    return Unsupported(
        f"This model is asked at a Hugging Face task endpoint, which cannot do this: {what}.", field=field
    )


def _sampling(sampling: Sampling, kind: Kind) -> Wire:
    """The endpoints refuse a temperature of 0, and 0 and 1 as `top_p`: what they mean is said in other words."""
    greedy = sampling.temperature == 0 or sampling.top_p == 0
    top_p = sampling.top_p if sampling.top_p is not None and sampling.top_p < 1 else None
    said: Wire = {
        "temperature": None if greedy else sampling.temperature,
        "top_p": None if greedy else top_p,
        "top_k": None if greedy or (sampling.top_k or 0) < 1 else sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": None if "seed" in kind.without else sampling.seed,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if not said.keys().isdisjoint({"temperature", "top_p", "top_k"}):
        said["do_sample"] = True
    elif greedy:
        said["do_sample"] = False
    return said


def _grammar(form: ResponseFormat | None, kind: Kind) -> Wire:
    if form is None or form.kind == "text":
        return {}
    if "grammar" in kind.without:
        raise _unable("answer in a given form", "response_format")
    return {"grammar": {"type": "json", "value": _ANY_OBJECT if form.schema is None else form.schema}}


def _details(kind: Kind, top: int | None, *, wanted: bool) -> Wire:
    if "details" in kind.without:
        if wanted:
            raise _unable("tell how likely its tokens were", "logprobs")
        return {}
    return {"details": True, **({"top_n_tokens": top} if wanted and top else {})}


def stops_of(request: ChatRequest | CompleteRequest, kind: Kind) -> tuple[str, ...]:
    """All that ends the answer: the caller's texts and, in a chat, the family's own."""
    own = kind.stop if isinstance(request, ChatRequest) else ()
    return tuple(dict.fromkeys(stop for stop in (*request.stop, *own) if stop))


def _parameters(request: ChatRequest | CompleteRequest, kind: Kind) -> Iterator[Wire]:
    limit = request.max_output
    if limit is None and isinstance(request, ChatRequest):
        limit = kind.output
    yield {"max_new_tokens": limit} if limit is not None else {}
    yield _sampling(request.sampling, kind)
    stops = stops_of(request, kind)
    yield {"stop": stops} if stops and "stop" not in kind.without else {}


def _vendor(request: ChatRequest | CompleteRequest) -> tuple[dict[str, Raw], dict[str, Raw]]:
    """(among the parameters, beside them)"""
    bag = request.vendor.get(DIALECT, {})
    among = {name: raw for name, raw in bag.items() if name not in _BESIDE}
    return among, {name: raw for name, raw in bag.items() if name in _BESIDE}


def _body(request: ChatRequest | CompleteRequest, prompt: str, parameters: Wire, kind: Kind) -> Wire:
    among, beside = _vendor(request)
    for name, raw in among.items():
        parameters.setdefault(name, raw)
    said: Wire = {"inputs": prompt, "parameters": parameters, **beside}
    if streams(request, kind):
        said["stream"] = True
    return said


def streams(request: ChatRequest | CompleteRequest, kind: Kind) -> bool:
    """Whether the endpoint is asked for a stream."""
    return request.stream and "stream" not in kind.without


def say_chat(request: ChatRequest, kind: Kind) -> Wire:
    """A chat's body. Raises Unsupported."""
    if request.tools and (request.tool_choice is None or request.tool_choice.mode != "none"):
        raise _unable("call tools", "tools")
    if request.choices != 1:
        raise _unable("give more than one answer", "n")
    parameters: Wire = {}
    for part in _parameters(request, kind):
        parameters |= part
    parameters |= _details(kind, request.top_logprobs, wanted=request.logprobs)
    parameters |= _grammar(request.response_format, kind)
    if "full_text" not in kind.without:
        parameters["return_full_text"] = False
    return _body(request, fold(request.messages, kind), parameters, kind)


def say_completion(request: CompleteRequest, kind: Kind) -> Wire:
    """A text's body. Raises Unsupported."""
    (prompt, *others) = request.prompts
    if others or not isinstance(prompt, str):
        raise _unable("go on with more than one prompt, or with tokens given as numbers", "prompt")
    if request.suffix is not None:
        raise _unable("fill in before a suffix", "suffix")
    if request.choices != 1 or (request.best_of or 1) != 1:
        raise _unable("give more than one answer", "n")
    parameters: Wire = {}
    for part in _parameters(request, kind):
        parameters |= part
    parameters |= _details(kind, request.logprobs, wanted=request.logprobs is not None)
    if "full_text" not in kind.without:
        parameters["return_full_text"] = request.echo
    elif request.echo:
        raise _unable("repeat the prompt", "echo")
    return _body(request, prompt, parameters, kind)
