"""Who may, where no key is configured, and which bodies are taken."""

import pytest

from foz.canon.fault import BadRequest, Forbidden
from foz.canon.principal import LOCAL_ADMIN, Principal
from foz.ports.skin import FORM, JSON
from foz.serve.http.guard import Guard, check_body, deferred
from foz.skins.openai import ROUTES
from foz.wire.http import Call, Headers

HOST: Headers = ((b"host", b"127.0.0.1:8000"),)
A_FORM: Headers = ((b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"9"))


class NoKeys:
    """Implements `ports.keys.Keyring`."""

    open = True

    def find(self, key: str) -> Principal | None:
        return None


GUARD = Guard(NoKeys(), origins=frozenset({"https://our.example"}))


def _admit(*headers: tuple[bytes, bytes], method: str = "POST") -> Principal:
    return GUARD.admit(None, Call(method, "/x", (*HOST, *headers)), "openai")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"origin", b"http://localhost:3000"),),
        ((b"origin", b"https://our.example"),),
        ((b"sec-fetch-site", b"same-origin"),),
        ((b"sec-fetch-site", b"none"),),
        ((b"referer", b"http://127.0.0.1:8000/docs"),),
    ],
)
def test_a_form_from_here_is_taken(headers: Headers) -> None:
    """Without keys a form is let in from a program, from a page of this machine, and from origins that are allowed."""
    assert _admit(*A_FORM, *headers) is LOCAL_ADMIN


@pytest.mark.parametrize(
    "header",
    [
        (b"origin", b"https://evil.example"),
        (b"origin", b"null"),
        (b"origin", b"http://localhost.evil.example"),
        (b"sec-fetch-site", b"cross-site"),
        (b"referer", b"https://evil.example/localhost"),
        (b"referer", b"http://localhost.evil.example/"),
        (b"referer", b"http://127.0.0.1:8000@evil.example/"),
    ],
)
def test_a_page_of_another_site_cannot_send_a_form(header: tuple[bytes, bytes]) -> None:
    """Whatever way a browser tells of the page, a form (which needs no preflight) of another site is Forbidden."""
    for headers in (A_FORM, ((b"content-type", b"text/plain"),), ()):
        with pytest.raises(Forbidden):
            _admit(*headers, header)


def test_a_link_from_elsewhere_may_be_followed() -> None:
    """What changes nothing is answered wherever the link to it stood."""
    assert _admit((b"sec-fetch-site", b"cross-site"), (b"referer", b"https://x.example/"), method="GET") is LOCAL_ADMIN


def test_a_body_says_what_it_is() -> None:
    """Without keys a body without a type is 415; a POST without a body needs none."""
    for headers in (((b"content-length", b"2"),), ((b"transfer-encoding", b"chunked"),)):
        with pytest.raises(BadRequest) as caught:
            _admit(*headers)
        assert caught.value.status == 415
    assert _admit((b"content-length", b"0")) is _admit() is LOCAL_ADMIN


@pytest.mark.parametrize(
    ("kind", "accepts"),
    [
        (b"application/json", (JSON,)),
        (b"application/json; charset=utf-8", (JSON, FORM)),
        (b"application/vnd.x+json", (JSON,)),
        (b"multipart/form-data; boundary=abc", (JSON, FORM)),
        (b"Multipart/Form-Data;boundary=abc", (FORM,)),
        (None, (JSON,)),
    ],
)
def test_an_accepted_body_is_taken(kind: bytes | None, accepts: tuple[bytes, ...]) -> None:
    """JSON in UTF-8 and forms are taken where the route accepts them; without a type it is the first."""
    check_body(Call("POST", "/x", () if kind is None else ((b"content-type", kind),)), accepts)


@pytest.mark.parametrize(
    ("kind", "accepts"),
    [
        (b"multipart/form-data; boundary=x", (JSON,)),
        (b"application/json", (FORM,)),
        (b"application/json; charset=latin-1", (JSON, FORM)),
        (b"text/plain", (JSON, FORM)),
        (b"", (JSON,)),
    ],
)
def test_another_body_is_refused(kind: bytes, accepts: tuple[bytes, ...]) -> None:
    """Any other type is 415, and the fault says each type that would be taken."""
    with pytest.raises(BadRequest) as caught:
        check_body(Call("POST", "/x", ((b"content-type", kind),)), accepts)

    assert caught.value.status == 415
    assert all(one.decode() in caught.value.message for one in accepts)


def test_the_headers_for_pages_are_the_same_on_both_planes() -> None:
    """An allowed origin may read answers, and a preflight says methods and headers; others get nothing."""
    ours = Call("OPTIONS", "/x", (*HOST, (b"origin", b"https://our.example")))

    assert dict(GUARD.cors_headers(ours))[b"access-control-allow-origin"] == b"https://our.example"
    assert b"access-control-allow-methods" not in dict(GUARD.cors_headers(ours))
    assert dict(GUARD.cors_headers(ours, b"GET, OPTIONS"))[b"access-control-allow-methods"] == b"GET, OPTIONS"
    assert b"allow" not in dict(GUARD.cors_headers(ours, b"GET, OPTIONS"))
    assert GUARD.cors_headers(Call("OPTIONS", "/x", ((b"origin", b"https://evil.example"),)), b"GET") == ()


@pytest.mark.parametrize(
    ("wishes", "later"),
    [
        (b"respond-async", True),
        (b"wait=10, Respond-Async", True),
        (b"respond-async; wait=10", True),
        (b"return=minimal", False),
        (b"respond-async-not", False),
    ],
)
def test_who_prefers_so_gets_a_job(wishes: bytes, later: bool) -> None:
    """`Prefer` is read as RFC 7240 has it: several preferences, each with parameters, whatever its letters' case."""
    route = next(route for route in ROUTES if route.accepted is not None)
    assert deferred(route, Call("POST", route.path, ((b"prefer", wishes),))) is later
