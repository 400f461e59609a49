"""
Text generation as task endpoints do it, with the simulated model's words.

TGI checks its parameters, counts, streams tokens, leaves the stop text in the answer and ends with a special token;
plain transformers refuse parameters that they do not know, count nothing and do not stream, whatever is asked.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from foz.canon.content import Message, Text
from foz.canon.event import ChoiceFinished, Event, TextGrew, TokenLogprob
from foz.canon.fault import BadRequest
from foz.canon.request import ChatRequest, CompleteRequest, ResponseFormat, Sampling
from foz.canon.usage import Usage
from foz.testing.huggingface.models import GENERATION, TRANSFORMERS, Served
from foz.testing.simulated.counted import JSON, Told, complete, streamed
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, events_of
from foz.wire import json

DEFAULT_OUTPUT = 20
MOST_STOPS = 4
EOS = "</s>"
_POSITIVE = ("temperature", "top_k", "repetition_penalty", "max_new_tokens")
_ERROR = b'data:{"error":"Request failed during generation: simulated","error_type":"generation"}\n\n'
_GARBAGE = b'data:{"index":1,"token":{"id"\n\n'
Wire = dict[str, Any]


class Body(Struct):
    """`inputs` and how to go on with them."""

    inputs: str
    parameters: Wire = {}
    stream: bool = False
    options: Wire | None = None


_BODY = msgspec.json.Decoder(Body)


class Refused(BadRequest):
    """What an endpoint refuses; `error_type` is TGI's."""

    error_type: str | None = None


def _invalid(message: str) -> Refused:
    refused = Refused(f"Input validation error: {message}", status=422)
    refused.error_type = "validation"
    return refused


def _check_tgi(body: Body) -> None:
    said = body.parameters
    for name in _POSITIVE:
        if said.get(name) is not None and said[name] <= 0:
            raise _invalid(f"`{name}` must be strictly positive")
    if said.get("top_p") is not None and not 0 < said["top_p"] < 1:
        raise _invalid("`top_p` must be > 0.0 and < 1.0")
    if len(said.get("stop") or ()) > MOST_STOPS:
        raise _invalid(f"`stop` supports up to {MOST_STOPS} stop sequences")
    if not body.inputs:
        raise _invalid("`inputs` cannot be empty")


def _check_transformers(body: Body, task: str) -> None:
    unknown = [name for name, value in body.parameters.items() if name not in TRANSFORMERS[task] and value is not None]
    if unknown:
        raise Refused(f"The following `model_kwargs` are not used by the model: {unknown} (note: typos in the generate "
                      "arguments will also show up in this list)")  # fmt: skip
    if body.parameters.get("temperature") == 0:
        raise Refused("`temperature` (=0) has to be a strictly positive float")


def hear(data: bytes, served: Served) -> Body:
    """A checked body. Raises Refused."""
    if json.too_deep(data):
        raise Refused("the body is nested too deeply")
    try:
        body = _BODY.decode(data)
    except (json.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"Failed to deserialize the JSON body into the target type: {error}", status=422) from None
    try:
        if served.engine == "tgi":
            _check_tgi(body)
        else:
            _check_transformers(body, served.task)
    except TypeError as error:
        raise Refused(f"a parameter is not of its type: {error}", status=422) from None
    return body


class _Made(Struct):
    """An answer, token by token."""

    tokens: list[TokenLogprob]
    reason: str
    asked: int

    @property
    def text(self) -> str:
        return "".join(token.token for token in self.tokens)


