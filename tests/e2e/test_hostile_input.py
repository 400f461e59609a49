"""
Oversized, malformed and hostile input on each path that Foz has: that path's own error, never a 5xx, nothing upstream.

The paths are those of the application itself, all skins and all that they have on the control plane: one that is added
is attacked as well, and fails a test until somebody says what a good body of it looks like.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from foz.ports.skin import FORM
from foz.serve.http.routes import PARAMETER
from foz.testing.oracle.process import make_account, start_oracle
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.testing.raw import RawConnection, request
from foz.wire.http import Headers, Reply
from tests.e2e.genai import GPT5, ROWS, SETTINGS, write_files
from tests.e2e.hostility import (
    BAD_FORMS,
    BROKEN,
    CUT,
    GONE,
    HOSTILE_NAMES,
    NAMED_FILE,
    QUERIES,
    VALUES,
    Place,
    Walk,
    encode,
    places,
    put,
)
from tests.e2e.operations import (
    BODILESS,
    FACES,
    MAY_BE_BARE,
    NAMED,
    OPERATIONS,
    OWN,
    READ,
    TOLD,
    TREE,
    UNCOUNTED,
    UNLISTED,
    UPLOADS,
    Operation,
)

KEY = "sk-hostile-0123456789"
BEARER: Headers = ((b"authorization", f"Bearer {KEY}".encode()),)
MOST = 256 * 1024
CONFIG = (
    SETTINGS.replace("4 MiB", "256 KiB")
    + """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{far}/v1"
models = ""

[[provider]]
name = "huggingface"
base_url = "http://127.0.0.1:{face}"

[[model]]
name = "delta"
targets = ["far/hidden"]

[nemotron]
model = "delta"

[local]  # nobody is there
hub = "http://127.0.0.1:1"
ollama_registry = "http://127.0.0.1:1"

[jobs]  # they wait, so that no upstream hears of one while something else is refused
gpu_workers = 0
api_workers = 0
"""
)


class House:
    """A gateway before four upstreams, and what was wrong with its answers."""

    def __init__(self, gateway: Served, upstreams: Sequence[Upstream]) -> None:
        self.gateway = gateway
        self._logs = [one.folder / "seen.log" for one in upstreams]
        self._connection: RawConnection | None = None
        self._errors = {
            name: OAS31Validator({"$ref": f"#/components/schemas/{name}.Error", "components": TREE["components"]})
            for name in (face.skin.name for face in FACES)
        }
        self.complaints: list[str] = []

    def heard(self) -> int:
        """How much the upstreams have heard, by the length of their logs."""
        return sum(log.stat().st_size for log in self._logs)

    def _reply(self, sent: bytes, *, bodiless: bool) -> Reply:
        if self._connection is None:
            self._connection = self.gateway.connect()
        self._connection.send(sent)
        reply = self._connection.reply(bodiless=bodiless)
        if reply.header(b"connection") == b"close":
            self.hang_up()
        return reply

    def hang_up(self) -> None:
        """The next call is on a connection of its own."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def attack(self, one: Operation, sent: bytes, what: object, *statuses: int, lawful: bool = False) -> int:
        """Sends it, and notes whatever is wrong with the answer. Without statuses any of 4xx is right."""
        before = self.heard()
        try:
            reply = self._reply(sent, bodiless=False)
        except (EOFError, OSError) as error:
            self.hang_up()
            self.complaints.append(f"{one}: {str(what)[:200]}: {error!r}")
            return 0
        wrong = self._wrong(one, reply, statuses, lawful=lawful)
        if reply.status >= 400 and self.heard() != before:
            wrong.append("an upstream heard of it")
        self.complaints += [f"{one}: {str(what)[:200]}: {why}: {reply.status} {reply.body[:300]!r}" for why in wrong]
        return reply.status

    def _wrong(self, one: Operation, reply: Reply, statuses: tuple[int, ...], *, lawful: bool) -> list[str]:
        if lawful and 200 <= reply.status < 300:
            return []
        wrong = []
        if not 400 <= reply.status < 500:
            wrong.append("not refused")
        if statuses and reply.status not in statuses:
            wrong.append(f"expected {statuses}")
        if reply.header(b"content-type") != b"application/json":
            wrong.append(f"of the type {reply.header(b'content-type')!r}")
        if sum(name == b"x-request-id" for name, _ in reply.headers) != 1:
            wrong.append("not one request id")
        try:
            told = msgspec.json.decode(reply.body)
        except msgspec.DecodeError as error:
            return [*wrong, str(error)]
        skins = {other.skin for other in OPERATIONS if (other.method, other.path) == (one.method, one.path)}
        complaints = [[error.message for error in self._errors[skin].iter_errors(told)] for skin in skins]
        return wrong + min(complaints, key=len)  # who shares a path with others may be refused in their words

    def post(self, one: Operation, body: bytes, what: object, *statuses: int, lawful: bool = False) -> int:
        """A POST of these bytes."""
        return self.attack(one, request("POST", one.at(), body, BEARER), what, *statuses, lawful=lawful)

    def head(self, one: Operation, name: str, value: str, *statuses: int, body: bytes | None = None) -> int:
        """A POST of a good body, or of another, with a hostile header."""
        sent = encode(one.sample) if body is None else body
        named = (*BEARER, (name.encode(), value.encode("latin-1")))
        return self.attack(one, request("POST", one.at(), sent, named), (name, value), *statuses)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    account = make_account(tmp_path_factory.mktemp("account"))
    folders = [tmp_path_factory.mktemp(name) for name in ("oracle", "far", "face", "ollama")]
    with (
        start_oracle(folders[0], account, {GPT5: "openai.gpt-5"}) as oracle,
        start_upstream(folders[1]) as far,
        start_upstream(folders[2], program="foz.testing.huggingface") as face,
        start_upstream(folders[3], program="foz.testing.ollama") as ollama,
    ):
        folder = tmp_path_factory.mktemp("gateway")
        write_files(folder, account, {name: row for name, row in ROWS.items() if name in {"gpt5", "my-agent"}})
        said = {
            "OCI_GENAI_ENDPOINT": oracle.url,
            "OCI_AGENT_ENDPOINT": oracle.url,
            "OLLAMA_HOST": ollama.url,
            "HUGGINGFACE_API_KEY": "hf_nobodys",
            "API_KEY": KEY,
        }
        config = CONFIG.replace("{far}", str(far.port)).replace("{face}", str(face.port))
        with start_gateway(folder, config=config, environment=said) as served:
            house = House(served, (oracle, far, face, ollama))
            served.wait_for(
                lambda: all(one.seen()["requests"] for one in (face, ollama)),
                "the providers' lists",
            )
            yield house
            house.hang_up()
            assert "Traceback" not in served.stderr, served.said()


