"""What Oracle's management API says of a model or of an endpoint: the vendor's name, from which the format follows."""

import msgspec
from msgspec import Struct

from foz.dialects.oci.telling import Telling, by_name
from foz.wire import json
from foz.wire.http import Call

_MODEL, _ENDPOINT = "ocid1.generativeaimodel.", "ocid1.generativeaiendpoint."
_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_LONGEST = 256


class Described(Struct, frozen=True):
    """A model's `displayName` and `vendor`, or the `modelId` behind an endpoint."""

    displayName: str | None = None  # noqa: N815 - Oracle's name
    vendor: str | None = None
    modelId: str | None = None  # noqa: N815 - Oracle's name


_DESCRIBED = msgspec.json.Decoder(Described)


def question(model: str) -> Call | None:
    """The call that asks about an OCID; None where it is none of a model or of an endpoint."""
    if len(model) > _LONGEST or not all(char.isalnum() or char in "._-" for char in model) or not model.isascii():
        return None
    if model.startswith(_MODEL):
        return Call("GET", f"/20231130/models/{model}", _HEADERS)
    return Call("GET", f"/20231130/endpoints/{model}", _HEADERS) if model.startswith(_ENDPOINT) else None


def read(body: bytes) -> Telling | str | None:
    """How the model is told, or the model to ask about next; None where it is not said."""
    try:
        said = _DESCRIBED.decode(body)
    except (json.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    told = by_name(said.displayName or "")
    if told is not None:
        return told
    if said.vendor:
        return Telling("COHERE" if said.vendor.lower() == "cohere" else "GENERIC")
    if said.modelId:
        return by_name(said.modelId) or said.modelId
    return None
