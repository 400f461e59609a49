"""
What callers of the control plane ask again and again, answered before FastAPI looks for its route.

FastAPI takes ten times as long to find out what is asked as it takes to answer "how does my job stand". So an endpoint
may say that it answers `GET {root}/{name}` for the usual queries by a plain function as well; for any other query that
function gives None, and FastAPI reads it, and refuses what is wrong with it in its own way. The reference knows the
endpoint alone.
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from foz.canon.fault import Fault
from foz.canon.principal import Principal
from foz.serve.http.desk import response
from foz.wire.http import Reply

Glance = Callable[[Principal, str, str], Awaitable[Reply | None]]
"""Asked by whom, for which name, with which query. Raises a fault."""


class GlancingRouter(APIRouter):
    """A router some of whose endpoints are answered so; `glances` by their roots."""

    def __init__(self, tags: list[str]) -> None:
        super().__init__(tags=list(tags))
        self.glances: dict[str, Glance] = {}


class Glances:
    """ASGI, before FastAPI's own routes. `encode_fault` tells a fault for a request id, in the words of a path."""

    def __init__(
        self, app: ASGIApp, glances: Mapping[str, Glance], encode_fault: Callable[[Fault, str, str], Reply]
    ) -> None:
        self._app = app
        self._glances = glances
        self._encode_fault = encode_fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        root, _, name = path.rpartition("/")
        glance = self._glances.get(root)
        if glance is not None and scope["method"] == "GET":
            state = scope["state"]
            try:
                reply = await glance(state["principal"], name, scope["query_string"].decode("latin-1"))
            except Fault as fault:
                reply = self._encode_fault(fault, state["request_id"], path)
            if reply is not None:
                await response(reply)(scope, receive, send)
                return
        await self._app(scope, receive, send)
