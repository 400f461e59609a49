"""
What a skin's own endpoints on the control plane (dashboards, details, files) may ask of the house, and how they answer.

A skin's endpoints are a FastAPI router, made by `router(desk)` of a module in `serve/http/faces/`; the skin itself
stays pure and only says what the bodies look like. Whoever asks was let in by the gate already; faults are raised and
told in the words of the skin whose root the path is under.
"""

from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.principal import Principal
from foz.deploy.intake import Intake
from foz.gateway.pipeline import Gateway
from foz.jobs.intake import Jobs
from foz.ledger.report import Reports
from foz.ports.clock import Clock
from foz.ports.content import Content
from foz.ports.devices import Devices
from foz.ports.files import Files
from foz.serve.http.reference import SECURITY
from foz.serve.http.responding import Responding
from foz.wire.http import Reply


class Desk(Struct, frozen=True):
    """The house, for whoever answers on the control plane."""

    gateway: Gateway
    reports: Reports
    """Reads the ledger. Call it in a thread: an endpoint that is no coroutine function is one."""
    content: Content
    clock: Clock
    files: Files | None = None
    """What callers have uploaded, where it is kept."""
    jobs: Jobs | None = None
    """What callers have asked and did not wait for."""
    deployments: Intake | None = None
    """What callers ask of the models that we run."""
    devices: Devices | None = None
    """The GPUs of this machine, where somebody can tell."""
    responding: Responding | None = None
    """Responses that callers look at again."""


def who(request: Request) -> Principal:
    """Who asks."""
    principal: Principal = request.state.principal
    return principal


def request_id(request: Request) -> str:
    """The id that this answer bears."""
    id: str = request.state.request_id
    return id


def response(reply: Reply) -> Response:
    """A skin's answer as FastAPI sends it."""
    made = Response(reply.body, reply.status)
    named = {key for key, _ in reply.headers}
    kept = [(key, value) for key, value in made.raw_headers if key not in named]
    made.raw_headers = [*kept, *reply.headers]
    return made


def told(example: object, media_type: str = "application/json") -> dict[str, Any]:
    """What the reference says of an endpoint that answers so: `@router.get(path, **told(...))`."""
    return {
        "responses": {
            200: {"description": "The answer.", "content": {media_type: {"example": example}}},
            "4XX": {"description": "What went wrong, in this API's words."},
        },
        "response_class": Response,
        "openapi_extra": {"security": SECURITY},
    }
