"""
The OpenAPI document of both planes: what FastAPI knows of its own routes, and every route of the one table.

A skin's schemas keep apart from another's by its name (`openai.ChatRequest`), whatever way they refer to each other
(`#/$defs/X`, `#/components/schemas/X`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from foz.ports.skin import FORM, JSON, OPERATIONS, Query, Route
from foz.serve.http.routes import PARAMETER, Table
from foz.wire.http import Headers

Tree = dict[str, Any]
"""A piece of a JSON document."""

ERROR = "Error"
"""The name, among a skin's schemas, of what its faults look like."""
KEYS = "bearer", "key"
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in KEYS]
"""Either form of key will do; none is needed while none is configured."""
SECURITY_SCHEMES: Tree = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made by `foz keys`. While none is configured, callers on this machine need none.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, in a header."},
}
REQUEST_ID = (
    "X-Request-Id",
    "Your own id of the call, at most 128 letters, digits and `._:/+=-`, else a new one. Ledger and provider know it.",
)
ACCEPTED = "It has become a job, which `Location` tells of."
ANSWERED = {
    "Location": "Where the job's answer will be.",
    "X-Request-Id": "The id under which the ledger knows the call.",
    "X-Foz-Cache": "Of a model whose answers are kept: `hit`, or `miss` where a target was asked.",
    "Retry-After": "Where it is known: whole seconds after which to ask again.",
    "Retry-After-Ms": "The same in milliseconds.",
    "X-Should-Retry": "`false` where asking again at once is of no use.",
}
FAULTY = [name for name in ANSWERED if name not in {"Location", "X-Foz-Cache"}]
_PREFIXES = ("#/components/schemas/", "#/$defs/", "#/definitions/")


def _renamed(node: Any, skin: str, names: frozenset[str]) -> Any:
    """The schema with its references made to point at the skin's own."""
    if isinstance(node, list):
        return [_renamed(one, skin, names) for one in node]
    if isinstance(node, str):
        for prefix in _PREFIXES:
            if node.startswith(prefix):
                name = node.removeprefix(prefix)
                if name not in names:
                    raise ValueError(f"the schemas of the skin {skin} refer to {node}, which is not among them")
                return f"#/components/schemas/{skin}.{name}"
        return node
    if isinstance(node, dict):
        return {key: _renamed(one, skin, names) for key, one in node.items() if key not in {"$defs", "definitions"}}
    return node


def _inner(schema: object) -> Iterator[tuple[str, object]]:
    if isinstance(schema, dict):
        for word in ("$defs", "definitions"):
            yield from schema.get(word, {}).items()


def _schemas(table: Table) -> Tree:
    every: Tree = {}
    for skin, schemas in table.schemas.items():
        flat = dict(schemas)
        for schema in schemas.values():
            flat |= {name: inner for name, inner in _inner(schema) if name not in flat}
        names = frozenset(flat)
        for name, schema in flat.items():
            every[f"{skin}.{name}"] = _renamed(schema, skin, names)
    return every


def _reference(table: Table, route: Route, name: str) -> Tree:
    if name not in table.schemas[route.skin]:
        raise ValueError(f"{route.method} {route.path} names the schema {name}, which the skin {route.skin} has not")
    return {"$ref": f"#/components/schemas/{route.skin}.{name}"}


def _header(name: str, description: str) -> Tree:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def _told(names: Iterable[str]) -> Tree:
    return {name: {"schema": {"type": "string"}, "description": ANSWERED[name]} for name in names}


def _parameters(route: Route) -> list[Tree]:
    described = {"model": "A model's public name. Slashes and colons may stand as they are or percent-encoded."}
    named = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            **({"description": described[name]} if name in described else {}),
        }
        for name in PARAMETER.findall(route.path)
    ]
    asked = [
        {"name": one.name, "in": "query", "schema": _words(one), "description": one.description}
        for one in route.queries
    ]
    return [*named, *asked, *(_header(*header) for header in (*route.headers, REQUEST_ID))]


