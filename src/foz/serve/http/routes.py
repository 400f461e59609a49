"""
The one route table. Router and reference (OpenAPI, /docs, /redoc) are made from it; nothing else lists a path.

A path is looked up as the bytes that came, before the query and before any decoding:

* A path without a parameter is one key of a dict. One slash at its end is ignored, never redirected
  (many clients lose the body of a redirected POST).
* A path with `{model}` takes the rest, slashes and colons and all; any other parameter takes one segment.
  The longest known prefix, then the longest known suffix, wins (`/chat/completions` before `/completions`),
  whatever the method is. Only what a parameter took is decoded, once, after the match: an encoded slash can
  never become part of our own path, and `..` is text.
* HEAD is answered where GET is; OPTIONS says what a path allows; a known path with another method is 405.
* What is not in the table, or is under a reserved path (`/models/local` is never an id), is 404 here:
  it may be the control plane's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal, Protocol
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from foz.ports.skin import Route

MAX_PARAMETER = 512
"""Bytes of one parameter, encoded. The longest model ids in the wild have 100."""
MAX_SHOWN = 200
"""Bytes of a path that a message repeats."""

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
PARAMETER = re.compile(r"\{([a-z_]+)\}")


def target_of(head: bytes) -> bytes:
    """The target of a request whose head no parser takes, for whose words it is refused in; empty where it has none."""
    line = head.partition(b"\n")[0].split(b" ", 2)
    return line[1] if len(line) > 1 and line[1].startswith(b"/") else b""


class Face(Protocol):
    """What the table needs of a skin."""

    @property
    def roots(self) -> tuple[str, ...]:
        """Paths under which faults are told in its words."""
        ...

    @property
    def name(self) -> str:
        """The skin's name."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its paths."""
        ...

    def schemas(self) -> dict[str, object]:
        """JSON schemas of its bodies, by name."""
        ...


class Found(Struct, frozen=True):
    """A route of the data plane. For HEAD it is the GET route: the answer is the same, without its body."""

    route: Route
    model: str = ""
    """What `{model}` took, decoded."""
    rest: tuple[str, ...] = ()
    """What the path's other parameters took, decoded, in their order."""
    rivals: tuple[Route, ...] = ()
    """Other skins' routes of this path, for requests that bear their header."""

    def among(self, named: Mapping[bytes, bytes]) -> "Found":
        """What it is for a request with these headers."""
        route = next((rival for rival in self.rivals if rival.header in named), self.route)
        return Found(route, self.model, self.rest)


class Missed(Struct, frozen=True):
    """No route: 404 (perhaps the control plane's), 405, 204 (the answer to OPTIONS), or 400 (a broken id)."""

    status: Literal[204, 400, 404, 405]
    allow: bytes = b""
    """The Allow header of 204 and 405."""
    message: str = ""
    """What is wrong, for 400 and 405."""


NOWHERE = Missed(404)
_ENDS = frozenset({b"", b"/", b"?"})
"""What may follow a root."""


class _Broken(ValueError):
    """A parameter that cannot be a name."""


def _decode(taken: bytes) -> str:
    if len(taken) > MAX_PARAMETER:
        raise _Broken(f"A name in the path is longer than {MAX_PARAMETER} bytes")
    if b"%" in taken:
        if _BROKEN_ESCAPE.search(taken):
            raise _Broken("A name in the path has a % that is not followed by two hexadecimal digits; write it as %25")
        taken = unquote_to_bytes(taken)
    try:
        text = taken.decode()
    except UnicodeDecodeError:
        raise _Broken("A name in the path is not UTF-8") from None
    if _CONTROL.search(text):
        raise _Broken("A name in the path has control characters")
    return text


class _Methods:
    """What one path answers to."""

    __slots__ = ("allow", "by_method", "rivals")

    def __init__(self) -> None:
        self.by_method: dict[bytes, Route] = {}
        self.rivals: dict[bytes, tuple[Route, ...]] = {}
        self.allow = b""

    def add(self, route: Route) -> None:
        method = route.method.encode()
        if route.header:
            self.rivals[method] = (*self.rivals.get(method, ()), route)
            return
        if method in self.by_method:
            taken = self.by_method[method]
            raise ValueError(
                f"{route.method} {route.path} is claimed by the skins {taken.skin} and {route.skin}; one must give way"
            )
        self.by_method[method] = route
        names = {*self.by_method, b"OPTIONS"}
        if b"GET" in names:
            names.add(b"HEAD")
        self.allow = b", ".join(sorted(names))

    def of(self, route: Route, model: str = "", rest: tuple[str, ...] = ()) -> Found:
        """A route of this path, with the others that have it."""
        return Found(route, model, rest, self.rivals.get(route.method.encode(), ()))

    def find(self, method: bytes, path: bytes) -> Route | Missed:
        route = self.by_method.get(method)
        if route is None and method == b"HEAD":
            route = self.by_method.get(b"GET")
        if route is not None:
            return route
        if method == b"OPTIONS":
            return Missed(204, self.allow)
        return Missed(
            405, self.allow, f"{path[:MAX_SHOWN].decode(errors='replace')} answers {self.allow.decode()} only."
        )


