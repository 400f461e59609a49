"""
The laboratory: the mock upstreams and the contestants, each started on its core with a folder of its own.

All contestants get the same upstream and the same bytes. Foz runs with everything on: a key that is checked,
the ledger, the metrics. Its settings are the defaults; nothing is tuned here, and nothing may be.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from bench import bodies, dialects, install
from bench.processes import KEEPS, Cores, Program, free_port, wait_for

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "bench" / "templates"
KEY = "sk-bench-0123456789abcdef0123456789abcdef"
"""The administrator's key (`API_KEY`, LiteLLM's master key): it opens nothing but these runs."""


class Endpoint(Struct, frozen=True):
    """How callers reach one contestant, and the program to watch while they do."""

    name: str
    program: Program | None
    port: int
    stream_port: int
    key: str = KEY
    prefix: str = ""
    """Before the upstream's model name: what its callers must say."""
    connections: int = 64
    """How many the throughput run opens."""

    def wire(self, model: str, *, stream: bool = False) -> bytes:
        """The bytes of one request."""
        port = self.stream_port if stream else self.port
        return bodies.http_request(f"127.0.0.1:{port}", self.body(model, stream=stream), self.key)

    def body(self, model: str, *, stream: bool = False) -> bytes:
        return bodies.request(self.prefix + model, stream=stream)


