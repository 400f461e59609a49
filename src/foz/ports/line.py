"""What assembly binds: targets to codecs and connections, names to models."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from foz.canon.model import Model, Target
from foz.canon.request import Operation
from foz.ports.codec import Speech
from foz.ports.sessions import Agency
from foz.ports.upstream import Upstream
from foz.wire.http import Headers


class Line:
    """Everything needed to ask one provider."""

    __slots__ = ("agency", "forwards", "hide", "speech", "upstream")

    def __init__(
        self,
        upstream: Upstream,
        speech: Mapping[Operation, Speech],
        forwards: tuple[bytes, ...] = (),
        agency: Agency | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        self.upstream = upstream
        self.speech = speech
        self.forwards = forwards
        """Prefixes of the caller's header names that go along to this provider."""
        self.agency = agency
        """Who keeps the sessions of its agents, where it has them: it is told who asks."""
        self.hide = hide
        """Cuts what we show this provider to be let in out of what it says: some repeat it in their refusals."""

    def along(self, headers: Headers, request_id: str) -> Headers:
        """What of the caller's headers goes along, and the id under which the ledger knows the call."""
        named = (b"x-request-id", request_id.encode("ascii"))
        if not self.forwards:
            return (named,)
        return (*(header for header in headers if header[0].startswith(self.forwards)), named)


class Directory(Protocol):
    """One immutable snapshot of models and lines, swapped whole on reload."""

    def find(self, name: str, source: str = "") -> Model | None:
        """
        A model by its public name; else one of the provider `source`, if it knows the whole name; else by
        `provider/rest` where the provider is configured.
        """
        ...

    def closest(self, name: str) -> Sequence[str]:
        """Up to three public names like this one."""
        ...

    def hint(self, name: str, source: str = "") -> str:
        """A sentence for callers on why a name is nothing; empty where nothing is known about it."""
        ...

    def models(self) -> Sequence[Model]:
        """All public models, by name."""
        ...

    def line(self, target: Target) -> Line:
        """How to reach a target. Raises Down where it is gone since it was chosen."""
        ...
