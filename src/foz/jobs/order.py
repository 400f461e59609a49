"""
What a job was asked, as it is kept: in the words in which it was asked, so that its answer is in them too, and so that
what was accepted by one version of Foz is understood by the next.

Keys are not kept: who asked stands in the job.
"""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from foz.canon.fault import Bug, Fault
from foz.canon.job import Job
from foz.canon.request import Ask, Mode, Request
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.ports.skin import OPERATIONS, Skin, Visit
from foz.ports.turn import Duty, Turn
from foz.wire.http import Call, Headers

_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"api-key"})


class Order(Struct, frozen=True, array_like=True):
    """One request of one skin."""

    skin: str
    method: str
    path: str
    """The route's, with its parameters' names."""
    model: str
    rest: tuple[str, ...]
    query: str
    headers: Headers
    body: bytes
    request_id: str


_ORDER = msgspec.msgpack.Decoder(Order)


def packed(visit: Visit) -> bytes:
    """A request as bytes."""
    call = visit.call
    kept = tuple(header for header in call.headers if header[0] not in _SECRET)
    order = Order(
        visit.route.skin, call.method, call.path, visit.model, visit.rest, call.query, kept, call.body, visit.request_id
    )
    return msgspec.msgpack.encode(order)


def digest(request: Request, mode: Mode, skin: str) -> bytes:
    """
    Of what is asked, in our words: however the same is written, it is the same. In another dialect it is not: its job
    is known there alone.
    """
    return hashlib.sha256(f"{mode.value}\0{skin}\0".encode() + msgspec.json.encode(request)).digest()


def turn_of(data: bytes, skins: Mapping[str, Skin], job: Job, id: bytes) -> tuple[Turn, "Witness"]:
    """The request again, as a job's; `id` is its entry's. Raises Bug where no route knows it any more."""
    order = _ORDER.decode(data)
    skin = skins.get(order.skin)
    routes = () if skin is None else skin.routes
    route = next((one for one in routes if (one.method, one.path) == (order.method, order.path)), None)
    if skin is None or route is None:
        raise Bug(f"This Foz does not answer {order.method} {order.path}, which this job was asked by.")
    call = Call(order.method, order.path, order.headers, order.body, order.query)
    visit = Visit(route, call, order.request_id, order.model, order.rest)
    witness = Witness(skin.codec(visit))
    turn = Turn(
        skin=skin,
        operation=OPERATIONS[route.action],
        codec=witness,
        body=order.body,
        headers=order.headers,
        principal=job.principal,
        attribution=skin.attribution(visit),
        request_id=order.request_id,
        id=id,
        duty=Duty(job.id.hex(), job.lane),
    )
    return turn, witness


class Witness:
    """A codec that remembers the fault by which a stream ended: it goes into the job, not into its log."""

    def __init__(self, inner: ServerCodec) -> None:
        self._inner = inner
        self.fault: Fault | None = None

    def read(self, body: bytes) -> Ask:
        """As the skin reads it."""
        return self._inner.read(body)

    def decode_request(self, body: bytes) -> Request:
        """As the skin does."""
        return self._inner.decode_request(body)

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """As the skin does."""
        return self._inner.encode_response(answer, request, model)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """As the skin does."""
        return self._inner.encoder(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """Nothing; it is remembered."""
        self.fault = fault
        return b""
