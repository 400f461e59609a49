"""`/v1/completions` as we speak it to callers."""

import msgspec

from foz.canon.event import ChoiceFinished
from foz.canon.fault import Fault
from foz.canon.model import Capability
from foz.canon.request import Ask, CompleteRequest, Operation, Request, Sampling
from foz.canon.response import Choice, Response
from foz.dialects.openai import prompts, usage
from foz.dialects.openai.completions.schema import KNOWN, CompletionRequest
from foz.dialects.openai.completions.stream import CompletionEncoder, Wire, say_id, say_logprobs, say_reason
from foz.dialects.openai.faults import encode_fault_event
from foz.dialects.openai.fields import decode, extras, invalid, refusal
from foz.dialects.openai.frames import DIALECT
from foz.ports.codec import Answer
from foz.wire import json

_BODY = msgspec.json.Decoder(CompletionRequest)
_LIKELY = frozenset({Capability.LOGPROBS.value})
_NOTHING: frozenset[str] = frozenset()


def _agree(asked: CompletionRequest) -> None:
    """Fields that only make sense together."""
    if asked.stream_options is not None and not asked.stream:
        raise refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            "invalid_value",
        )
    if asked.best_of is not None:
        if asked.best_of < (asked.n or 1):
            raise invalid("best_of", f"it must be at least 'n', which is {asked.n or 1}.")
        if asked.stream and asked.best_of > (asked.n or 1):
            raise invalid(
                "best_of", "a stream cannot choose the best of several; leave it out or set 'stream' to false."
            )


def _wants_usage(asked: CompletionRequest) -> bool:
    options = asked.stream_options
    return not asked.stream or (options is not None and options.include_usage is True)


class CompletionServer:
    """Implements `ports.codec.ServerCodec`."""

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = decode(_BODY, body)
        _agree(asked)
        return Ask(
            Operation.COMPLETE,
            asked.model,
            bool(asked.stream),
            _NOTHING if asked.logprobs is None else _LIKELY,
            len(prompts.hear(asked.prompt, "prompt")) * (asked.n or 1),
            asked.max_tokens,
            _wants_usage(asked),
        )

    def decode_request(self, body: bytes) -> CompleteRequest:
        """The whole request in our words."""
        asked = decode(_BODY, body)
        _agree(asked)
        vendor = {name: raw for name, raw in extras(body, KNOWN).items() if bytes(raw) != b"null"}
        return CompleteRequest(
            model=asked.model,
            prompts=prompts.hear(asked.prompt, "prompt"),
            suffix=asked.suffix,
            echo=bool(asked.echo),
            sampling=_hear_sampling(asked),
            max_output=asked.max_tokens,
            choices=asked.n or 1,
            best_of=asked.best_of,
            logprobs=asked.logprobs,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            stream=bool(asked.stream),
            wants_usage=_wants_usage(asked),
            user=asked.user,
            vendor={DIALECT: vendor} if vendor else {},
        )

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response) or not isinstance(request, CompleteRequest):
            raise TypeError("completions are answered by a Response")
        said: Wire = {
            "id": say_id(answer.id),
            "object": "text_completion",
            "created": answer.created,
            "model": model,
            "choices": [_say_choice(index, choice) for index, choice in enumerate(answer.choices)],
        }
        if answer.usage is not None:
            said["usage"] = usage.say(answer.usage, answer.usage_vendor.get(DIALECT, {}))
        return json.encode({**said, **answer.vendor.get(DIALECT, {})})

    def encoder(self, request: Request, model: str) -> CompletionEncoder:
        """For a stream."""
        if not isinstance(request, CompleteRequest):
            raise TypeError("a stream of completions answers a CompleteRequest")
        return CompletionEncoder(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


def _hear_sampling(asked: CompletionRequest) -> Sampling:
    return Sampling(**{name: getattr(asked, name) for name in Sampling.__struct_fields__})


def _say_choice(index: int, choice: Choice) -> Wire:
    """A refusal is said as text: there is no other place for it."""
    finished = ChoiceFinished(choice.reason or "stop", index, choice.detail)
    return {
        "text": (choice.text or "") + (choice.refusal or ""),
        "index": index,
        "logprobs": say_logprobs(choice.logprobs + choice.refusal_logprobs),
        **say_reason(finished),
        **choice.vendor.get(DIALECT, {}),
    }