def _words(query: Query) -> Tree:
    words = list(query.words)
    return {"type": "string", "enum": words, "default": words[0]} if words else {"type": "string"}


def _kind(headers: Headers) -> str:
    """The media type that headers name, without its parameters."""
    return dict(headers)[b"content-type"].partition(b";")[0].decode()


def _answer(table: Table, route: Route) -> Tree:
    """The whole answer: its schema, and an example where there is one."""
    is_json = _kind(route.whole) == JSON.decode()
    told: Tree = {} if is_json else {"schema": {"type": "string"}}
    if route.response_schema:
        told["schema"] = _reference(table, route, route.response_schema)
    if route.answer is not None:
        told["example"] = msgspec.json.decode(route.answer) if is_json else route.answer.decode()
    return told


def _answers(table: Table, route: Route) -> Tree:
    content: Tree = {_kind(route.whole): _answer(table, route)}
    if route.streams:
        piecewise = "The answer in pieces as they come, where a stream is asked for."
        content.setdefault(_kind(route.stream), {"schema": {"type": "string", "description": piecewise}})
    failed: Tree = {"description": "What went wrong, in this API's words.", "headers": _told(FAULTY)}
    if ERROR in table.schemas[route.skin]:
        failed["content"] = {"application/json": {"schema": _reference(table, route, ERROR)}}
    known = ["X-Request-Id", "X-Foz-Cache"] if route.action in OPERATIONS else ["X-Request-Id"]
    answered = {"description": "The answer.", "headers": _told(known), "content": content}
    accepted = {"description": ACCEPTED, "headers": _told(["X-Request-Id", "Location"])}
    if route.deferred:
        return {"202": {**accepted, "content": content}, "4XX": failed, "5XX": failed}
    later = {} if route.accepted is None else {"202": accepted}
    return {"200": answered, **later, "4XX": failed, "5XX": failed}


def _operation(table: Table, route: Route) -> Tree:
    words = "_".join(PARAMETER.sub(r"\1", route.path).strip("/").replace(".", "_").split("/"))
    operation: Tree = {
        "tags": [route.skin],
        "summary": route.summary,
        "operationId": f"{route.skin}_{route.method.lower()}_{words}",
        "responses": _answers(table, route),
        "security": SECURITY,
    }
    if route.description:
        operation["description"] = route.description
    operation["parameters"] = _parameters(route)
    if route.request_schema or route.example:
        operation["requestBody"] = {"required": True, "content": _bodies(table, route)}
    return operation


def _bodies(table: Table, route: Route) -> Tree:
    media: Tree = {}
    if route.request_schema:
        media["schema"] = _reference(table, route, route.request_schema)
    if route.example:
        media["example"] = msgspec.json.decode(route.example)
    bodies: Tree = {"application/json": media}
    if route.form_schema:
        bodies[FORM.decode()] = {"schema": _reference(table, route, route.form_schema)}
    return bodies


def _add_rival(operation: Tree, route: Route) -> None:
    """Another skin's route of a path is told with it: a document has one operation for a method."""
    operation["description"] = f"{operation.get('description', '')} {route.description}".strip()
    operation["parameters"] = [*operation["parameters"], *(_header(*header) for header in route.headers)]


def document(own: Tree, table: Table) -> Tree:
    """`own` is FastAPI's document of the control plane. Raises ValueError where a schema is named that is not there."""
    paths: Tree = {path: dict(operations) for path, operations in own.get("paths", {}).items()}
    for route in sorted(table.routes, key=lambda route: bool(route.header)):
        if route.header:
            _add_rival(paths[route.path][route.method.lower()], route)
        else:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(table, route)
    components = dict(own.get("components", {}))
    components["schemas"] = {**components.get("schemas", {}), **_schemas(table)}
    components["securitySchemes"] = SECURITY_SCHEMES
    return {**own, "paths": paths, "components": components}
