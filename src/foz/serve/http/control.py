"""
The control plane: what people and scripts call now and then, as a FastAPI application.

The application knows nothing but what `Control` hands it. Every path is closed unless it is named in OPEN, so that a
route which somebody adds later is closed by itself. Faults are told in the words of the skin that was handed in.
One slash at a path's end is ignored, HEAD is answered where GET is, OPTIONS says what a path allows:
as on the data plane (`serve/http/routes.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from foz.canon.fault import BadRequest, Bug, Fault, NotFound
from foz.canon.principal import Principal
from foz.serve.http.desk import response as _told
from foz.serve.http.pages import ASSETS, POLICY, page
from foz.serve.http.reference import SECURITY, document
from foz.serve.http.routes import Table
from foz.skins.ollama.skin import RUNNING
from foz.wire import json
from foz.wire.http import Call, Headers, Reply

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/redoc", "/openapi.json"})
"""Answered without a key. The pages' own files are too."""
_FILES = "/docs/assets"
_SHOWN = 200
_MOST = 8
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_DESCRIPTION = """\
One gateway for language models: every API that your programs already speak, answered by whatever model serves best.

Each API's paths are listed under its own name; they reach the same models by the same names."""


class Control(Struct, frozen=True):
    """All that the control plane is given."""

    version: str
    table: Table
    ready: Callable[[], Sequence[str]]
    """Why this process should get no requests now; nothing where it should."""
    metrics: Callable[[], bytes]
    """Prometheus' text, format 0.0.4. Called in a thread."""
    admit: Callable[[Call], Principal]
    """Who is asking. Raises the fault that they get."""
    encode_fault: Callable[[Fault, str, str], Reply]
    """A fault, for a request id, in the words of whose path it is."""
    request_id: Callable[[Call], str]
    """The request's id: the caller's own where it is fit, else a new one."""
    cors: Callable[[Call, bytes], Headers]
    """What lets a web page read this answer; where methods are given, also what it may send (a preflight)."""
    max_body: int = 32 * 1024 * 1024
    ollama_port: int = 0
    """The port that is Ollama's, to its programs, where there is one."""


class _Reference(FastAPI):
    """FastAPI with the paths of both planes in its document."""

    def __init__(self, table: Table, version: str) -> None:
        self._table = table
        self._document: dict[str, Any] | None = None
        super().__init__(
            title="Foz",
            version=version,
            description=_DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )

    @override
    def openapi(self) -> dict[str, Any]:
        if self._document is None:
            self._document = document(super().openapi(), self._table)
        return self._document


class _Gate:
    """Before FastAPI sees a request: who asks; after: the headers that every answer has."""

    def __init__(self, app: ASGIApp, control: Control) -> None:
        self._app = app
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _call(scope)
        path = call.path[:-1] if len(call.path) > 1 and call.path.endswith("/") else call.path
        request_id = self._control.request_id(call)
        head = call.method == "HEAD"
        state = {**scope.get("state", {}), "request_id": request_id}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
                allow = dict(message["headers"]).get(b"allow", b"") if _is_preflight(call) else b""
                extra += self._control.cors(call, allow)
                named = [(key, value) for key, value in message["headers"] if key.lower() != b"x-request-id"]
                await send({**message, "headers": [*named, *extra]})
                if head:  # that is all: whoever streams a body hears that nobody listens
                    await send({"type": "http.response.body"})
            elif not head:
                await send(message)

        scope = {**scope, "path": path, "state": state, "method": "GET" if head else call.method}
        if path not in OPEN and not path.startswith(_FILES + "/") and not _is_preflight(call):
            try:
                state["principal"] = self._control.admit(call)
            except Fault as fault:
                await _told(self._control.encode_fault(fault, request_id, path))(scope, receive, answer)
                return
        await self._app(scope, self._bounded(receive), answer)

    def _bounded(self, receive: Receive) -> Receive:
        """The body, as long as it is not too long."""
        most, seen = self._control.max_body, 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, f"The request's body is larger than {most} bytes ([limits] max_body).")
            return message

        return bounded


def _is_preflight(call: Call) -> bool:
    """A browser asks on its own what a page may send; it never shows a key then."""
    return call.method == "OPTIONS" and call.header(b"access-control-request-method") is not None


def _call(scope: Scope) -> Call:
    return Call(
        method=scope["method"],
        path=scope["path"],
        headers=tuple((bytes(key), bytes(value)) for key, value in scope["headers"]),
        query=scope["query_string"].decode("latin-1"),
    )


def _json(value: object, status: int = 200) -> Response:
    return Response(json.encode(value), status, media_type="application/json", headers={"cache-control": "no-store"})


def _shown(example: object) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


