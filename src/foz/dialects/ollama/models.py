"""What an Ollama server has: the list of `/api/tags`."""

from foz.dialects.ollama.schema import TAGS

PATH = "/api/tags"


def read_tags(body: bytes) -> list[str]:
    """The names of its models, with their tags. Raises msgspec's DecodeError."""
    return [name for each in TAGS.decode(body).models or () if (name := each.name or each.model)]
