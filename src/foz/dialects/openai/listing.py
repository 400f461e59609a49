"""What a provider of this dialect says it has."""

import msgspec
from msgspec import Struct


class _Named(Struct, frozen=True):
    id: str


class _List(Struct, frozen=True):
    """As most say it; Together gives the bare list, Ollama null where it has none."""

    data: list[_Named] | None = None


_LIST = msgspec.json.Decoder(_List | list[_Named])


def read_list(body: bytes) -> list[str]:
    """The models of a list, as every provider of the catalog writes one. Raises DecodeError."""
    said = _LIST.decode(body)
    return [named.id for named in (said if isinstance(said, list) else said.data or [])]
