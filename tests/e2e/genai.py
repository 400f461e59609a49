"""A gateway whose `llm_models.json` names models and agents of a fake Oracle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from foz.testing.oracle.process import COMPARTMENT, Account
from foz.testing.process import Served, Upstream, start_gateway
from foz.testing.raw import request
from foz.wire.http import Headers, Reply

KEY = "sk-oci-proxy-0123456789"
BEARER: Headers = ((b"authorization", f"Bearer {KEY}".encode()),)
GPT5 = "ocid1.generativeaimodel.oc1.us-chicago-1.amaaagpt"
AGENT = "ocid1.generativeaiagentendpoint.oc1.us-chicago-1.amaaaplain"
SETTINGS = """
[limits]
max_body = "4 MiB"

[timeouts]
first_byte = "5s"
idle = "2s"

[retries]
backoff = "10ms"
budget = 1.0

[breaker]
failures = 1000

[[provider]]
name = "oci"
forwards = ["x-simulate-"]

[[provider]]
name = "oci_agent"
forwards = ["x-simulate-"]
"""


def row(id: str, type: str = "model", **more: str) -> dict[str, str]:
    """A row as the seed writes it."""
    return {"id": id, "region": "us-chicago-1", "compartmentId": COMPARTMENT, "type": type, **more}


ROWS = {
    "gpt5": row(GPT5),
    "my-agent": row(AGENT, "agent"),
    "vision": row("cohere.command-a-vision"),
    "command": row("cohere.command-r-08-2024"),
    "org/estuary:latest": row("meta.llama-3.3-70b-instruct"),
}


class House:
    """A gateway with a fake Oracle behind it."""

    def __init__(self, gateway: Served, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = BEARER) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect() as connection:
            return connection.call(method, path, body, headers)

    def ask(self, path: str, body: object, *, status: int = 200, **headers: str) -> Any:
        """What a POST of JSON is answered with."""
        along = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        reply = self.call("POST", path, msgspec.json.encode(body), (*BEARER, *along))
        assert reply.status == status, reply.body
        return msgspec.json.decode(reply.body)

    def stream(self, path: str, body: dict[str, Any], **headers: str) -> tuple[list[Any], bool]:
        """The events of a stream, and whether its connection ended as a whole one does."""
        along = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        with self.gateway.connect() as connection:
            asked = msgspec.json.encode({**body, "stream": True})
            connection.send(request("POST", path, asked, (*BEARER, *along, (b"connection", b"close"))))
            head = connection.head()
            assert head.status == 200
            assert (head.header(b"content-type") or b"").startswith(b"text/event-stream")
            left, text, whole = connection.rest(), b"", False
        while left:
            size, _, left = left.partition(b"\r\n")
            text, left, whole = text + left[: int(size, 16)], left[int(size, 16) + 2 :], size == b"0"
        frames = [frame.removeprefix("data: ") for frame in text.decode().split("\n\n") if frame]
        return [msgspec.json.decode(frame) if frame.startswith("{") else frame for frame in frames], whole

    def asked(self) -> int:
        """How many calls reached Oracle."""
        return len(self.upstream.logged())

    def lay(self, *acts: dict[str, str]) -> None:
        """What is wrong with the fake's next calls."""
        with self.upstream.connect() as connection:
            assert connection.call("PUT", "/_next", msgspec.json.encode(acts)).status == 200


def write_files(folder: Path, account: Account, rows: Mapping[str, object] = ROWS) -> None:
    """The two files of the seed, in the gateway's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "llm_models.json").write_text(msgspec.json.encode(rows).decode())
    (folder / "credentials.conf").write_text(account.config.read_text())


def start(folder: Path, account: Account, upstream: Upstream, more: str = "", **environment: str) -> Served:
    """The gateway, in a folder that has the files."""
    places = {"OCI_GENAI_ENDPOINT": upstream.url, "OCI_AGENT_ENDPOINT": upstream.url, "API_KEY": KEY}
    return start_gateway(folder, config=SETTINGS + more, environment={**places, **environment})
