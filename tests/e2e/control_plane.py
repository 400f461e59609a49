"""A control plane on a real socket, with everything it needs handed in."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn
from fastapi import APIRouter

from foz.canon.fault import Fault, Unauthenticated
from foz.canon.principal import LOCAL_ADMIN, Principal
from foz.ports.skin import Route
from foz.serve.http import routes
from foz.serve.http.control import Control, make_control
from foz.wire.http import Call, Reply


class Face:
    """A skin as the route table sees it."""

    name = "openai"
    roots: tuple[str, ...] = ("/v1",)
    routes = (
        Route(
            "POST",
            "/v1/chat/completions",
            "openai",
            "chat",
            "Answer a conversation",
            request_schema="Chat",
            response_schema="Completion",
            example=b'{"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}',
            streams=True,
        ),
        Route("GET", "/v1/models", "openai", "list_models", "List models"),
        Route("GET", "/v1/models/{model}", "openai", "show_model", "Show one model"),
    )

    def schemas(self) -> dict[str, object]:
        return {
            "Chat": {
                "type": "object",
                "required": ["model", "messages"],
                "properties": {
                    "model": {"type": "string"},
                    "messages": {"type": "array", "items": {"$ref": "#/$defs/Turn"}},
                },
                "$defs": {"Turn": {"type": "object", "properties": {"role": {"type": "string"}}}},
            },
            "Completion": {"type": "object", "properties": {"id": {"type": "string"}}},
            "Error": {"type": "object", "properties": {"error": {"type": "object"}}},
        }


@dataclass
class House:
    """What the control plane is told; tests change it while it runs."""

    keys: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    seen: list[Call] = field(default_factory=list)

    def admit(self, call: Call) -> Principal:
        self.seen.append(call)
        if self.keys and (call.header(b"x-api-key") or b"").decode() not in self.keys:
            raise Unauthenticated("No API key was given.")
        return LOCAL_ADMIN


def encode_fault(fault: Fault, request_id: str, path: str) -> Reply:
    body = json.dumps({"error": {"message": fault.message, "code": fault.code, "param": fault.field}}).encode()
    return Reply(fault.status, ((b"content-type", b"application/json"), (b"x-request-id", request_id.encode())), body)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Plane:
    """A running control plane."""

    port: int
    house: House

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Iterator[bytes] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            named = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def serving(
    house: House, routers: tuple[APIRouter, ...] = (), faces: tuple[routes.Face, ...] = (Face(),)
) -> Iterator[Plane]:
    """The control plane under uvicorn, in a thread."""
    numbers = count(1)
    control = Control(
        version="1.2.3",
        table=routes.Table(faces),
        ready=lambda: house.reasons,
        metrics=lambda: b"foz_up 1.0\n",
        admit=house.admit,
        encode_fault=encode_fault,
        cors=lambda call, allow: ((b"x-cors", (call.header(b"origin") or b"nobody") + b" " + allow),),
        max_body=1000,
        request_id=lambda call: (call.header(b"x-request-id") or b"made-%d" % next(numbers)).decode(),
    )
    config = uvicorn.Config(make_control(control, routers), lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Plane(listening.getsockname()[1], house)
        finally:
            server.should_exit = True
            thread.join()
