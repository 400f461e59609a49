"""What all calls of this dialect have in common."""

import re

from foz.canon.fault import Garbled, NotFound
from foz.wire import json
from foz.wire.http import Call

DIALECT = "huggingface"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
_ID = re.compile(r"(?!\.\.?(?:/|\Z))[\w.-]{1,96}(?:/(?!\.\.?\Z)[\w.-]{1,96})?", re.ASCII)
_JSON = (b"content-type", b"application/json")
HEADERS = (_JSON, (b"accept", b"application/json"))
STREAM_HEADERS = (_JSON, (b"accept", b"text/event-stream"))


def place(model: str, task: str = "") -> str:
    """Where a model is asked at `hf-inference`. Raises NotFound where it can be no model of the Hub's."""
    if not _ID.fullmatch(model):
        raise NotFound(
            f"'{model}' is no model of the Hugging Face Hub: ids are `name` or `organisation/name`, of letters, digits "
            "and `.`, `_`, `-`.",
            field="model",
        )
    return f"/hf-inference/models/{model}{task}"


def call(path: str, body: object, *, stream: bool = False) -> Call:
    """The call that asks this."""
    return Call("POST", path, STREAM_HEADERS if stream else HEADERS, json.encode(body))


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as Hugging Face's task endpoints have it: {error}")