def _nothing(path: str, table: Table) -> NotFound:
    """Nothing is there; who left out or doubled the version is told the path that was meant."""
    path = path[:_SHOWN]
    paths = {route.path for route in table.routes}
    roots = {"/" + one.split("/")[1] for one in paths}
    meant = [root + path for root in roots if root + path in paths] or [
        path.removeprefix(root) for root in roots if path.removeprefix(root) in paths
    ]
    under = sorted(one for one in paths if one.startswith(path.rstrip("/") + "/") and "{" not in one)
    if meant:
        hint = f"did you mean {meant[0]}?"
    elif path in roots:
        hint = f"there are {', '.join(under[:_MOST])}, and GET /docs lists every path."
    else:
        hint = "GET /docs lists every path."
    return NotFound(f"There is nothing at {path}; {hint}")


def _fault_of(error: HTTPException, path: str, table: Table, allow: str) -> Fault:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _nothing(path, table)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return BadRequest(f"{path[:_SHOWN]} answers {allow} only.", status=error.status_code)
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return BadRequest(str(error.detail), status=error.status_code)
    return Bug(str(error.detail), status=error.status_code)


def _add_faults(app: FastAPI, control: Control, routes: Iterable[BaseRoute]) -> None:
    def tell(request: Request, fault: Fault) -> Response:
        return _told(control.encode_fault(fault, request.state.request_id, request.scope["path"]))

    async def http(request: Request, error: HTTPException) -> Response:
        allow = _allowed(request, routes)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": allow})
        response = tell(request, _fault_of(error, request.scope["path"], control.table, allow))
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["allow"] = allow
        return response

    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(piece) for piece in first["loc"][1:])
        return tell(request, BadRequest(f"{field}: {first['msg']}", field=field, status=422, vendor_code=first["type"]))

    async def fault(request: Request, error: Fault) -> Response:
        return tell(request, error)

    async def defect(request: Request, _: Exception) -> Response:
        request_id = request.state.request_id
        return tell(request, Bug(f"A defect of Foz; its log has more under the request id {request_id}."))

    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]  # starlette cannot say which error a handler takes
    app.add_exception_handler(RequestValidationError, invalid)  # type: ignore[arg-type]  # as above
    app.add_exception_handler(Fault, fault)  # type: ignore[arg-type]  # as above
    app.add_exception_handler(Exception, defect)


def _allowed(request: Request, routes: Iterable[BaseRoute]) -> str:
    """What the path answers: a path with several methods is several routes to FastAPI."""
    methods = {"OPTIONS"}
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or {"GET"}  # a folder of files has none
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _add_state(app: FastAPI, control: Control) -> None:
    @app.get(
        "/health",
        tags=["control"],
        summary="Whether the process is up",
        responses={200: _shown({"status": "ok", "version": control.version})},
    )
    async def health() -> Response:
        return _json({"status": "ok", "version": control.version})

    @app.get(
        "/ready",
        tags=["control"],
        summary="Whether it should get requests",
        responses={
            200: _shown({"ready": True, "reasons": []}),
            503: {"description": "Not now, and why.", **_shown({"ready": False, "reasons": ["draining"]})},
        },
    )
    async def ready() -> Response:
        reasons = list(control.ready())
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @app.get(
        "/metrics",
        tags=["control"],
        summary="Figures for Prometheus",
        response_class=PlainTextResponse,
        openapi_extra={"security": SECURITY},
    )
    def metrics() -> Response:
        return Response(control.metrics(), media_type=_METRICS_TYPE, headers={"cache-control": "no-store"})


def _is_ollamas(request: Request, port: int) -> bool:
    """Whether this is one of Ollama's programs, to see if it is there: by where it came to, else by its name."""
    here = request.scope.get("server") or ("", 0)
    return port in {here[1]} - {0} or request.headers.get("user-agent", "").lower().startswith("ollama")


def _add_pages(app: FastAPI, version: str, table: Table, ollama_port: int) -> None:
    headers = {
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }

    async def show(request: Request) -> Response:
        up = "../" if request.scope["raw_path"].endswith(b"/") else ""
        return HTMLResponse(page(request.scope["path"][1:], version, up), headers=headers)

    async def root(request: Request) -> Response:
        if _is_ollamas(request, ollama_port):
            return PlainTextResponse(RUNNING)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("docs")  # relative, as the pages are
        paths = sorted({route.path for route in table.routes})
        return _json({"name": "Foz", "version": version, "reference": "/docs", "paths": paths})

    app.add_api_route("/", root, include_in_schema=False)
    for path in ("/docs", "/redoc"):
        app.add_api_route(path, show, include_in_schema=False, name=path[1:])
    app.mount(_FILES, StaticFiles(directory=ASSETS))


def make_control(control: Control, routers: Sequence[APIRouter] = ()) -> ASGIApp:
    """The control plane as an ASGI application; `routers` are other people's paths, closed without a key."""
    app = _Reference(control.table, control.version)
    _add_state(app, control)
    _add_pages(app, control.version, control.table, control.ollama_port)
    _add_faults(app, control, [*app.routes, *(route for router in routers for route in router.routes)])
    for router in routers:
        app.include_router(router)
    return _Gate(app, control)
