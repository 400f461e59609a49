"""
OpenAI's shapes under a name in the path: `/genai/{model}/v1/...`. The path's model is meant, whatever the body says;
but of embeddings the body may name another of Oracle's models, which is then asked for in the region and compartment of
the path's.
"""

import re

import msgspec
from msgspec import structs
from typing_extensions import override

from foz.canon.fault import BadRequest, Fault
from foz.canon.request import Ask, Request
from foz.dialects.openai.fields import decode, invalid, with_model
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.skins.oci_proxy import forms
from foz.skins.oci_proxy.faults import encode_fault_event
from foz.skins.oci_proxy.names import Kind, Named, Names, known
from foz.wire.multipart import is_form

_MESSAGES = msgspec.json.Decoder(list[dict[str, object]])


class _Model(msgspec.Struct):
    model: str | None = None


_MODEL = msgspec.json.Decoder(_Model)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}")
"""What an OCID, or a vendor's name of a model, can be."""


class PathCodec:
    """One request to the model of its path. Implements `ports.codec.ServerCodec`."""

    def __init__(
        self, inner: ServerCodec, names: Names, model: str, wanted: Kind | None, content_type: bytes | None = None
    ) -> None:
        self._inner = inner
        self._names = names
        self._model = model
        self._wanted = wanted
        self._content_type = content_type
        self._named: bytes | None = None
        self._shown = model
        """What the answer calls it."""

    def _body(self, body: bytes) -> bytes:
        if self._named is None:
            found = known(self._names, self._model, self._wanted)
            if is_form(self._content_type):
                body = _of_form(body, self._content_type)
            self._named = with_model(body, self._asked(body, found))
        return self._named

    def _asked(self, body: bytes, found: Named) -> str:
        """The public name of what is asked."""
        del body
        return found.name

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        return self._inner.read(self._body(body))

    def decode_request(self, body: bytes) -> Request:
        """The whole request in our words."""
        return self._inner.decode_request(self._body(body))

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body, under the name that was asked."""
        del model
        return self._inner.encode_response(answer, request, self._shown)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream."""
        del model
        return self._inner.encoder(request, self._shown)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


class EmbeddingCodec(PathCodec):
    """Vectors: the body's model is one of Oracle's, asked of the provider of the path's."""

    @override
    def _asked(self, body: bytes, found: Named) -> str:
        said = decode(_MODEL, body).model
        if not said or said == found.name or not found.provider:
            return found.name
        self._shown = said
        row = self._names.find(said)
        if row is not None and row.provider:
            return known(self._names, said, "model").name
        if not _ID.fullmatch(said):
            raise invalid("model", "expected an OCID or a name of one of Oracle's models.")
        return f"{found.provider}/{said}"


def _of_form(body: bytes, content_type: bytes | None) -> bytes:
    """The JSON body that a form stands for."""
    form = forms.read(body, content_type)
    if form.uploads:
        if "messages" not in form.fields:
            raise BadRequest("Files go with a message of the role 'user', and there is none.", field="messages")
        try:
            messages = _MESSAGES.decode(form.fields["messages"])
        except (msgspec.DecodeError, RecursionError):
            raise BadRequest("The field 'messages' must be a JSON array of messages.", field="messages") from None
        said = forms.with_files(messages, form.uploads)
        form = structs.replace(form, fields={**form.fields, "messages": msgspec.Raw(msgspec.json.encode(said))})
    return form.body
