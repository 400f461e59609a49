"""The control plane over a real socket: states, who may, errors, and the document of both planes."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from fastapi import APIRouter
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import override

from foz.canon.fault import Conflict
from foz.serve.http.control import OPEN
from foz.serve.http.pages import ASSETS
from foz.serve.http.reference import document
from foz.serve.http.routes import Table
from tests.e2e.control_plane import Face, House, Plane, serving

ROUTER = APIRouter()


@ROUTER.get("/later/who")
async def who(request: Request) -> Response:
    return JSONResponse({"principal": request.state.principal.id})


@ROUTER.post("/later/length")
async def length(request: Request) -> Response:
    return JSONResponse(len(await request.body()))


@ROUTER.delete("/later/length")
async def shorten() -> Response:
    return JSONResponse(0)


@ROUTER.get("/later/fault")
async def fault() -> Response:
    raise Conflict("It is there already.", field="id")


@ROUTER.get("/later/defect")
async def defect() -> Response:
    raise ZeroDivisionError("the secret of the house")


@ROUTER.get("/later/number/{number}", response_class=Response)
async def number(number: int) -> Response:
    return JSONResponse(number)


@pytest.fixture(scope="module")
def server() -> Iterator[Plane]:
    with serving(House(), (ROUTER,)) as one:
        yield one


@pytest.fixture
def plane(server: Plane) -> Plane:
    server.house.keys.clear()
    server.house.reasons.clear()
    server.house.seen.clear()
    return server


def test_health_says_that_the_process_is_up(plane: Plane) -> None:
    """/health is 200 with the version, also when nothing else is well."""
    plane.house.reasons.append("the ledger's writer is dead")
    answer = plane.get("/health")

    assert (answer.status, answer.json()) == (200, {"status": "ok", "version": "1.2.3"})


def test_ready_says_why_not(plane: Plane) -> None:
    """/ready is 200 without reasons, and 503 with all of them."""
    assert plane.get("/ready").json() == {"ready": True, "reasons": []}

    plane.house.reasons.extend(["draining", "the ledger's writer is dead"])
    answer = plane.get("/ready")
    assert answer.status == 503
    assert answer.json() == {"ready": False, "reasons": ["draining", "the ledger's writer is dead"]}
    assert answer.headers["cache-control"] == "no-store"


def test_metrics_are_prometheus_text(plane: Plane) -> None:
    """/metrics gives what it was handed, with the type that Prometheus expects."""
    answer = plane.get("/metrics")

    assert (answer.status, answer.body) == (200, b"foz_up 1.0\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("path", [*sorted(OPEN), "/health/", "/docs/", "/docs/assets/swagger-ui.css"])
def test_open_paths_need_no_key(plane: Plane, path: str) -> None:
    """Health, readiness and reference are answered to anybody."""
    plane.house.keys.add("right")

    assert plane.get(path).status == 200
    assert plane.house.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/later/who",
        "/nothing",
        "/docs/assets",
        "/docsx",
        "//health",
        "/health/x",
        "/docs/../metrics",
    ],
)
def test_every_other_path_needs_a_key(plane: Plane, path: str) -> None:
    """With keys, what is not open is 401, whether it exists or not."""
    plane.house.keys.add("right")
    answer = plane.get(path)

    assert (answer.status, answer.json()["error"]["code"]) == (401, "unauthenticated")
    assert plane.get(path, x_api_key="wrong").status == 401
    assert plane.get(path, x_api_key="right").status in {200, 404}


def test_a_later_route_knows_who_asks(plane: Plane) -> None:
    """The principal that was admitted is in the request's state."""
    assert plane.get("/later/who").json() == {"principal": "local"}
    assert plane.house.seen[0].path == "/later/who"


