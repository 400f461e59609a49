"""Where Oracle's services are: one host for each service and region, under the domain of the realm."""

from collections.abc import Callable
from urllib.parse import urlsplit

from foz.providers.auth.oci_signing import OciKey, date_of, sign
from foz.wire.http import Call, Headers

INFERENCE = "inference.generativeai"
MANAGEMENT = "generativeai"
AGENTS = "agent-runtime.generativeai"
_REALMS = {
    "oc1": "oraclecloud.com",
    "oc2": "oraclegovcloud.com",
    "oc3": "oraclegovcloud.com",
    "oc4": "oraclegovcloud.uk",
}


def realm_of(ocid: str) -> str:
    """The realm that an OCID names: its third field."""
    fields = ocid.split(".")
    return fields[2] if len(fields) > 2 and fields[2].startswith("oc") else "oc1"  # noqa: PLR2004 - the third


def endpoint(service: str, region: str, realm: str) -> str:
    """The URL of a service."""
    number = realm.removeprefix("oc")
    domain = _REALMS.get(realm) or (f"oraclecloud{number}.com" if number.isdigit() else _REALMS["oc1"])
    return f"https://{service}.{region}.oci.{domain}"


def beside(base_url: str, service: str, other: str) -> str:
    """The same region's other service; a host of one's own serves both."""
    return base_url.replace(f"//{service}.", f"//{other}.", 1)


class OciSigner:
    """Implements `ports.signer.Signer`; `key` gives the key of the moment, for tokens are renewed."""

    def __init__(self, key: Callable[[], OciKey]) -> None:
        self._key = key

    def sign(self, call: Call, base_url: str, now: int) -> Headers:
        """The headers that prove this call."""
        url = urlsplit(base_url)
        target = f"{url.path.rstrip('/')}/{call.path.lstrip('/')}"
        if call.query:
            target += f"?{call.query}"
        return sign(self._key(), call.method, target, url.netloc, call.body, date_of(now))
