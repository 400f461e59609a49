"""wrk, pinned to the load's core: as many requests as the contestant takes, over kept connections."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from string import Template

import msgspec

from bench import bodies, install
from bench.lab import Endpoint
from bench.processes import Busy, Cores

SCRIPT = Path(__file__).parent / "templates" / "post.lua"


class Summary(msgspec.Struct, frozen=True):
    """What wrk counted (times in microseconds)."""

    requests: int
    micros: int
    p50: float
    p99: float
    status: int
    broken: int
    timeout: int

    @property
    def rate(self) -> float:
        return self.requests / (self.micros / 1e6)

    @property
    def failed(self) -> int:
        return self.status + self.broken + self.timeout


class Run(msgspec.Struct, frozen=True):
    """One run: what wrk counted, and what the cores and the contestant did meanwhile."""

    summary: Summary
    cpu: float
    """Seconds of processor time of the contestant."""
    gateway_busy: float
    load_busy: float

    @property
    def others(self) -> float:
        """The share of the gateway's core that neither the contestant nor idleness had: somebody else disturbed."""
        return max(0.0, self.gateway_busy - self.cpu / (self.summary.micros / 1e6))

    @property
    def micros_each(self) -> float:
        """Processor time per request, in microseconds."""
        return self.cpu * 1e6 / max(1, self.summary.requests)


def run(endpoint: Endpoint, cores: Cores, folder: Path, *, seconds: float, threads: int = 1) -> Run:
    """Loads one contestant for `seconds`."""
    return post(endpoint, bodies.PATH, endpoint.body(bodies.UPSTREAM), cores, folder, seconds=seconds, threads=threads)


def post(
    endpoint: Endpoint, path: str, body: bytes, cores: Cores, folder: Path, *, seconds: float, threads: int = 1
) -> Run:
    """Loads one contestant with this for `seconds`."""
    script = folder / "post.lua"
    script.write_text(Template(SCRIPT.read_text()).substitute(path=path, body=body.decode(), key=endpoint.key))
    command = [
        install.program("wrk"),
        f"-t{threads}",
        f"-c{endpoint.connections}",
        f"-d{seconds:g}s",
        "--timeout=20s",
        f"--script={script}",
        f"http://127.0.0.1:{endpoint.port}",
    ]
    before = endpoint.program.cpu_seconds() if endpoint.program else 0.0
    gateway, load = Busy(cores.gateway), Busy(cores.load)
    said = _said(command, cores.load)
    after = endpoint.program.cpu_seconds() if endpoint.program else 0.0
    return Run(summary=parse(said), cpu=after - before, gateway_busy=gateway.share(), load_busy=load.share())


def _said(command: Sequence[str], on: Sequence[int]) -> str:
    pinned = ["taskset", "-c", ",".join(map(str, on)), *command]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk failed: {(done.stdout + done.stderr).strip()[-500:]}")
    return done.stdout


def parse(said: str) -> Summary:
    """The line of JSON that the script printed at the end."""
    for line in said.splitlines():
        if line.startswith("WRK "):
            return msgspec.json.decode(line[4:], type=Summary)
    raise ValueError(f"wrk printed no summary: {said[-300:]!r}")