@pytest.fixture
def house(gateway: House) -> Iterator[House]:
    """The gateway; whatever is noted in a test fails it."""
    gateway.complaints.clear()
    yield gateway
    assert gateway.complaints == [], "\n".join(gateway.complaints[:40])


def test_every_path_is_attacked(gateway: House) -> None:
    """The paths of this test are those that the served gateway says it has, each POST with a good body."""
    with gateway.gateway.connect() as connection:
        tree = msgspec.json.decode(connection.call("GET", "/openapi.json").body)
    served = {(method.upper(), path) for path, methods in tree["paths"].items() for method in methods}

    assert {(one.method, one.path) for one in OPERATIONS if one.path not in UNLISTED} == served
    assert [
        str(one)
        for one in OPERATIONS
        if one.method not in {"GET", "DELETE"} and one.path not in BODILESS and not one.sample
    ] == []


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_a_good_body_is_answered(gateway: House, one: Operation) -> None:
    """What the attacks are made from is answered itself: they do not fail for another reason than their own."""
    with gateway.gateway.connect() as connection:
        reply = connection.call("POST", one.at(), encode(one.sample), BEARER)

    assert reply.status == one.well, reply.body


# Bodies.


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_a_body_that_is_no_object_is_refused(house: House, one: Operation) -> None:
    """A body that is missing, no JSON, no object, too deep or cut off gets the path's own 4xx."""
    good = encode(one.sample)
    for what, body in BROKEN.items():
        house.post(one, body, what, lawful=what == "nothing but blanks" and one.path in MAY_BE_BARE)
    house.post(one, b"", "no body", lawful=one.path in MAY_BE_BARE)
    for what, body in {
        "cut off": good[:-1],
        "trailing": good + b"}",
        "twice": good + good,
        "a mark": b"\xff" + good,
    }.items():
        house.post(one, body, what)


@pytest.mark.parametrize("one", [*TOLD, *(one for one in UPLOADS if not one.takes_json)], ids=str)
def test_a_body_that_is_too_large_is_refused(house: House, one: Operation) -> None:
    """A body beyond the limit gets the path's own 413, announced or not, and 411 or 400 where its length is a lie."""
    kind = b"application/json" if one.takes_json else FORM + b"; boundary=cut"
    head = (*BEARER, (b"content-type", kind))
    body = b'{"x": "' + b"x" * MOST + b'"}'
    if not one.takes_json:
        body = b'--cut\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + body
    house.attack(one, request("POST", one.at(), body, head), "announced", 413)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    house.attack(one, request("POST", one.at(), chunked, (*head, (b"transfer-encoding", b"chunked"))), "chunked", 413)
    for length in (b"99999999999999999999", b"-1", b"0x10", b"5, 6"):
        house.hang_up()
        house.attack(one, request("POST", one.at(), b"{}", (*head, (b"content-length", length))), length, 400, 413)
        house.hang_up()


