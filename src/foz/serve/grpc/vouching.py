"""
Whose certificate a client has shown, and for which key it stands.

Only certificates that `[grpc] client_ca` vouches for come so far: gRPC has verified them. A certificate has several
names; the fingerprint, which names one certificate and no other, is asked first.
"""

import hashlib
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from foz.canon.fault import Unauthenticated
from foz.canon.principal import Principal

FINGERPRINT = "sha256:"
Shown = Mapping[str, Iterable[bytes]]
"""What gRPC says of a connection (`auth_context`)."""


class Vouching:
    """Certificates that stand for keys: the ids of these by the names of those."""

    def __init__(self, clients: Mapping[str, str], known: Callable[[str], Principal | None]) -> None:
        self._clients = clients
        self._known = known

    def __bool__(self) -> bool:
        return bool(self._clients)

    def find(self, shown: Shown) -> Principal | None:
        """Who shows this; None where it stands for no key. Raises Unauthenticated where that key is dead."""
        id = next((self._clients[name] for name in _names(shown) if name in self._clients), None)
        if id is None:
            return None
        principal = self._known(id)
        if principal is None:
            raise Unauthenticated(
                f"The key '{id}' that your certificate stands for is not known here, or was revoked.",
                vendor_code="invalid_api_key",
            )
        return principal


def _names(shown: Shown) -> Iterator[str]:
    for pem in shown.get("x509_pem_cert", ()):
        yield _fingerprint(pem)
    for kind in ("x509_subject_alternative_name", "x509_common_name"):
        names = (name.decode("utf-8", "replace") for name in shown.get(kind, ()))
        yield from (name for name in names if not name.startswith(FINGERPRINT))


@lru_cache(maxsize=1024)
def _fingerprint(pem: bytes) -> str:
    return f"{FINGERPRINT}{hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode('ascii').strip())).hexdigest()}"
