"""
Real servers for tests: Redis and RabbitMQ, from the programs that are installed, each in a folder of its own on free
ports of 127.0.0.1.

They end with whoever started them, however that ends: a small shell waits at a pipe that only the starter holds, and
kills when it closes. They can be stopped, killed (`kill -9`), frozen (SIGSTOP), thawed, and started again on the same
data and the same port.

`shared_redis` and `shared_rabbit` give the address of one for all tests of this process: the one that answers at
REDIS_URL or RABBITMQ_URL, else one that is started now. Without either, one line says what to install.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

from typing_extensions import override

from foz.testing.process import Child, free_port, wait_until

_PLACES = ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/local/opt/rabbitmq/sbin"
_DEBIAN = "/usr/lib/rabbitmq/bin"
"""Debian's programs on the PATH want to be root or `rabbitmq`; these are the ones that they call."""
ANSWERS_WITHIN = 60.0
_AMQP = b"AMQP\x00\x00\x09\x01"
_GUARD = 'while read -r _; do :; done; kill -9 "-$1"; if [ -n "$2" ]; then rm -rf "$2"; fi'


class NotInstalled(AssertionError):
    """A program that these tests need is not there; the message says what to install."""


def _program(name: str, package: str) -> str:
    path = os.environ.get("PATH", os.defpath)  # noqa: TID251 - where this machine keeps its programs
    found = shutil.which(name, path=path + _PLACES)
    if found is None:
        raise NotInstalled(f"{name} is not installed, and these tests need it: `apt-get install {package}`.")
    return found


def _rabbit_program(name: str) -> str:
    direct = Path(_DEBIAN) / name
    return str(direct) if direct.exists() else _program(name, "rabbitmq-server")


class _Guarded(Child):
    """A child that does not outlive this process; `folder` may be one that does not either."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, passing: bool = False
    ) -> None:
        super().__init__(arguments, folder, environment)
        self._guard = subprocess.Popen(  # noqa: S603 - a shell of our own words
            ["/bin/sh", "-c", _GUARD, "sh", str(self.pid), str(folder) if passing else ""],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def release(self) -> None:
        """It has ended: nobody needs to wait for that any more."""
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def _reply(port: int, ask: bytes) -> bytes:
    """The first bytes that a server says to this, or none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(ask)
            return connection.recv(64)
    except OSError:
        return b""