class Lab:
    """Starts what a part asks for and ends it all."""

    def __init__(self, cores: Cores, models: Sequence[str]) -> None:
        self.cores = cores
        self.folder = install.WORK / "run" / str(os.getpid())
        self._models = models
        self._programs: list[Program] = []
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._start_mocks()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        if kind is None:
            shutil.rmtree(self.folder)

    def _end(self) -> None:
        while self._programs:
            self._programs.pop().stop()

    def _start_mocks(self) -> None:
        self.whole = free_port()
        self.paced = free_port()
        whole = self._nginx("mock", self.cores.mock, "mock.nginx.conf", port=self.whole, **_answers())
        env = {"PYTHONPATH": str(ROOT)}
        paced = self.start("paced", [sys.executable, "-m", "bench.mock", str(self.paced)], self.cores.mock, env)
        wait_for(whole, self.whole, "/", 10)
        wait_for(paced, self.paced, "/stats", 10)

    def direct(self) -> Endpoint:
        """The mocks themselves: what is left when nothing stands between."""
        return Endpoint("direct", None, self.whole, self.paced)

    def nginx(self, workers: int = 1) -> Endpoint:
        port, stream_port = free_port(), free_port()
        program = self._nginx(
            "nginx",
            self.cores.gateway,
            "proxy.nginx.conf",
            port=port,
            stream_port=stream_port,
            whole=self.whole,
            paced=self.paced,
            workers=workers,
        )
        wait_for(program, port, "/", 10)
        return Endpoint("nginx", program, port, stream_port)

    def litellm(self) -> Endpoint:
        command = install.environment("litellm") / "litellm"
        folder = self._folder("litellm")
        config = folder / "litellm.yaml"
        config.write_text(filled("litellm.yaml", whole=self.whole, key=KEY))
        port = free_port()
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
        arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        program = self.start("litellm", [str(command), *arguments], self.cores.gateway, env, folder)
        wait_for(program, port, "/health/liveliness", 180, pause=0.2)
        # Measured: more requests per second with 16 connections than with 64. It gets what suits it best.
        return Endpoint("litellm", program, port, port, prefix=bodies.RENAMED, connections=16)

    def foz(self, workers: int = 1, *, wait: bool = True, grpc_port: int = 0) -> Endpoint:
        """
        `foz serve` as an installation has it: its defaults, a caller's key, providers and models in `foz.toml`. gRPC,
        which has a process of its own from its first call on, is on where it is measured or waited for.
        """
        config = [filled("foz.toml", whole=self.whole, paced=self.paced)]
        for model in (bodies.UPSTREAM, *self._models):
            provider = "mock" if model == bodies.UPSTREAM else "paced"
            config += [
                f'[[model]]\nname = "{name}"\ntargets = [{{ provider = "{provider}", model = "{model}" }}]\n'
                for name in (model, bodies.RENAMED + model)
            ]
        return self.started("\n".join(config), workers, wait=wait, grpc_port=grpc_port)

    def started(self, config: str, workers: int = 1, *, wait: bool = True, grpc_port: int = 0) -> Endpoint:
        """`foz serve` with this `foz.toml`."""
        folder = self._folder("foz")
        (folder / "foz.toml").write_text(config)
        port = free_port()
        env = {
            "PYTHONPATH": str(ROOT / "src"),
            "FOZ_DATA": str(folder / "data"),
            "API_KEY": KEY,
            "MOCK_API_KEY": "sk-upstream",
            "FOZ_GRPC_PORT": str(grpc_port),
        }
        command = [sys.executable, "-m", "foz", "serve", "--host", "127.0.0.1", "--port", str(port)]
        if workers > 1:
            command += ["--workers", str(workers)]
        key = caller_key(folder, env)
        program = self.start("foz", command, self.cores.gateway, env, folder)
        if wait:
            wait_for(program, port, "/ready", 30)
        return Endpoint("foz", program, port, port, key, prefix=bodies.RENAMED)

    def stop(self, endpoint: Endpoint) -> None:
        """Ends one contestant before the others."""
        if endpoint.program in self._programs:
            self._programs.remove(endpoint.program)
            endpoint.program.stop()

    def _folder(self, name: str) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count}-{name}"
        folder.mkdir(parents=True)
        return folder

    def _nginx(self, name: str, on: Sequence[int], template: str, **values: object) -> Program:
        folder = self._folder(name)
        config = folder / "nginx.conf"
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(user + filled(template, dir=folder, **values))
        command = [install.program("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
        return self.start(name, command, on, None, folder)

    def start(
        self,
        name: str,
        command: Sequence[str],
        on: Sequence[int],
        env: dict[str, str] | None,
        folder: Path | None = None,
    ) -> Program:
        """A program of the laboratory's: it ends with it."""
        program = Program(name, command, on, folder or self._folder(name), env)
        self._programs.append(program)
        return program


def caller_key(folder: Path, env: dict[str, str]) -> str:
    """A caller's key as `foz keys create` makes it: hashed at rest, with a role, a project and a list of models."""
    command = [sys.executable, "-m", "foz", "keys", "create", "--name", "bench", "--project", "bench", "--json"]
    allowed = ["--model", f"{bodies.RENAMED}*", "--model", bodies.UPSTREAM, "--model", "paced-*", "--model", "whole-*"]
    kept = {key: os.environ[key] for key in KEEPS if key in os.environ}
    done = subprocess.run(
        [*command, *allowed], cwd=folder, env={**kept, "HOME": str(folder), **env}, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"foz keys create failed: {done.stderr.decode()[-500:]}")
    return msgspec.json.decode(done.stdout, type=_Made).key


class _Made(Struct):
    key: str


def _answers() -> dict[str, str]:
    """The whole answer, in each dialect, and as a stream of OpenAI's, for nginx to return."""
    found = {
        "answer": bodies.answer(bodies.UPSTREAM).decode(),
        "stream": bodies.stream(bodies.UPSTREAM).decode(),
        "message": dialects.answer(dialects.ANTHROPIC, bodies.UPSTREAM).decode(),
        "chat": dialects.answer(dialects.OLLAMA, bodies.UPSTREAM).decode(),
    }
    if any("'" in body or "$" in body for body in found.values()):
        raise ValueError("the mock's answer must have no quote and no dollar: nginx would read them")
    return found


def filled(template: str, **values: object) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(values)


def ask(endpoint: Endpoint, model: str) -> bytes:
    """One request on a connection of its own; the body of a 200, else an error that says what came."""
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as line:
        line.sendall(endpoint.wire(model).replace(b"\r\nAccept:", b"\r\nConnection: close\r\nAccept:", 1))
        parts = []
        while data := line.recv(65536):
            parts.append(data)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{endpoint.name} answered {head[:80]!r} {body[:300]!r}")
    wanted = f'"model":"{endpoint.prefix}{model}"'.encode()
    if bodies.ANSWER.encode() not in body or (endpoint.prefix and wanted not in body.replace(b": ", b":")):
        raise RuntimeError(f"{endpoint.name} answered 200 with another body: {body[:300]!r}")
    return body


def get(endpoint: Endpoint, path: str) -> bytes:
    """One GET with the administrator's key; the body of a 200, else an error."""
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as line:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{endpoint.port}\r\nAuthorization: Bearer {KEY}\r\n"
        line.sendall(f"{head}Connection: close\r\n\r\n".encode())
        parts = []
        while data := line.recv(65536):
            parts.append(data)
    answer_head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if not answer_head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{endpoint.name} answered GET {path} with {answer_head[:80]!r} {body[:200]!r}")
    return body


@contextmanager
def alone(endpoint: Endpoint, others: Sequence[Endpoint]) -> Iterator[None]:
    """Only this contestant may run on the gateway's core: the others are halted meanwhile."""
    halted = [each.program for each in others if each.program not in {None, endpoint.program}]
    for program in halted:
        if program is not None:
            program.pause()
    try:
        yield
    finally:
        for program in halted:
            if program is not None:
                program.resume()
