"""The real servers that tests start: they end with their starter, and say what to install where they cannot start."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from foz.testing.process import clean_environment, wait_until
from foz.testing.servers import NotInstalled, RedisServer, shared_redis

STARTER = """
import sys, time
from pathlib import Path
from foz.testing.servers import RedisServer
server = RedisServer(Path(sys.argv[1]), passing=True)
server.start()
print(server.port, flush=True)
time.sleep(60)
"""


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_dies_with_its_starter(tmp_path: Path) -> None:
    """Where its starter is killed by `kill -9`, the server is gone soon after, with its folder."""
    folder = tmp_path / "redis"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)], env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    port = int(starter.stdout.readline())
    assert _listens(port)
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    wait_until(lambda: not _listens(port), "the server to end")
    wait_until(lambda: not folder.exists(), "its folder to go")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program, one line names it and the package to install."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotInstalled, match=r"^redis-server is not installed.*apt-get install redis-server`\.$"):
        RedisServer(tmp_path).start()


def test_the_configured_server_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a Redis answers at REDIS_URL the tests use that one."""
    with RedisServer(tmp_path) as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        assert shared_redis.__wrapped__() == server.url


def test_a_server_is_started_again_on_its_data(tmp_path: Path) -> None:
    """Killed and started, frozen and thawed, a server answers at the same address."""
    with RedisServer(tmp_path) as server:
        url = server.url
        server.restart()
        server.freeze()
        assert not server.answers()
        server.thaw()
        wait_until(server.answers, "it to answer")
        assert server.url == url
