"""Every method of every path that Foz has, of all skins on both planes, and what a good request to it looks like."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from fastapi.routing import APIRoute
from typing_extensions import override

from foz.assembly.faces import faces
from foz.config.settings import Settings
from foz.ports.skin import FORM, JSON
from foz.serve.http.desk import Desk
from foz.serve.http.reference import document
from foz.serve.http.routes import PARAMETER, Table
from foz.skins.ollama.skin import ACCEPTS

FACES = faces(Settings())
TABLE = Table([face.skin for face in FACES])
TREE: dict[str, Any] = msgspec.json.decode(
    msgspec.json.encode(document({"openapi": "3.1.0", "info": {"title": "Foz", "version": "1"}}, TABLE))
)
HOUSE = FACES[0].skin.name
"""In whose words the house itself speaks."""
OWN = [("GET", path) for path in ("/", "/health", "/ready", "/metrics", "/docs", "/redoc", "/openapi.json")]
"""The house's own paths, of no skin."""
REFUSED = {"/api/push", "/api/copy"}
"""Paths that refuse what is good: nothing is pushed, and no model of a provider is copied."""
UNLISTED = {"/", "/docs", "/redoc", "/openapi.json", "/api/push"}
"""Those that the reference does not list: pages, itself, and what is refused."""
BODIES: dict[str, object] = {
    "/genai/{agent}/session": {"channel": "web-app", "cuid": "user-12345"},
    "/api/show": {"model": "delta"},
    "/v1/messages/count_tokens": {"model": "delta", "messages": [{"role": "user", "content": "Where do rivers end?"}]},
    "/models/local/deploy": {"model_type": "deepseek-v3", "model_size": "7b", "quantization": "int8"},
    "/api/pull": {"model": "delta"},
    "/api/push": {"model": "delta"},
    "/api/copy": {"source": "delta", "destination": "other"},
    "/api/create": {"model": "other", "from": "delta"},
}
"""Good bodies of paths on the control plane that take JSON."""
FORMS = {path: {"file": "words"} for path in ("/v1/files", "/genai/{model}/v1/files")}
"""Good forms of those that take forms only."""
BODILESS = {"/v1/responses/{id}/cancel", "/models/local/deployments/{deployment_id}/retry"}
"""They take no body at all."""
UNCOUNTED = {"/models/local/deploy", "/v1/messages/count_tokens", "/api/pull", "/api/create"}
"""They write nothing into the ledger, and read no words for it."""
MAY_BE_BARE = {"/genai/{agent}/session"}
"""A body may be left out."""
NAMES = {"/genai/{model}/chat": {"model": "my-agent"}}
"""What stands in a path, where it is not what stands there everywhere."""
USUAL = {
    "agent": "my-agent",
    "id": "file-foz0",
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "deployment_id": "deploy-nobody",
    "model_id": "nobody",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path, and what a good request to it looks like."""

    method: str
    path: str
    skin: str
    accepts: tuple[bytes, ...] = ()
    sample: Any = None
    schema: str | None = None
    well: int = 200
    """The status of a good answer."""

    @override
    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, **said: str) -> str:
        """The path, filled."""
        usual = {**USUAL, "model": "gpt5" if self.skin == "oci_proxy" else "delta", **NAMES.get(self.path, {}), **said}
        return PARAMETER.sub(lambda one: usual[one[1]], self.path)

    @property
    def takes_json(self) -> bool:
        """Whether a body may be JSON."""
        return JSON in self.accepts


def _operations() -> Iterator[Operation]:
    for method, path in OWN:
        yield Operation(method, path, HOUSE)
    for route in TABLE.routes:
        sample = msgspec.json.decode(route.example) if route.example else None
        if sample is not None:
            sample |= {name: "delta" for name in ("model", "agent") if name in sample and route.skin != "oci_proxy"}
        accepts = route.accepts if route.method == "POST" else ()
        well = 202 if route.deferred else 200
        if route.deferred and sample is not None:  # or all that differs would be a key that is used twice
            sample.pop("idempotency_key", None)
        yield Operation(route.method, route.path, route.skin, accepts, sample, route.request_schema, well)
    nothing = cast("Any", None)
    there = cast("Any", object())
    desk = Desk(nothing, nothing, nothing, nothing, files=there, jobs=there, responding=there, deployments=there)
    for made in (face.router(desk) for face in FACES if face.router is not None):
        for own in made.routes:
            assert isinstance(own, APIRoute)
            path = own.path.replace(":path}", "}")
            sample = BODIES.get(path, FORMS.get(path))
            taken = ACCEPTS if path.startswith("/api/") else (JSON,)
            takes = "POST" in (own.methods or ()) and path not in BODILESS
            accepts = (taken if path in BODIES else (FORM,)) if takes else ()
            for method in own.methods or ():
                skin = TABLE.router.whose(path.encode()) or HOUSE
                yield Operation(method, path, skin, accepts, sample, well=400 if path in REFUSED else 200)


OPERATIONS = sorted(_operations(), key=str)
TOLD = [one for one in OPERATIONS if one.method == "POST" and one.takes_json]
UPLOADS = [one for one in OPERATIONS if FORM in one.accepts]
NAMED = [one for one in OPERATIONS if "{" in one.path]
READ = [one for one in OPERATIONS if one.method == "GET"]