def _make(body: Body, model: str, served: Served, mischief: Mischief) -> _Made:
    said = body.parameters
    tgi = served.engine == "tgi"
    stops = tuple(said.get("stop") or ()) if tgi else ()
    limit = said.get("max_new_tokens") or DEFAULT_OUTPUT
    grammar = said.get("grammar") if tgi else None
    request: ChatRequest | CompleteRequest = CompleteRequest(
        model,
        (body.inputs,),
        sampling=Sampling(seed=said.get("seed")),
        max_output=limit,
        stop=stops,
        logprobs=int(said.get("top_n_tokens") or 0),
    )
    if grammar is not None:
        form = ResponseFormat("schema", schema=Raw(json.encode(grammar.get("value"))))
        request = ChatRequest(
            model, (Message("user", (Text(body.inputs),)),), response_format=form, max_output=limit, stop=stops
        )
    events: list[Event] = list(events_of(request, mischief))
    tokens = [
        event.logprobs[0] if event.logprobs else TokenLogprob(event.text, 0.0)
        for event in events
        if isinstance(event, TextGrew) and event.text
    ]
    end = next(event for event in events if isinstance(event, ChoiceFinished))
    reason = "length" if end.reason == "length" else "eos_token"
    if end.detail is not None:
        tokens.append(TokenLogprob(end.detail, -0.01))
        reason = "stop_sequence"
    asked = next(usage for event in events if (usage := getattr(event, "usage", None)) is not None).input
    return _Made(tokens, reason, asked or 0)


def generate(body: Body, model: str, served: Served, mischief: Mischief) -> Play:
    """The play of a call."""
    try:
        made = _make(body, model, served, msgspec.structs.replace(mischief, no_usage=False, batch=None))
    except (TypeError, ValueError) as error:
        raise Refused(f"a parameter is not of its type: {error}", status=422) from None
    whole = body.parameters.get("return_full_text", served.task == GENERATION)
    text = (body.inputs if whole and served.task == GENERATION else "") + made.text
    if served.engine != "tgi":
        usage = Usage(input=made.asked, output=len(made.tokens))
        return complete(json.encode([{"generated_text": text}]), usage, mischief)
    usage = Usage(input=made.asked, output=len(made.tokens) + (made.reason == "eos_token"))
    if body.stream:
        return streamed(_frames(made, body, usage, mischief), usage, mischief, (_ERROR, _GARBAGE))
    result: Wire = {"generated_text": text}
    if body.parameters.get("details"):
        result["details"] = _details(made, body, usage)
    counted = JSON
    if not mischief.no_usage:
        counted += ((b"x-prompt-tokens", b"%d" % made.asked), (b"x-generated-tokens", b"%d" % (usage.output or 0)))
    elif "details" in result:
        result["details"]["generated_tokens"] = None
    return complete(json.encode([result]), usage, mischief, (*counted, (b"x-compute-type", b"1-simulated")))


def _token(at: int, token: TokenLogprob, *, special: bool = False) -> Wire:
    return {"id": at, "text": token.token, "logprob": token.logprob, "special": special}


def _tokens(made: _Made) -> list[Wire]:
    tokens = [_token(at, token) for at, token in enumerate(made.tokens, 1)]
    if made.reason == "eos_token":
        tokens.append(_token(2, TokenLogprob(EOS, 0.0), special=True))
    return tokens


def _tops(made: _Made, body: Body) -> list[list[Wire]] | None:
    if not body.parameters.get("top_n_tokens"):
        return None
    tops = [[_token(rank, other) for rank, other in enumerate(token.top)] for token in made.tokens]
    return tops + [[]] * (made.reason == "eos_token")


def _details(made: _Made, body: Body, usage: Usage) -> Wire:
    tops = _tops(made, body)
    return {
        "finish_reason": made.reason,
        "generated_tokens": usage.output,
        "seed": None,
        "prefill": [],
        "tokens": _tokens(made),
        **({"top_tokens": tops} if tops is not None else {}),
        "best_of_sequences": None,
    }


def _frames(made: _Made, body: Body, usage: Usage, mischief: Mischief) -> list[Told]:
    tokens, tops = _tokens(made), _tops(made, body)
    if not tokens:
        tokens = [_token(2, TokenLogprob(EOS, 0.0), special=True)]
    told: list[Told] = []
    for at, token in enumerate(tokens, 1):
        frame: Wire = {"index": at, "token": token}
        if tops is not None:
            frame["top_tokens"] = tops[at - 1]
        frame |= {"generated_text": None, "details": None}
        if at == len(tokens):
            frame["generated_text"] = made.text
            if not mischief.no_usage:
                details = {"finish_reason": made.reason, "generated_tokens": usage.output}
                frame["details"] = details | {"input_length": made.asked, "seed": None}
        told.append((b"data:%b\n\n" % json.encode(frame), 1))
    return told
