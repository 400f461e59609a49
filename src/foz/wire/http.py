"""HTTP messages as values: what we are asked, what we ask, what is answered."""

from collections.abc import Sequence

from msgspec import Struct

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case."""


class Call(Struct, frozen=True, dict=True):
    """A request. For upstreams `path` is relative to the provider's base URL."""

    method: str
    path: str
    headers: Headers = ()
    body: bytes = b""
    query: str = ""

    def with_headers(self, along: Headers) -> "Call":
        """The same call with further headers."""
        return Call(self.method, self.path, (*self.headers, *along), self.body, self.query) if along else self

    @property
    def named(self) -> dict[bytes, bytes]:
        """The headers by name; of several of one name, the first. Made once (`cached_property` takes a lock)."""
        own: dict[str, dict[bytes, bytes]] = self.__dict__
        named = own.get("named")
        if named is None:
            named = own["named"] = dict(reversed(self.headers))
        return named

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        return self.named.get(name)


def heard(
    method: str, path: str, headers: Sequence[tuple[bytes, bytes]], named: dict[bytes, bytes], body: bytes, query: str
) -> Call:
    """A call whose headers somebody has looked up by name already."""
    call = Call(method, path, tuple(headers), body, query)
    own: dict[str, dict[bytes, bytes]] = call.__dict__
    own["named"] = named
    return call


class Reply(Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