class _Server:
    """What both have: one main process, on a folder and a port that stay."""

    def __init__(self, folder: Path, *, passing: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._passing = passing
        self._child: _Guarded | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        said = "" if self._child is None else self._child.said()
        self.close()
        if raised is not None:
            raised.add_note(said)

    @property
    def child(self) -> Child:
        """Its process."""
        if self._child is None:
            raise AssertionError("it was not started")
        return self._child

    def answers(self) -> bool:
        """Whether it does, now."""
        raise NotImplementedError

    def _launch(self) -> _Guarded:
        raise NotImplementedError

    def start(self) -> None:
        """Starts it, on the data that it has; back when it answers."""
        self._child = self._launch()
        try:
            self._child.wait_for(self.answers, "it to answer", ANSWERS_WITHIN)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """SIGTERM: it writes what it must and ends."""
        self.thaw()
        self.child.stop()
        self._ended()

    def kill(self) -> None:
        """`kill -9`."""
        self.child.kill()
        self._ended()

    def freeze(self) -> None:
        """SIGSTOP: its sockets stay open, and nobody answers."""
        os.killpg(self.child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Killed, and started again on the same data."""
        self.kill()
        self.start()

    def close(self) -> None:
        """For good."""
        if self._child is not None:
            self.kill()

    def _ended(self) -> None:
        if self._child is not None:
            self._child.release()
            self._child = None


class RedisServer(_Server):
    """Redis with an append-only file; `fsync` is its `appendfsync`, or None for a Redis that keeps nothing."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Literal["always", "everysec", "no"] | None = "always",
        options: Sequence[str] = (),
        passing: bool = False,
    ) -> None:
        super().__init__(folder, passing=passing)
        self._fsync = fsync
        self._options = tuple(options)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @override
    def answers(self) -> bool:
        """Whether it answers PING: not while it still reads its data."""
        return _reply(self.port, b"PING\r\n").startswith(b"+PONG")

    @override
    def _launch(self) -> _Guarded:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        kept = ("--appendonly", "no") if self._fsync is None else ("--appendonly", "yes", "--appendfsync", self._fsync)
        command = (
            _program("redis-server", "redis-server"),
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(data), "--save", "",
            *kept, *self._options,
        )  # fmt: skip
        return _Guarded(command, self.folder, {}, passing=self._passing)


class RabbitServer(_Server):
    """
    RabbitMQ, a node of its own with its own epmd, no plugins. `settings` are lines of `rabbitmq.conf`, `advanced` is
    `advanced.config`.
    """

    def __init__(
        self, folder: Path, *, settings: Sequence[str] = (), advanced: str = "", passing: bool = False
    ) -> None:
        super().__init__(folder, passing=passing)
        self.name = f"foz-{secrets.token_hex(4)}@localhost"
        self._epmd_port = free_port()
        self._epmd: _Guarded | None = None
        self._write(settings, advanced)

    def _write(self, settings: Sequence[str], advanced: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "disk_free_limit.absolute = 1MB",
            "raft.wal_max_size_bytes = 16777216",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
            *settings,
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "advanced.config").write_text(advanced or "[].\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    @override
    def answers(self) -> bool:
        """Whether it begins to speak AMQP."""
        return _reply(self.port, _AMQP).startswith(b"\x01\x00\x00")

    @override
    def _launch(self) -> _Guarded:
        if self._epmd is None:
            command = (_program("epmd", "rabbitmq-server"), "-port", str(self._epmd_port), "-address", "127.0.0.1")
            self._epmd = _Guarded(command, self.folder / "epmd", {})
            self._epmd.wait_for(lambda: bool(_reply(self._epmd_port, b"\x00\x01n")), "epmd to answer")
        return _Guarded((_rabbit_program("rabbitmq-server"),), self.folder, self._environment, passing=self._passing)

    @override
    def close(self) -> None:
        """For good, with its epmd."""
        super().close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.release()
            self._epmd = None

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says."""
        ran = subprocess.run(  # noqa: S603 - an installed program
            [_rabbit_program("rabbitmqctl"), "-q", "-n", self.name, *arguments],
            env={**os.environ, **self._environment},  # noqa: TID251 - it is a shell script that needs a PATH
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"rabbitmqctl {' '.join(arguments)}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def alarm(self) -> None:
        """A memory alarm: who publishes is not read from any more."""
        self.control("set_vm_memory_high_watermark", "0")
        wait_until(lambda: "memory" in self.control("eval", "rabbit_alarm:get_alarms()."), "the memory alarm")

    def calm(self) -> None:
        """The alarm is over."""
        self.control("set_vm_memory_high_watermark", "0.8")
        wait_until(lambda: self.control("eval", "rabbit_alarm:get_alarms().").strip() == "[]", "the alarm to end")


def _configured(name: str, port: int, ask: bytes, expected: bytes) -> str | None:
    """The address in this variable, where a server of that kind answers."""
    url = os.environ.get(name)  # noqa: TID251 - the tester says where servers are
    if not url:
        return None
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or port), timeout=2.0) as held:
            held.sendall(ask)
            return url if held.recv(64).startswith(expected) else None
    except OSError:
        return None


_S = TypeVar("_S", bound=_Server)


def _kept(server: _S) -> _S:
    """Started, and closed when this process ends."""

    def end() -> None:
        server.close()
        shutil.rmtree(server.folder, ignore_errors=True)

    server.start()
    atexit.register(end)
    return server


@cache
def shared_redis() -> str:
    """The address of a Redis for all tests of this process."""
    found = _configured("REDIS_URL", 6379, b"PING\r\n", b"")
    if found is not None:
        return found
    return _kept(RedisServer(Path(tempfile.mkdtemp(prefix="foz-redis-")), passing=True)).url


@cache
def shared_rabbit() -> str:
    """The address of a RabbitMQ for all tests of this process."""
    found = _configured("RABBITMQ_URL", 5672, _AMQP, b"\x01\x00\x00")
    if found is not None:
        return found
    return _kept(RabbitServer(Path(tempfile.mkdtemp(prefix="foz-rabbit-")), passing=True)).url