@pytest.mark.parametrize(
    ("path", "status", "code", "message"),
    [
        ("/nothing", 404, "not_found", "There is nothing at /nothing; GET /docs lists every path."),
        ("/chat/completions", 404, "not_found", "There is nothing at /chat/completions; did you mean /v1/chat/com"),
        ("/v1/v1/models", 404, "not_found", "There is nothing at /v1/v1/models; did you mean /v1/models?"),
        ("/models", 404, "not_found", "There is nothing at /models; did you mean /v1/models?"),
        ("/v1", 404, "not_found", "There is nothing at /v1; there are /v1/chat/completions, /v1/models, and GET /docs"),
        ("/v1/", 404, "not_found", "There is nothing at /v1; there are /v1/chat/completions"),
        ("/docs/assets/nothing.js", 404, "not_found", "There is nothing at /docs/assets/nothing.js"),
        ("/docs/assets/../pages.py", 404, "not_found", "There is nothing at"),
        ("/docs/assets/%2e%2e/pages.py", 404, "not_found", "There is nothing at"),
        ("/later/fault", 409, "conflict", "It is there already."),
        ("/later/number/x", 422, "bad_request", "number: "),
        ("/later/defect", 500, "bug", "A defect of Foz; its log has more under the request id mine."),
    ],
)
def test_errors_are_in_the_words_that_were_handed_in(
    plane: Plane, path: str, status: int, code: str, message: str
) -> None:
    """Unknown paths, faults, invalid values and defects all have one shape, and tell no secret."""
    answer = plane.get(path, x_request_id="mine")

    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"].startswith(message)
    assert b"secret" not in answer.body
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["content-type"] == "application/json"


def test_a_browser_at_the_root_is_shown_the_reference(plane: Plane) -> None:
    """GET / with a browser's Accept leads to /docs beside it, a program gets the paths; neither needs a key."""
    plane.house.keys.add("right")

    answer = plane.get("/", accept="text/html,application/xhtml+xml")

    assert (answer.status, answer.headers["location"]) == (307, "docs")
    assert plane.get("/").json()["paths"] == ["/v1/chat/completions", "/v1/models", "/v1/models/{model}"]


def test_a_body_is_bounded(plane: Plane) -> None:
    """What comes without a length is counted: up to the limit it is read, beyond it is 413."""
    fits = plane.ask("POST", "/later/length", body=iter([b"x" * 400, b"x" * 600]))
    too_long = plane.ask("POST", "/later/length", body=iter([b"x" * 400, b"x" * 601]))

    assert (fits.status, fits.json()) == (200, 1000)
    assert (too_long.status, too_long.json()["error"]["code"]) == (413, "bad_request")
    assert "max_body" in too_long.json()["error"]["message"]


def test_pages_of_other_origins_are_told_what_they_may(plane: Plane) -> None:
    """A preflight needs no key and is told the methods; other requests are told about reading only, and need one."""
    plane.house.keys.add("right")
    page = {"origin": "https://a.example"}
    preflight = plane.ask("OPTIONS", "/later/length", {**page, "access-control-request-method": "POST"})

    assert (preflight.status, preflight.headers["x-cors"]) == (204, "https://a.example DELETE, OPTIONS, POST")
    assert plane.ask("OPTIONS", "/later/length", page).status == 401
    assert plane.ask("GET", "/health", page).headers["x-cors"] == "https://a.example "


