"""Which names a provider knows as its own models': pure, from its row and what it lists."""

import re

from foz.providers.row import ProviderRow

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(:[A-Za-z0-9-]{1,64})?")
_LATEST = ":latest"


def known(row: ProviderRow, name: str, listed: frozenset[str]) -> str | None:
    """What the provider calls the model of this name; None where it knows none."""
    if name in listed:
        return name
    if row.knows == "org/name" and _HUB_ID.fullmatch(name):
        return name
    if row.knows == "name:latest" and name + _LATEST in listed:
        return name + _LATEST
    return None
