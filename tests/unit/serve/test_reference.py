"""The reference of the skins that Foz has: whole, valid, and with examples that are true."""

import importlib
import pkgutil
from typing import Any, cast

import msgspec
import pytest
from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

import foz.skins
from foz.assembly.faces import faces
from foz.config.settings import Settings
from foz.ports.skin import OPERATIONS, Route
from foz.serve.http.desk import Desk
from foz.serve.http.reference import Tree, document
from foz.serve.http.routes import Table
from foz.skins.model_grpc.skin import ModelGrpcSkin

OWN = {"openapi": "3.1.0", "info": {"title": "Foz", "version": "1"}, "paths": {}}


FACES = faces(Settings())
TABLE = Table([face.skin for face in FACES])
TREE: Tree = msgspec.json.decode(msgspec.json.encode(document(OWN, TABLE)))
EXAMPLES = [route for route in TABLE.routes if route.example]


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


def _answer(route: Route) -> dict[str, Any]:
    """What is said of a good answer: of one that always becomes a job, that it is accepted."""
    found: dict[str, Any] = TREE["paths"][route.path][route.method.lower()]["responses"]
    told: dict[str, Any] = found["202" if route.deferred else "200"]
    return told


def test_every_skin_is_a_face() -> None:
    """Each class of `foz.skins` whose name ends in Skin is a face of the process, or gRPC's, without a route."""
    kinds = {
        kind
        for module in pkgutil.walk_packages(foz.skins.__path__, "foz.skins.")
        for name, kind in vars(importlib.import_module(module.name)).items()
        if name.endswith("Skin") and getattr(kind, "__module__", "") == module.name
    }

    assert kinds == {type(face.skin) for face in FACES} | {ModelGrpcSkin}
    assert ModelGrpcSkin.routes == ()


def test_the_document_is_valid_openapi() -> None:
    """All skins together validate as OpenAPI 3.1."""
    validate(TREE, cls=OpenAPIV31SpecValidator)


def test_the_document_of_both_planes_is_valid() -> None:
    """With what the skins have on the control plane it validates too: every name of a path is a parameter."""
    nothing: Any = None
    app = FastAPI(title="Foz", version="1")
    for face in FACES:
        if face.router is not None:
            app.include_router(
                face.router(
                    Desk(nothing, nothing, nothing, nothing, files=cast("Any", object()), jobs=cast("Any", object()))
                )
            )
    tree = msgspec.json.decode(msgspec.json.encode(document(app.openapi(), TABLE)))

    validate(tree, cls=OpenAPIV31SpecValidator)
    assert "/genai/{model}/v1/files" in tree["paths"]


@pytest.mark.parametrize("route", TABLE.routes, ids=_named)
def test_every_route_is_in_the_document(route: Route) -> None:
    """Each route has its operation, with words, an answer, an error's shape and its path's parameters."""
    operation: dict[str, Any] = TREE["paths"][route.path][route.method.lower()]

    assert operation["summary"] == route.summary
    kind = dict(route.whole)[b"content-type"].partition(b";")[0].decode()
    assert "schema" in _answer(route)["content"][kind]
    assert "schema" in operation["responses"]["4XX"]["content"]["application/json"]
    assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == {
        piece.partition("}")[0] for piece in route.path.split("{")[1:]
    }


FIRST = [route for route in TABLE.routes if not route.header]
"""Routes that are the first of their path and method: others are told with them."""


@pytest.mark.parametrize("route", FIRST, ids=_named)
def test_every_operation_names_its_headers(route: Route) -> None:
    """The headers that are read, and those that answers and faults have, stand in each operation."""
    rivals = [one for one in TABLE.routes if one.header and (one.method, one.path) == (route.method, route.path)]
    operation: dict[str, Any] = TREE["paths"][route.path][route.method.lower()]
    read = [one["name"] for one in operation["parameters"] if one["in"] == "header"]

    assert read == [*(name for name, _ in route.headers), "X-Request-Id", *(one.header.decode() for one in rivals)]
    assert all(one.description in operation["description"] for one in rivals)
    assert "X-Foz-Project" in read or route.method == "GET"
    assert "X-Request-Id" in _answer(route)["headers"]
    assert ("Location" in operation["responses"].get("202", {}).get("headers", ())) == (route.accepted is not None)
    assert ("X-Foz-Cache" in _answer(route)["headers"]) == (route.action in OPERATIONS and not route.deferred)
    assert "Retry-After" in operation["responses"]["5XX"]["headers"]


def test_operations_have_names_of_their_own() -> None:
    """No two operations share an id: programs are generated from them."""
    names = [operation["operationId"] for path in TREE["paths"].values() for operation in path.values()]

    assert len(set(names)) == len(names) == len(FIRST)


@pytest.mark.parametrize("route", EXAMPLES, ids=_named)
def test_every_example_is_true(route: Route) -> None:
    """What the reference shows as a body is one by the schema it shows."""
    body = TREE["paths"][route.path][route.method.lower()]["requestBody"]["content"]["application/json"]
    schema = {**body["schema"], "components": TREE["components"]}

    assert [error.message for error in OAS31Validator(schema).iter_errors(body["example"])] == []
    assert [*OAS31Validator(schema).iter_errors({})] != []


@pytest.mark.parametrize(
    "route", [route for route in TABLE.routes if route.answer and route.response_schema], ids=_named
)
def test_every_example_of_an_answer_is_true(route: Route) -> None:
    """What the reference shows as an answer is one by the schema it shows."""
    (answer,) = (media for media in _answer(route)["content"].values() if "example" in media)
    schema = {**answer["schema"], "components": TREE["components"]}

    assert [error.message for error in OAS31Validator(schema).iter_errors(answer["example"])] == []
