"""How a key is shown to a provider: pure, from a row and a key to the headers of each call."""

from foz.providers.row import ProviderRow
from foz.wire.http import Headers


def signed(row: ProviderRow, key: str | None) -> Headers:
    """The headers that bear the key; none where there is none to show."""
    if key is None or row.auth == "none":
        return ()
    if row.auth == "header":
        return ((row.auth_header.lower().encode("ascii"), key.encode("ascii")),)
    return ((b"authorization", b"Bearer " + key.encode("ascii")),)
