"""
Those who work at jobs: Foz by itself, Foz with `foz worker` on RabbitMQ and Redis, and Celery on the same two.

All processes of a contestant that submit or work stand on the gateway's core: Foz's gateway and worker, Celery's
workers and the process that submits. The broker, Redis, the mock upstream and Foz's HTTP callers stand on the other.
"""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from msgspec import Struct
from typing_extensions import override

from bench import install
from bench.lab import KEY, ROOT, Lab, caller_key, filled
from bench.processes import Cores, Program, cpu_seconds, free_port, wait_for
from bench.submitters import ByCelery, Order, OverHttp, Took, ready
from foz.testing.servers import RabbitServer, RedisServer

AT_ONCE = 32
"""Jobs that a contestant works at at once, where it does not wait for a free process."""


class House(Struct, frozen=True):
    """One contestant: its programs, and how jobs are submitted to it."""

    name: str
    programs: tuple[Program, ...]
    submit: Callable[[Order], Took]

    def cpu_seconds(self) -> float:
        """Of all that is its own."""
        return sum(program.cpu_seconds() for program in self.programs)


class JobLab(Lab):
    """The mock, the servers, and the contestants."""

    def __init__(self, cores: Cores) -> None:
        super().__init__(cores, [])
        self._stack = ExitStack()

    @override
    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.redis = self._stack.enter_context(RedisServer(self._folder("redis")))
            self.rabbit = self._stack.enter_context(RabbitServer(self._folder("rabbit")))
        except BaseException:
            self._end()
            raise
        return self

    @override
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)

    @override
    def _end(self) -> None:
        super()._end()
        self._stack.close()

    def servers_cpu(self) -> tuple[float, float]:
        """What the broker and Redis have used so far."""
        return cpu_seconds(self.rabbit.child.pid), cpu_seconds(self.redis.child.pid)

    @property
    def _addresses(self) -> dict[str, str]:
        return {"RABBITMQ_URL": self.rabbit.url, "REDIS_URL": self.redis.url}

    def embedded(self) -> House:
        """`foz serve`, its defaults."""
        return self._foz("foz embedded", {})

    def scale(self) -> House:
        """`foz serve` and `foz worker`, each with a data directory of its own, as on two machines."""
        return self._foz("foz scale", self._addresses)

    def _foz(self, name: str, servers: Mapping[str, str]) -> House:
        folder, port = self._folder("jobs"), free_port()
        config = filled("foz.jobs.toml", whole=self.whole)
        env = {"PYTHONPATH": str(ROOT / "src"), "API_KEY": KEY, "MOCK_API_KEY": "sk-upstream", **servers}
        here = {**env, "FOZ_DATA": str(folder / "data")}
        (folder / "foz.toml").write_text(config)
        key = caller_key(folder, here)
        foz = [sys.executable, "-m", "foz"]
        serve = [*foz, "serve", "--host", "127.0.0.1", "--port", str(port)]
        programs = [self.start("gateway", serve, self.cores.gateway, here, folder)]
        wait_for(programs[0], port, "/ready", 30)
        if servers:
            place = self._folder("worker")
            (place / "foz.toml").write_text(config)
            work = [*foz, "worker", "--lane", "api", "--concurrency", str(AT_ONCE)]
            there = {**env, "FOZ_DATA": str(place / "data")}
            programs.append(self.start("worker", work, self.cores.gateway, there, place))
        return House(name, tuple(programs), OverHttp(port, key).submit)

    def celery(self, pool: str, at_once: int) -> House:
        """Celery's worker with one of its pools, and its submitter."""
        python = install.environment("celery") / "python"
        folder, port = self._folder("celery"), free_port()
        env = {
            "PYTHONPATH": str(ROOT),
            "BENCH_BROKER": self.rabbit.url,
            "BENCH_RESULTS": self.redis.url,
            "BENCH_UPSTREAM": str(self.whole),
            "BENCH_QUEUE": f"bench-{pool}-{at_once}",
        }
        work = [str(python), "-m", "celery", "-A", "bench.rival", "worker", "-P", pool, "-c", str(at_once)]
        work += [
            "-l",
            "WARNING",
            "-n",
            f"{pool}{at_once}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
        submit = [str(python), "-m", "gevent.monkey", "--module", "bench.rival", str(port)]
        programs = (
            self.start("worker", work, self.cores.gateway, env, folder),
            self.start("submitter", submit, self.cores.gateway, env, folder),
        )
        until = time.monotonic() + 30
        while not ready(port):
            if time.monotonic() > until or not programs[1].alive():
                raise RuntimeError(f"Celery's submitter did not start:\n{programs[1].tail()}")
            time.sleep(0.05)
        return House(f"celery {pool} {at_once}", programs, ByCelery(port).submit)

    def leave(self, house: House) -> None:
        """Ends one contestant before the others."""
        for program in house.programs:
            self._programs.remove(program)
            program.stop()