def test_a_wrong_method_says_what_is_allowed(plane: Plane) -> None:
    """405 has the Allow header, OPTIONS is 204 with it."""
    wrong, options = plane.ask("POST", "/health"), plane.ask("OPTIONS", "/health")

    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert wrong.json()["error"]["message"] == "/health answers GET, HEAD, OPTIONS only."
    assert (options.status, options.headers["allow"], options.body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("path", ["/health", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json"])
def test_head_is_get_without_the_body(plane: Plane, path: str) -> None:
    """HEAD has GET's status and length, and no body."""
    get, head = plane.get(path), plane.ask("HEAD", path)

    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_every_answer_has_one_request_id(plane: Plane) -> None:
    """The request's id is on every answer, errors and files too."""
    for path in ("/health", "/nothing", "/docs/assets/page.css", "/metrics"):
        assert plane.get(path, x_request_id="abc").headers["x-request-id"] == "abc"
        assert plane.get(path).headers["x-request-id"].startswith("made-")


def test_files_are_not_sent_twice(plane: Plane) -> None:
    """A browser that has a file is told so."""
    first = plane.get("/docs/assets/page.css")

    assert plane.get("/docs/assets/page.css", if_none_match=first.headers["etag"]).status == 304


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_are_locked_to_this_server(plane: Plane, path: str) -> None:
    """The policy names no host, and the page no address."""
    answer = plane.get(path)
    policy = answer.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "//" not in policy
    assert b"//" not in answer.body
    assert b"<script>" not in answer.body


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc", "/redoc/"])
def test_every_file_of_a_page_is_there(plane: Plane, path: str) -> None:
    """What a page names, seen from where it stands, is served from here without a key."""
    plane.house.keys.add("needed")
    body = plane.get(path).body.decode()
    named = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', body.replace('href="data:,"', ""))

    assert len(named) >= 3
    for name in named:
        assert plane.get(urljoin(path, name)).status == 200, name


def test_the_document_is_valid_openapi_and_has_every_path(plane: Plane) -> None:
    """/openapi.json validates as OpenAPI 3.1 and lists each route of both planes with its method."""
    tree = plane.get("/openapi.json").json()
    validate(tree, cls=OpenAPIV31SpecValidator)

    for route in Face.routes:
        operation = tree["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert operation["tags"] == [route.skin]
    for path in ("/health", "/ready", "/metrics", "/later/who"):
        assert "get" in tree["paths"][path]


def test_the_document_has_the_skins_schemas_and_examples(plane: Plane) -> None:
    """Schemas are named by skin, their references lead somewhere, and the example is the skin's."""
    tree = plane.get("/openapi.json").json()
    chat = tree["paths"]["/v1/chat/completions"]["post"]
    body = chat["requestBody"]["content"]["application/json"]
    schemas = tree["components"]["schemas"]

    assert body["schema"] == {"$ref": "#/components/schemas/openai.Chat"}
    assert body["example"]["messages"] == [{"role": "user", "content": "Hello"}]
    assert schemas["openai.Chat"]["properties"]["messages"]["items"] == {"$ref": "#/components/schemas/openai.Turn"}
    assert "$defs" not in schemas["openai.Chat"]
    assert schemas["openai.Turn"]["properties"] == {"role": {"type": "string"}}
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert chat["responses"]["4XX"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/openai.Error"
    }
    assert tree["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["name"] == "model"


@pytest.mark.parametrize(
    ("schemas", "word"),
    [
        ({}, "the schema Completion, which the skin openai has not"),
        ({"Chat": {"$ref": "#/$defs/Lost"}, "Completion": {}}, r"refer to #/\$defs/Lost"),
    ],
)
def test_a_schema_that_is_not_there_is_refused(schemas: dict[str, object], word: str) -> None:
    """A route or a schema that refers to nothing is named, not written into the document."""

    class Torn(Face):
        @override
        def schemas(self) -> dict[str, object]:
            return schemas

    with pytest.raises(ValueError, match=word):
        document({}, Table([Torn()]))


def test_the_assets_are_those_of_the_checksums() -> None:
    """Each foreign file in assets/ has its checksum, and asks for no picture elsewhere."""
    lines = (ASSETS / "SHA256SUMS").read_text().splitlines()
    listed = {name: checksum for checksum, name in (line.split() for line in lines)}
    ours = {"SHA256SUMS", "page.css", "swagger.js", "redoc.js"}

    assert {path.name for path in ASSETS.iterdir()} == {*listed, *ours}
    for name, checksum in listed.items():
        content = Path(ASSETS / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == checksum, name
        assert b"cdn.redoc" not in content
        assert b"sourceMappingURL=" not in content.rstrip().rsplit(b"\n", 1)[-1]
