"""All processes that jobs run on: a gateway and its workers, on one data directory or on RabbitMQ and Redis."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from foz.testing.process import Child, Served, free_port, start_gateway
from foz.testing.raw import request
from foz.testing.servers import RabbitServer, RedisServer
from foz.wire.http import Headers, Reply

ACCEPTED = 202
CONFIG = """
[jobs]
lease = 1
attempts = 20
backoff = 0.05
backoff_cap = 0.5

[nemotron]
model = "public"

[[provider]]
name = "near"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[model]]
name = "public"
targets = [
    {{ provider = "near", model = "upstream-name", placement = "gpu" }},
    {{ provider = "near", model = "upstream-name", placement = "api" }},
]
"""


BOUGHT = """
[jobs]
lease = 1
backoff = 0.05
gpu_workers = 2
api_workers = 2

[nemotron]
model = "public"

[[provider]]
name = "engine"
base_url = "http://127.0.0.1:{engine}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[provider]]
name = "bought"
base_url = "http://127.0.0.1:{bought}/v1"
auth = "none"

[[model]]
name = "public"
targets = [
    {{ provider = "engine", model = "m", placement = "gpu" }},
    {{ provider = "bought", model = "m", placement = "api" }},
]
"""


class Kill(Struct, frozen=True):
    """One of them."""

    what: str
    at: float


class House:
    """All processes of one topology."""

    def __init__(self, folder: Path, upstream: int, stack: ExitStack, *, scale: bool) -> None:
        self.folder = folder
        self.kills: list[Kill] = []
        self._environment: dict[str, str] = {}
        self._stack = stack
        self.servers: dict[str, RedisServer | RabbitServer] = {}
        self.redis, self.rabbit = RedisServer(folder / "redis"), RabbitServer(folder / "rabbit")
        if scale:
            self.servers = {"redis": stack.enter_context(self.redis), "rabbit": stack.enter_context(self.rabbit)}
            self._environment = {"REDIS_URL": self.redis.url, "RABBITMQ_URL": self.rabbit.url}
        self.gateway = self._gateway(free_port(), CONFIG.format(port=upstream))
        self._places = [folder / f"worker-{number}" for number in range(2)] if scale else [folder]
        self.workers = [self._worker(place) for place in self._places]
        stack.callback(self.stop)

    def _gateway(self, port: int, config: str | None = None) -> Served:
        return start_gateway(self.folder, config=config, environment=self._environment, port=port)

    def _worker(self, place: Path) -> Child:
        """On the gateway's own data, or on a machine of its own."""
        command = (sys.executable, "-m", "foz", "worker", "--lane", "gpu", "--lane", "api", "--concurrency", "4")
        settings = {"FOZ_DATA": str(place / "data"), "HOME": str(place), **self._environment}
        place.mkdir(exist_ok=True)
        (place / "foz.toml").write_text((self.folder / "foz.toml").read_text())
        return Child(command, place, settings)

    def another(self) -> Served:
        """A second gateway: on the same data, or on a machine of its own."""
        place = self.folder if len(self._places) == 1 else self.folder / "second"
        config = (self.folder / "foz.toml").read_text()
        second = start_gateway(place, config=config, environment=self._environment, port=free_port())
        self._stack.callback(second.stop)
        return second

    def beside(self, stack: ExitStack, folder: Path, engine: int, bought: int) -> Served:
        """A gateway that works by itself, with jobs and queues of its own, whose gpu and api targets differ."""
        config = BOUGHT.format(engine=engine, bought=bought)
        environment = {**self._environment, **({"FOZ_SCALE_NAME": f"beside-{engine}"} if self.servers else {})}
        gateway = start_gateway(folder / "beside", config=config, environment=environment, port=free_port())
        stack.callback(gateway.stop)
        return gateway

    @property
    def victims(self) -> Sequence[str]:
        """Who may be killed."""
        return ("gateway", *(f"worker {number}" for number in range(len(self.workers))), *self.servers)

    def kill(self, what: str) -> None:
        """`kill -9`, and it is noted when."""
        if what == "gateway":
            self.gateway.kill()
        elif what in self.servers:
            self.servers[what].kill()
        else:
            self.workers[int(what.split()[1])].kill()
        self.kills.append(Kill(what, time.monotonic()))

    def revive(self, what: str) -> None:
        """It is started again on what it had."""
        if what == "gateway":
            self.gateway = self._gateway(self.gateway.port)
        elif what in self.servers:
            self.servers[what].start()
        else:
            number = int(what.split()[1])
            self.workers[number] = self._worker(self._places[number])

    def stop(self) -> None:
        """All of our own end."""
        for child in (self.gateway, *self.workers):
            child.stop()


def ask(gateway: Served, method: str, path: str, said: object = None, headers: Headers = ()) -> tuple[Reply, Any]:
    """One request on a connection of its own."""
    with gateway.connect(deadline=20.0) as connection:
        reply = connection.call(method, path, b"" if said is None else msgspec.json.encode(said), headers)
    return reply, msgspec.json.decode(reply.body)


def submit(gateway: Served, said: object, headers: Headers = (), query: str = "") -> dict[str, Any]:
    """A job that is accepted."""
    reply, told = ask(gateway, "POST", f"/chat{query}", said, headers)
    assert reply.status == ACCEPTED, told
    found: dict[str, Any] = told
    return found


def ended(gateway: Served, id: str) -> dict[str, Any]:
    """Its status, once it is over."""
    while True:
        _, told = ask(gateway, "GET", f"/chat/status/{id}?wait=10")
        if told["status"] not in {"pending", "processing"}:
            found: dict[str, Any] = told
            return found


def events(gateway: Served, path: str, after: str, most: int | None) -> list[tuple[str, str]]:
    """Ids and data of so many pieces of an event stream, or of all to its end."""
    found: list[tuple[str, str]] = []
    with gateway.connect(deadline=20.0) as connection:
        connection.send(request("GET", path, b"", ((b"last-event-id", after.encode()),) if after else ()))
        connection.head()
        while most is None or len(found) < most:
            event = connection.until(b"\n\n").decode()
            lines = dict(line.partition(": ")[::2] for line in event.splitlines() if ": " in line)
            if lines.get("event") == "piece":
                found.append((lines["id"], lines["data"]))
            if lines.get("event") == "end":
                break
    return found
