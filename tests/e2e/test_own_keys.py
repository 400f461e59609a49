"""What the gateway shows its providers to be let in, and who else may see it."""

import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from typing_extensions import override

from foz.testing.process import start_gateway
from tests.e2e.ground import Ledger

KEY = "plum-7319-window"
CONFIG = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
secret = ["FAR_KEY"]

[[model]]
name = "delta"
targets = ["far/hidden"]
"""


class Parrot(BaseHTTPRequestHandler):
    """A provider that refuses each call, and repeats the key that it was shown."""

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        shown = self.headers["authorization"].removeprefix("Bearer ")
        fault = {"error": {"message": f"what is {shown} to me?", "type": "invalid_request_error", "code": None}}
        streamed = body.get("stream")
        data = b"data: %s\n\n" % msgspec.json.encode(fault) if streamed else msgspec.json.encode(fault)
        self.send_response(200 if streamed else 400)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def parrot() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("relay", ["true", "false"])
def test_a_key_that_is_repeated_is_not_passed_on(tmp_path: Path, parrot: int, relay: str) -> None:
    """A key that a provider repeats in a refusal, of any form, reaches neither caller nor ledger; the rest does."""
    config = f"{CONFIG.format(port=parrot)}\n[gateway]\nrelay = {relay}\n"
    with start_gateway(tmp_path, config=config, environment={"FAR_KEY": KEY}) as gateway:
        for path, body in (
            ("/v1/chat/completions", {}),
            ("/v1/chat/completions", {"stream": True}),
            ("/v1/messages", {"max_tokens": 9}),
            ("/v1/messages", {"max_tokens": 9, "stream": True}),
        ):
            asked = {"model": "delta", "messages": [{"role": "user", "content": "hello"}], **body}
            with gateway.connect() as connection:
                reply = connection.call("POST", path, msgspec.json.encode(asked))
            assert b"what is *** to me?" in reply.body
            assert KEY.encode() not in reply.body
        faults = [str(row[0]) for row in Ledger(tmp_path).rows("SELECT fault FROM entries")]
        assert len(faults) == 4
        assert all("what is *** to me?" in fault and KEY not in fault for fault in faults)
        assert KEY not in gateway.stdout + gateway.stderr


def test_a_database_is_its_owners(tmp_path: Path) -> None:
    """What a gateway writes into a folder that everybody may read, its owner alone reads."""
    (tmp_path / "data").mkdir(mode=0o755)
    with start_gateway(tmp_path):
        open_to_others = [
            path
            for path in (tmp_path / "data").rglob("*")
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077 and path.parent == tmp_path / "data"
        ]
    assert open_to_others == []
