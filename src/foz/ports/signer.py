"""Keys that are never sent, but prove each call: a signature over its head and body."""

from typing import Protocol

from foz.wire.http import Call, Headers


class Signer(Protocol):
    """Signs calls to one provider. Pure: the time is given."""

    def sign(self, call: Call, base_url: str, now: int) -> Headers:
        """The headers that prove this call, made to `base_url` + `call.path`, at `now` (UTC milliseconds)."""
        ...
