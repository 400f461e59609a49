"""
Who is at the door: pure decisions over a request's head.

While no key is configured, callers from this machine are administrator; then `Host`, `Origin` and the content type
are checked, so that a page in somebody's browser cannot act for them (DNS rebinding, cross-site posts). Where a browser
leaves `Origin` out, its other words for the page that it acts for are: for forms need no preflight.
"""

import re

from msgspec import Struct

from foz.canon.fault import BadRequest, Forbidden, Unauthenticated
from foz.canon.principal import LOCAL_ADMIN, Principal
from foz.ports.keys import Keyring
from foz.ports.skin import JSON, Route
from foz.wire.http import Call, Headers

_LOOPBACK_HOST = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_LOOPBACK_ORIGIN = re.compile(rb"https?://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_JSON = re.compile(
    rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;(?:(?!charset)[^;])*)*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?",
    re.IGNORECASE,
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({b"same-origin", b"same-site", b"none"})
_EXPOSED = (
    b"access-control-expose-headers: "
    b"x-request-id, request-id, x-foz-cache, retry-after, retry-after-ms, x-should-retry\r\n"
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

ANYONE = Principal(id="anonymous")
"""Who calls a skin that is open by settings without a key."""


class Guard(Struct, frozen=True):
    """The rules of one process. `origins` are those that `[cors]` lets in; `*` is all."""

    keyring: Keyring
    open_skins: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def admit(self, key: str | None, call: Call, skin: str) -> Principal:
        """The principal behind a request. Raises Unauthenticated, Forbidden, BadRequest."""
        if self.keyring.open:
            self._local(call)
            return LOCAL_ADMIN
        if key is None:
            if skin in self.open_skins:
                return ANYONE
            raise Unauthenticated(
                "No API key was given. Send one as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'; "
                "an operator makes keys with 'foz keys create'.",
            )
        principal = self.keyring.find(key)
        if principal is None:
            raise Unauthenticated("The API key is not known here, or was revoked.", vendor_code="invalid_api_key")
        return principal

    def _local(self, call: Call) -> None:
        host = call.header(b"host")
        if host is None or not _LOOPBACK_HOST.fullmatch(host):
            raise Forbidden(
                "Without any key configured, Foz answers only requests for 'localhost' or a loopback address; "
                "make a key with 'foz keys create' to serve other names."
            )
        origin = call.header(b"origin")
        if _hidden(call) if origin is None else not (_LOOPBACK_ORIGIN.fullmatch(origin) or self._lets_in(origin)):
            raise Forbidden(
                "Without any key configured, Foz refuses requests that a web page of another origin makes; "
                "allow the origin in [cors] origins, or make a key."
            )
        if call.method == "POST" and call.header(b"content-type") is None and _has_body(call):
            raise BadRequest("The request has no content type; send 'Content-Type: application/json'.", status=415)

    def cors(self, origin: bytes | None) -> bytes:
        """The header lines that let a page of this origin read an answer; none where it may not."""
        if origin is None or not self.origins or not self._lets_in(origin):
            return b""
        return b"access-control-allow-origin: %s\r\nvary: origin\r\n%s" % (origin, _EXPOSED)

    def preflight(self, headers: Headers, allow: bytes) -> bytes:
        """The header lines of an answer to OPTIONS: what the path allows, and what a page may send."""
        named = dict(headers)
        lines = self.cors(named.get(b"origin"))
        if lines:
            wanted = named.get(b"access-control-request-headers", b"authorization, content-type")
            lines += b"access-control-allow-methods: %s\r\naccess-control-max-age: 600\r\n" % allow
            lines += b"access-control-allow-headers: %s\r\n" % wanted
        return b"allow: %s\r\n%s" % (allow, lines)

    def cors_headers(self, call: Call, allow: bytes = b"") -> Headers:
        """The same as values: of an answer, or, where methods are given, of an answer to OPTIONS."""
        lines = self.preflight(call.headers, allow) if allow else self.cors(call.header(b"origin"))
        named = (line.partition(b": ")[::2] for line in lines.split(b"\r\n") if line)
        return tuple(header for header in named if header[0] != b"allow")

    def _lets_in(self, origin: bytes) -> bool:
        return "*" in self.origins or origin.decode("latin-1") in self.origins


def _has_body(call: Call) -> bool:
    return call.header(b"content-length") not in {None, b"0"} or call.header(b"transfer-encoding") is not None


def _hidden(call: Call) -> bool:
    """Whether a page of another site changes something here and the browser does not name its origin."""
    if call.method in _SAFE:
        return False
    site, referrer = call.header(b"sec-fetch-site"), call.header(b"referer")
    if site is not None:
        return site not in _OWN_SITE
    return referrer is not None and not _LOOPBACK_ORIGIN.fullmatch(b"/".join(referrer.split(b"/", 3)[:3]))


def check_body(call: Call, accepts: tuple[bytes, ...]) -> None:
    """Raises BadRequest (415) where a body says that it is something else than what is accepted, plain and in UTF-8."""
    encoding = call.header(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        shown = encoding.decode("latin-1")[:100]
        raise BadRequest(f"The content encoding '{shown}' is not supported; send the body as it is.", status=415)
    content_type = call.header(b"content-type")
    if content_type is None or content_type == accepts[0]:
        return
    if JSON in accepts and _JSON.fullmatch(content_type):
        return
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != JSON and kind in accepts:
        return
    shown = content_type.decode("latin-1")[:100]
    wanted = " or ".join(f"'{one.decode()}'" for one in accepts)
    in_utf8 = ", in UTF-8" if JSON in accepts else ""
    raise BadRequest(f"The content type '{shown}' is not supported; send {wanted}{in_utf8}.", status=415)


def request_id(call: Call) -> str | None:
    """The caller's own request id, where it is fit to be echoed and logged."""
    given = call.header(b"x-request-id")
    return given.decode("ascii") if given is not None and _REQUEST_ID.fullmatch(given) else None


def deferred(route: Route, call: Call) -> bool:
    """Whether this request becomes a job (RFC 7240)."""
    if route.deferred:
        return True
    wishes = call.header(b"prefer")
    if wishes is None:
        return False
    return any(wish.partition(b";")[0].strip() == b"respond-async" for wish in wishes.lower().split(b","))