@pytest.mark.parametrize("one", [*TOLD, *UPLOADS], ids=str)
def test_a_body_of_another_kind_is_refused(house: House, one: Operation) -> None:
    """A content type or encoding that a path does not take is 415, or 400 where it names no boundary."""
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "json", "\xff", "," * 500,
                 "application/json; charset=utf-16", "multipart/mixed; boundary=a", "application/jsonx"):  # fmt: skip
        if kind.encode("latin-1") not in one.accepts:
            house.head(one, "content-type", kind, 415)
    for packed in ("gzip", "br", "\xff", "identity, gzip"):
        house.head(one, "content-encoding", packed, 415)
    if FORM not in one.accepts:
        house.head(one, "content-type", "multipart/form-data; boundary=a", 415)
    if not one.takes_json:
        house.head(one, "content-type", "application/json", 415)


@pytest.mark.parametrize("one", UPLOADS, ids=str)
def test_a_form_that_is_none_is_refused(house: House, one: Operation) -> None:
    """A form that is broken, endless, or brings what nobody reads gets the path's own 400, and nothing is kept."""
    for what, body in BAD_FORMS.items():
        if what == "messages that are none" and not one.takes_json:
            continue  # a field that a file may have beside it
        head = (*BEARER, (b"content-type", FORM + b"; boundary=cut"))
        house.attack(one, request("POST", one.at(), body, head), what, 400)
    for boundary in (b"", b'""', b"a" * 300, b"\x01", b'"a', b"cut; boundary=other"):
        head = (*BEARER, (b"content-type", FORM + b"; boundary=" + boundary))
        body = CUT + NAMED_FILE + b"\r\nx\r\n--other--\r\n"
        house.attack(one, request("POST", one.at(), body, head), boundary, 400)
    assert list((house.gateway.folder / "data" / "files").iterdir()) == []


def _attacked(one: Operation) -> Iterator[tuple[Place, Any]]:
    """Each place of the schema and of the example, with a good body that has it."""
    found = [(place, one.sample) for place in places(one.sample)]
    if one.schema:
        found += Walk(TREE).bodies(TREE["components"]["schemas"][f"{one.skin}.{one.schema}"], one.sample)
    yield from {(place, encode(body)): (place, body) for place, body in found}.values()


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_a_hostile_value_anywhere_is_refused_or_lawful(house: House, one: Operation) -> None:
    """Each hostile value at each place of a body is taken, or refused in the path's own words and sent to nobody."""
    for place, body in _attacked(one):
        for value in VALUES:
            house.post(one, encode(put(body, place, value)), (place, value), lawful=True)


