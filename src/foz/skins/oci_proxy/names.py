"""
What a name in a path is: a model or an agent. Who makes the skin knows; the sentences for what it is not are the API's.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct, structs

from foz.canon.fault import BadRequest, NotFound

Kind = Literal["model", "agent"]
Either = Literal["model", "agent", "either"]
SHOWN = 256


class Named(Struct, frozen=True):
    """What a name stands for."""

    name: str
    kind: Either = "model"
    """In test mode without a file every name is either."""
    provider: str = ""
    """Of a row of `llm_models.json`: whom it is asked of."""
    id: str = ""
    """Of such a row: its OCID there."""
    region: str = ""
    agent: str = ""
    """Of a name that is either: what it is called where an agent is wanted."""


class Names(Protocol):
    """All names that callers may write."""

    def find(self, name: str) -> Named | None:
        """What it is; None where it is nothing."""
        ...

    def rows(self) -> Sequence[Named]:
        """Those of `llm_models.json`."""
        ...


class AnyName:
    """Every name is whatever is wanted: for a reference without settings."""

    def find(self, name: str) -> Named | None:
        """Either."""
        return Named(name, "either")

    def rows(self) -> Sequence[Named]:
        """None."""
        return ()


def known(names: Names, name: str, wanted: Kind | None = None) -> Named:
    """What a name is. Raises NotFound; BadRequest where it is not of the kind that the path is for."""
    found = names.find(name)
    shown = name[:SHOWN]
    if found is None:
        raise NotFound(f"Modelo '{shown}' não encontrado no arquivo de configuração", field="model")
    if wanted is not None and found.kind not in {wanted, "either"}:
        article = "um agent" if wanted == "agent" else "um model"
        raise BadRequest(f"Modelo '{shown}' não é {article}. Use type='{wanted}' no JSON.", field="model")
    if wanted == "agent" and found.agent:
        return structs.replace(found, name=found.agent)
    return found
