"""What a provider of this dialect says it has."""

import msgspec
from msgspec import Struct


class _Named(Struct, frozen=True):
    id: str


class _List(Struct, frozen=True):
    data: list[_Named]


_LIST = msgspec.json.Decoder(_List)


def read_list(body: bytes) -> list[str]:
    """The models of a list. Raises DecodeError."""
    return [named.id for named in _LIST.decode(body).data]
