"""One request as it came through a door, before the core has looked at it."""

from msgspec import Struct

from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Attribution, Operation
from foz.ports.codec import ServerCodec, Shortcut
from foz.ports.skin import Skin
from foz.wire.http import Headers


class Duty(Struct, frozen=True):
    """The job that a request is run for, and its lane: only targets of that placement are asked."""

    job: str
    lane: Placement


class Turn(Struct, frozen=True):
    """Who asks what, through which skin. `headers` are kept for providers that take some of them along."""

    skin: Skin
    operation: Operation
    codec: ServerCodec
    body: bytes
    headers: Headers
    principal: Principal
    attribution: Attribution
    request_id: str
    """The caller's own, or the text of `id`."""
    id: bytes
    """The entry's id, a UUIDv7."""
    duty: Duty | None = None
    shortcut: Shortcut | None = None
    """Of a call that is answered whole."""
