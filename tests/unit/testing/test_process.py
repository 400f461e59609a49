"""Children of a test: started clean, awaited by a condition, stopped for good, quoted when they fail."""

import socket
import sys
from pathlib import Path

import pytest

from foz.testing.process import Child, ChildFailed, clean_environment, free_port, start_gateway, wait_until
from foz.testing.raw import RawConnection, request

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(grandchild.pid, flush=True)
time.sleep(60)
"""


def _python(folder: Path, program: str, **environment: str) -> Child:
    return Child((sys.executable, "-c", program), folder, environment)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_sees_nothing_of_the_testers_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and settings of the tester's environment do not reach a child; what the test says does."""
    for name in ("OPENAI_API_KEY", "API_KEY", "FOZ_PORT", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "leaked")
    with _python(tmp_path, "import os; print(dict(os.environ))", TEST_MODE="true") as child:
        child.wait()

    assert "leaked" not in child.stdout
    assert "'TEST_MODE': 'true'" in child.stdout


def test_a_child_finds_this_foz(tmp_path: Path) -> None:
    """A child imports the very package that the test runs."""
    with _python(tmp_path, "import foz; print(foz.__file__)") as child:
        child.wait()

    assert Path(child.stdout.strip()).parents[1] == Path(clean_environment()["PYTHONPATH"])


def test_a_child_that_ends_early_is_quoted(tmp_path: Path) -> None:
    """Waiting for a child that has died fails at once, with its status and its last words."""
    with (
        pytest.raises(ChildFailed, match=r"(?s)exited with 3.*no such luck"),
        _python(tmp_path, "import sys; sys.stderr.write('no such luck'); sys.exit(3)") as child,
    ):
        child.wait_for(lambda: False, "something")


def test_a_failure_beside_a_child_quotes_it(tmp_path: Path) -> None:
    """Whatever a test raises while a child runs carries what the child said as a note."""

    def fail() -> None:
        with _python(tmp_path, "print('hello from the child')") as child:
            child.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        fail()

    assert "hello from the child" in "".join(raised.value.__notes__)


def test_a_child_that_will_not_go_is_killed_with_its_own(tmp_path: Path) -> None:
    """A child that ignores SIGTERM gets SIGKILL, and so does what it started."""
    with _python(tmp_path, STUBBORN) as child:
        child.wait_for(lambda: child.stdout.endswith("\n"), "the grandchild's number")
        grandchild = int(child.stdout)
        child.stop(within=0.1)

    assert child.process.returncode == -9
    wait_until(lambda: not _alive(grandchild), "the grandchild to be gone")


def test_a_gateway_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A wrong foz.toml fails the start at once, with the program's own words in the error."""
    with pytest.raises(ChildFailed, match=r"foz\.toml"):
        start_gateway(tmp_path, config="this is no toml")


def test_a_wait_has_an_end() -> None:
    """A condition that never comes is given up at the deadline, saying what was waited for."""
    with pytest.raises(TimeoutError, match=r"waited 0\.02 s for a miracle"):
        wait_until(lambda: False, "a miracle", 0.02)


def test_a_free_port_can_be_taken() -> None:
    """Somebody can listen on a free port, and nobody does yet."""
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        RawConnection(port)
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_raw_bytes_are_what_was_written() -> None:
    """A well-formed request has its host and its length; headers that a test gives are not doubled."""
    plain = request("POST", "/x", b"{}")
    own = request("POST", "/x", b"{}", ((b"content-length", b"9"), (b"content-type", b"text/plain")))

    assert plain == (
        b"POST /x HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert own.count(b"content-length") == own.count(b"content-type") == 1


def test_a_connection_knows_when_it_was_closed() -> None:
    """The moment at which the other side was seen to close is kept; what came before is still read."""
    with socket.create_server(("127.0.0.1", 0)) as server, RawConnection(server.getsockname()[1]) as connection:
        peer, _ = server.accept()
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nall")
        assert connection.closed_at is None
        peer.close()

        assert connection.reply().body == b"all"
        assert connection.closed_at is not None


def test_a_silent_peer_is_not_waited_for_forever() -> None:
    """A read that nobody answers ends at the connection's deadline."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        RawConnection(server.getsockname()[1], deadline=0.02) as connection,
        pytest.raises(TimeoutError, match=r"nothing came within 0\.02 s"),
    ):
        connection.head()
