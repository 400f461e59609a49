"""
gRPC on one core: Foz's ModelService beside a bare `grpc.aio` echo of the same messages, and beside Foz's own HTTP door.

`h2load` calls both; what counts is calls (or a stream's messages) for each second of processor time that all processes
of a contestant took, so that it does not matter whether load and mock left the core anything to do. The ledger is
counted: an answer without its complete entry would be a rate of something else.

The echo asks nobody. So beside it stands the same server with one call of the upstream by httpx in it: what a gateway
without keys, ledger, limits and translation would cost, as it is usually written. It is no bar, only told.
"""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from statistics import median

import apsw
from msgspec import Struct

from bench import bodies, install, wrk
from bench.echo import STREAM, WHOLE
from bench.figures import Bar, Part, Series, ratio
from bench.lab import ROOT, Endpoint, Lab
from bench.plan import Plan
from bench.processes import Cores, Program, cores, free_port
from foz.skins.model_grpc import model_pb2 as pb
from foz.testing.process import wait_until
from foz.testing.service import Service

CONNECTIONS, EACH = 8, 8
EVENTS = 200
PACED = f"paced-0-{EVENTS}"
UNARY_BAR, STREAM_BAR = 0.6, 0.7
_DONE = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored")


class Contestant(Struct):
    """One of them."""

    name: str
    program: Program
    port: int
    key: str = ""


class Run(Struct, frozen=True):
    """What one turn came to."""

    calls: int
    seconds: float
    """Of processor time."""

    @property
    def each(self) -> float:
        """Calls for each second of processor time."""
        return self.calls / self.seconds


def _message(model: str) -> bytes:
    """The question of `bodies.request`, in a frame of gRPC's."""
    turns = [
        pb.Message(role="system", content="You answer briefly and in plain words."),
        pb.Message(role="user", content=bodies.QUESTION),
    ]
    asked = pb.ChatCompletionRequest(model_id=model, messages=turns, max_tokens=256, temperature=0.2)
    message = asked.SerializeToString()
    return b"\0" + len(message).to_bytes(4) + message


def _load(one: Contestant, path: str, model: str, placed: Cores, folder: Path, count: int) -> Run:
    """So many calls."""
    data = folder / f"{model}.bin"
    data.write_bytes(_message(model))
    headers = ("content-type: application/grpc", "te: trailers", f"authorization: Bearer {one.key}")
    command = [install.program("h2load"), "-n", str(count)]
    command += ["-c", str(CONNECTIONS), "-m", str(EACH), "-d", str(data)]
    for header in headers:
        command += ["-H", header]
    pinned = ["taskset", "-c", ",".join(map(str, placed.load)), *command, f"http://127.0.0.1:{one.port}{path}"]
    before = one.program.cpu_seconds()
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    spent = one.program.cpu_seconds() - before
    found = _DONE.search(done.stdout)
    if found is None or int(found[3]) or not int(found[2]):
        raise RuntimeError(f"{one.name}: h2load said:\n{done.stdout}{done.stderr}\n{one.program.tail()}")
    return Run(int(found[2]), spent)


def _entries(program: Program) -> int:
    path = program.log.parent / "data" / "foz.db"
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as ledger:
        return int(str(ledger.execute("SELECT count(*) FROM entries WHERE state = 'complete'").get))


def _ask(one: Contestant, method: str, model: str) -> int:
    """One call by a real client: how many messages came."""
    with Service(one.port, key=one.key or None) as service:
        ended = service.raw(method.rpartition("/")[2], _message(model)[5:])
    if ended.code.value[0]:
        raise RuntimeError(f"{one.name}: {ended.code} {ended.message}")
    return len(ended.answers)


def _contestants(lab: Lab) -> tuple[list[Contestant], Contestant, Endpoint]:
    """The echoes, bare and with a call of the upstream; Foz's gRPC, and its HTTP door."""
    port = free_port()
    endpoint = lab.foz(grpc_port=port)
    foz = endpoint.program
    assert foz is not None
    wait_until(lambda: "gRPC: " in foz.tail(), "Foz to listen for gRPC", 30.0)
    echoes = [_echo(lab, "echo"), _echo(lab, "asking", lab.whole)]
    return echoes, Contestant("foz", foz, port, endpoint.key), endpoint


def _echo(lab: Lab, name: str, *upstream: int) -> Contestant:
    env, port = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, free_port()
    command = [sys.executable, "-m", "bench.echo", *map(str, (port, EVENTS, *upstream))]
    echo = Contestant(name, lab.start(name, command, lab.cores.gateway, env), port)
    wait_until(lambda: _listens(echo), "the echo to listen", 30.0)
    return echo


def _listens(echo: Contestant) -> bool:
    try:
        return bool(_ask(echo, WHOLE, bodies.UPSTREAM))
    except RuntimeError:
        return False


def measure(plan: Plan) -> Part:
    """Interleaved rounds; ratios within each."""
    placed = cores()
    assert placed is not None
    with Lab(placed, [PACED]) as lab:
        (echo, asking), foz, http = _contestants(lab)
        messages = {one.name: _ask(one, STREAM, bodies.RENAMED + PACED) for one in (echo, foz)}
        before, answered = _entries(foz.program), 0
        unary: dict[str, list[float]] = {"echo": [], "asking": [], "foz": [], "http": []}
        streamed: dict[str, list[float]] = {"echo": [], "foz": []}
        calls, streams = round(plan.seconds * 1500), max(64, round(plan.seconds * 25))
        for number in range(plan.rounds):
            for one in (echo, asking, foz):
                whole = _load(one, WHOLE, bodies.RENAMED + bodies.UPSTREAM, placed, lab.folder, calls)
                unary[one.name].append(whole.each)
                answered += whole.calls if one is foz else 0
                said = f"{whole.each:8,.0f} calls"
                if one is not asking:
                    pieces = _load(one, STREAM, bodies.RENAMED + PACED, placed, lab.folder, streams)
                    streamed[one.name].append(pieces.each * messages[one.name])
                    answered += pieces.calls if one is foz else 0
                    said += f", {streamed[one.name][-1]:9,.0f} messages"
                print(f"  round {number + 1} {one.name:6} {said} a processor second", flush=True)
            door = wrk.run(http, placed, lab.folder, seconds=plan.seconds)
            unary["http"].append(1e6 / door.micros_each)
            answered += door.summary.requests
        missing = max(0, answered - (_entries(foz.program) - before))
    return _told(unary, streamed, answered, missing)


def _told(unary: dict[str, list[float]], streamed: dict[str, list[float]], answered: int, missing: int) -> Part:
    series = [Series(f"{name}: calls per processor second", "1/s", tuple(each)) for name, each in unary.items()]
    series += [Series(f"{name}: messages per processor second", "1/s", tuple(each)) for name, each in streamed.items()]
    calls = ratio("unary calls, foz / echo", unary["foz"], unary["echo"])
    pieces = ratio("messages of streams, foz / echo", streamed["foz"], streamed["echo"])
    door = ratio("unary calls, gRPC / HTTP door", unary["foz"], unary["http"])
    bars = (
        Bar(calls.name, "x", median(calls.values), ">=", UNARY_BAR),
        Bar(pieces.name, "x", median(pieces.values), ">=", STREAM_BAR),
        Bar(f"of {answered:,} answers, missing in the ledger", "", missing, "<=", 0),
    )
    asking = ratio("unary calls, foz / grpc.aio and one call by httpx", unary["foz"], unary["asking"])
    return Part("grpc", (*series, calls, pieces, door, asking), bars)