def _form(fields: dict[str, bytes]) -> bytes:
    parts = (b'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (k.encode(), v) for k, v in fields.items())
    return CUT + CUT.join(parts) + b"--cut--\r\n"


@pytest.mark.parametrize("one", [one for one in UPLOADS if one.takes_json], ids=str)
def test_a_hostile_value_in_a_form_is_refused_or_lawful(house: House, one: Operation) -> None:
    """Each hostile value as a field of a form, and in the body that a form's payload is, is as it is in JSON."""
    head = (*BEARER, (b"content-type", FORM + b"; boundary=cut"))
    good = {name: value.encode() if isinstance(value, str) else encode(value) for name, value in one.sample.items()}
    for value in VALUES:
        said = (
            value.encode("utf-8", "surrogatepass")
            if isinstance(value, str)
            else b""
            if value is GONE
            else encode(value)
        )
        for name in (*good, "stream", "temperature", "tools", "model", "unknown"):
            sent = request("POST", one.at(), _form({**good, name: said}), head)
            house.attack(one, sent, (name, value), lawful=True)
        for place in places(one.sample):
            sent = request("POST", one.at(), _form({"payload": encode(put(one.sample, place, value))}), head)
            house.attack(one, sent, ("payload", place, value), lawful=True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_anything_anywhere_is_refused_or_lawful(house: House, one: Operation) -> None:
    """Whatever JSON stands at any place of the example is taken, or refused in the path's own words."""

    @settings(max_examples=25, derandomize=True, database=None)
    @given(st.sampled_from([*places(one.sample), ("unknown",)]), ANYTHING)
    def attack(place: Place, value: object) -> None:
        body = encode({**one.sample, "unknown": value} if place == ("unknown",) else put(one.sample, place, value))
        house.post(one, body, body, lawful=True)

    attack()


# Paths, queries, headers.


@pytest.mark.parametrize("one", NAMED, ids=str)
def test_a_hostile_name_in_a_path_is_unknown(house: House, one: Operation) -> None:
    """A name in a path that is broken, too long, or tries to climb out of it is 400, 404 or 405 in the path's words."""
    body = encode(one.sample) if one.takes_json else b""
    for name in PARAMETER.findall(one.path):
        for hostile in HOSTILE_NAMES:
            sent = request(one.method, one.at(**{name: hostile}), body, BEARER)
            house.attack(one, sent, (name, hostile), 400, 404, 405, 415, 422)
        house.attack(one, request(one.method, one.at(**{name: "a" * 70_000}), body, BEARER), (name, "long"), 431)


RANGES = {"/api/v1/admin/dashboard": 1000, "/v1/files": 10_000, "/genai/{model}/v1/files": 10_000, "/chat/jobs": 100}
"""The paths that have a `limit`, and how far it goes."""
WORDS = ("limit", "after", "order", "purpose", "cursor", "from", "to", "project", "process_id", "user_key", "model",
         "wait", "before", "mode")  # fmt: skip


@pytest.mark.parametrize("one", READ, ids=str)
def test_a_hostile_query_is_refused_or_ignored(house: House, one: Operation) -> None:
    """Words of a query that are out of range, of no sense or there a thousand times are never more than a 4xx."""
    path = one.at()
    for word in WORDS:
        for value in QUERIES:
            house.attack(one, request("GET", f"{path}?{word}={value}", b"", BEARER), (word, value), lawful=True)
    for query in ("&" * 3000, "limit=5&" * 1000, "=", "?" * 100, "%" * 100, "limit[]=1", "\xff", "#"):
        house.attack(one, request("GET", f"{path}?{query}", b"", BEARER), query[:40], lawful=True)
    house.attack(one, request("GET", path, b'{"a":' * 100, BEARER), "a body", lawful=True)


@pytest.mark.parametrize(("path", "most"), RANGES.items())
def test_a_limit_out_of_range_is_refused(house: House, path: str, most: int) -> None:
    """A page that is smaller than one line or larger than the most is the path's own 400 or 422."""
    (one,) = (one for one in READ if one.path == path)
    for limit in (0, -1, most + 1, 10**30, "x", "1.5", "\u0661"):
        query = f"limit={limit}".encode()
        sent = request("GET", one.at(), b"", BEARER).replace(b" HTTP/1.1", b"?" + query + b" HTTP/1.1", 1)
        house.attack(one, sent, limit, 400, 422)


@pytest.mark.parametrize("one", OPERATIONS, ids=str)
def test_a_method_that_is_none_is_refused(house: House, one: Operation) -> None:
    """Methods that a path has not are 405 in its words (404 where nothing is), those that are no methods 400."""
    told = {other.method for other in OPERATIONS if other.path == one.path} | {"OPTIONS", "HEAD"}
    for method in ("TRACE", "PUT", "PATCH", "DELETE", "GET", "POST", "PROPFIND", "BREW", "get"):
        if method not in told:
            sent = request(method, one.at(), b"{}", BEARER)
            house.attack(one, sent, method, *((405, 404) if method.isupper() and method != "BREW" else (400, 405)))


OPEN = [one for one in OWN if one[1] != "/metrics"]
"""Answered without a key."""
WORD_HEADERS = ("x-foz-project", "x-foz-process-id", "x-foz-subprocess-id", "x-foz-user-key")


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_hostile_headers_are_refused_or_ignored(house: House, one: Operation) -> None:
    """Words for the ledger that are too long, no text or unprintable are 400; a request id that is none is replaced."""
    for name in WORD_HEADERS if one.path not in UNCOUNTED else ():
        for value in ("a" * 129, "\xff\xfe", "a\tb", "\xc2\x9b"):
            house.head(one, name, value, 400)
    for value in ("a" * 5000, "\xff", "<script>", "a b"):
        house.head(one, "x-request-id", value, 400, 422, body=b"{")


@pytest.mark.parametrize("one", [one for one in OPERATIONS if (one.method, one.path) not in OPEN], ids=str)
def test_a_key_that_is_none_is_refused(house: House, one: Operation) -> None:
    """Without a key, and with whatever is no key, a path is 401 in its words, before its body is looked at."""
    for headers in (
        (),
        ((b"authorization", b"Bearer"),),
        ((b"authorization", b"Bearer " + b"a" * 5000),),
        ((b"authorization", b"Basic Og=="),),
        ((b"authorization", b"Bearer \xff"),),
        ((b"x-api-key", b"' OR 1=1 --"),),
    ):
        for body in (b"", b"{", encode(one.sample)):
            if one.method == "POST" or not body:
                house.attack(one, request(one.method, one.at(), body, headers), headers, 401)


@pytest.mark.parametrize("one", TOLD, ids=str)
def test_after_all_of_it_a_good_body_is_answered(gateway: House, one: Operation) -> None:
    """No attack before this one has broken the gateway, a connection to an upstream or a breaker."""
    with gateway.gateway.connect() as connection:
        assert connection.call("POST", one.at(), encode(one.sample), BEARER).status == one.well
