"""A port that is held for somebody else's socket."""

import socket

import pytest

from foz.serve.http.server import InUse
from foz.serve.reserve import reserve
from foz.testing.process import free_port


def test_a_held_port_is_shared_with_who_shares_it() -> None:
    """While it is held another socket that shares the port can listen there and is reached; then the port is free."""
    port = free_port()
    with reserve("127.0.0.1", port), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port), 5), server.accept()[0] as reached:
            assert reached.getsockname()[1] == port
    reserve("127.0.0.1", port).close()


def test_a_taken_port_is_seen() -> None:
    """A port that somebody listens on cannot be held; the error names the address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        with pytest.raises(InUse, match=f"cannot listen for gRPC on 127.0.0.1:{port}"):
            reserve("127.0.0.1", port)
