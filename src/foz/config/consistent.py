"""
What no single key can say: names that must exist, and names that must not come twice.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from foz.canon.deployment import HERE
from foz.config.bind import ORACLES
from foz.config.lines import Path
from foz.config.refusal import closest
from foz.config.sections import Written
from foz.providers.catalog import catalog


class Contradiction(Struct, frozen=True):
    """Where two things cannot both be, and how so."""

    path: Path
    words: str


def _twice(kind: str, names: Sequence[str]) -> Iterator[Contradiction]:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            yield Contradiction((kind, index, "name"), f"found '{name}' a second time, expected each name once")
        seen[name] = index


def _all(written: Written) -> Iterator[Contradiction]:
    yield from _twice("provider", [row.name for row in written.provider])
    yield from _twice("model", [row.name for row in written.model])
    for index, own in enumerate(written.provider):
        if own.name not in catalog() and own.base_url is None and own.dialect not in ORACLES:
            hint = closest(own.name, tuple(catalog()))
            words = f"expected a URL: '{own.name}' is not in the catalog{hint}"
            yield Contradiction(("provider", index, "base_url"), words)
        known_row = catalog().get(own.name)
        dialect = own.dialect or (known_row.dialect if known_row else None)
        if dialect == "ollama" and own.base_url is not None and own.base_url.endswith("/v1"):
            words = (
                "expected the URL without /v1, where Ollama's own API begins; for the other one "
                'say dialect = "openai" and models = "/models"'
            )
            yield Contradiction(("provider", index, "base_url"), words)
    known = (*catalog(), *(row.name for row in written.provider), HERE)
    for index, model in enumerate(written.model):
        for place, target in enumerate(model.targets):
            if target.provider not in known:
                words = f"there is no provider '{target.provider}'{closest(target.provider, known)}"
                yield Contradiction(("model", index, "targets", place), words)
    for index, price in enumerate(written.price):
        if price.provider != "*" and price.provider not in known:
            words = f"there is no provider '{price.provider}'{closest(price.provider, known)}"
            yield Contradiction(("price", index, "provider"), words)


def contradiction(written: Written) -> Contradiction | None:
    """The first one, if any."""
    return next(_all(written), None)
