"""`/completions` as we speak it to upstreams."""

import msgspec

from foz.canon.fault import Fault
from foz.canon.request import CompleteRequest, Request
from foz.canon.response import Response, fold
from foz.dialects.openai import prompts
from foz.dialects.openai.completions.answer import Reader
from foz.dialects.openai.completions.stream import Wire
from foz.dialects.openai.faults import decode_fault
from foz.dialects.openai.frames import DIALECT, StreamDecoder, call
from foz.wire import json
from foz.wire.http import Call, Reply

PATH = "/completions"


def _say(request: CompleteRequest, model: str) -> Wire:
    said: Wire = {"model": model, "prompt": prompts.say(request.prompts)}
    said |= {name: value for name, value in msgspec.structs.asdict(request.sampling).items() if value is not None}
    limits: Wire = {
        "suffix": request.suffix,
        "max_tokens": request.max_output,
        "n": None if request.choices == 1 else request.choices,
        "best_of": request.best_of,
        "echo": request.echo or None,
        "logprobs": request.logprobs,
        "stop": request.stop or None,
        "user": request.user,
    }
    said |= {name: value for name, value in limits.items() if value is not None}
    if request.stream:
        said["stream"] = True
        said["stream_options"] = {"include_usage": True}
    for name, raw in request.vendor.get(DIALECT, {}).items():
        said.setdefault(name, raw)
    return said


class CompletionClient:
    """Implements `ports.codec.ClientCodec`."""

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Streams always ask for usage."""
        if not isinstance(request, CompleteRequest):
            raise TypeError("the complete operation takes a CompleteRequest")
        return call(PATH, json.encode(_say(request, model)), stream=request.stream)

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        reader = Reader()
        return fold([*reader.take(reply.body, whole=True), *reader.finish()])

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder(Reader())

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