class _Template:
    """A path with parameters."""

    __slots__ = ("methods", "names", "pattern", "weight")

    def __init__(self, path: str) -> None:
        pieces = PARAMETER.split(path)
        literals, self.names = pieces[::2], pieces[1::2]
        if self.names.count("model") > 1:
            raise ValueError(f"{path} has {{model}} twice: nobody could say where one ends")
        pattern = re.escape(literals[0])
        for name, literal in zip(self.names, literals[1:], strict=True):
            pattern += ("(.+)" if name == "model" else "([^/]+)") + re.escape(literal)
        self.pattern = re.compile(pattern.encode(), re.DOTALL)
        self.weight = (len(literals[0]), sum(map(len, literals)))
        self.methods = _Methods()

    def found(self, method: bytes, path: bytes, taken: Sequence[bytes]) -> Found | Missed:
        route = self.methods.find(method, path)
        if isinstance(route, Missed):
            return route
        try:
            values = [_decode(value) for value in taken]
        except _Broken as broken:
            return Missed(400, message=str(broken))
        if "model" not in self.names:
            return self.methods.of(route, rest=tuple(values))
        model = values.pop(self.names.index("model"))
        return self.methods.of(route, model, tuple(values))


class Router:
    """From method and path to a route."""

    def __init__(
        self, routes: Iterable[Route], reserved: Iterable[str] = (), roots: Iterable[tuple[str, str]] = ()
    ) -> None:
        """`roots` are paths and whose they are. Raises ValueError where two routes claim the same method and path."""
        fixed: dict[bytes, _Methods] = {}
        templates: dict[str, _Template] = {}
        for route in routes:
            if "{" in route.path:
                shape = PARAMETER.sub(lambda one: "{model}" if one[1] == "model" else "{}", route.path)
                template = templates.setdefault(shape, _Template(route.path))
                template.methods.add(route)
            else:
                fixed.setdefault(route.path.encode(), _Methods()).add(route)
        self._fixed = fixed
        self._templates = sorted(templates.values(), key=lambda template: template.weight, reverse=True)
        self._reserved = tuple(path.encode() for path in reserved)
        self._roots = sorted(((root.encode(), skin) for root, skin in roots), key=lambda one: len(one[0]), reverse=True)
        self._hot = {
            (method, path): methods.of(route)
            for path, methods in fixed.items()
            for method, route in chain(methods.by_method.items(), _head(methods))
        }

    def find(self, method: bytes, path: bytes) -> Found | Missed:
        """`path` as it came, without the query."""
        return self._hot.get((method, path)) or self._search(method, path)

    def whose(self, path: bytes) -> str:
        """The skin that the longest root of this path belongs to; empty where it is nobody's."""
        for root, skin in self._roots:
            if path.startswith(root) and path[len(root) : len(root) + 1] in _ENDS:
                return skin
        return ""

    def _search(self, method: bytes, path: bytes) -> Found | Missed:
        if path.endswith(b"/"):
            path = path[:-1]
        for reserved in self._reserved:
            if path == reserved or path.startswith(reserved + b"/"):
                return NOWHERE
        methods = self._fixed.get(path)
        if methods is not None:
            route = methods.find(method, path)
            return route if isinstance(route, Missed) else methods.of(route)
        for template in self._templates:
            match = template.pattern.fullmatch(path)
            if match:
                return template.found(method, path, match.groups())
        return NOWHERE


def _head(methods: _Methods) -> Iterable[tuple[bytes, Route]]:
    if b"GET" in methods.by_method and b"HEAD" not in methods.by_method:
        yield b"HEAD", methods.by_method[b"GET"]


class Table:
    """All paths of all skins, and the schemas of their bodies."""

    __slots__ = ("router", "routes", "schemas")

    def __init__(self, faces: Iterable[Face], reserved: Iterable[str] = ()) -> None:
        """Raises ValueError where two routes claim one method and path, or one is not under its skin's roots."""
        faces = tuple(faces)
        self.routes = tuple(route for face in faces for route in face.routes)
        self.schemas = {face.name: face.schemas() for face in faces}
        roots = [(root, face.name) for face in faces for root in face.roots]
        self.router = Router(self.routes, reserved, roots)
        for route in self.routes:
            if not route.header and self.router.whose(route.path.encode()) != route.skin:
                raise ValueError(f"{route.method} {route.path} is under no root of the skin {route.skin}")
