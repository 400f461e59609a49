"""
A model that Foz runs: tokens per second and the time to the first of them through the gateway, beside the same engine
asked directly, by 1, 4 and 8 callers at once; and beside llama-cpp-python's server with the same file.

The model is made here: 108 MB of random weights, stored as Q8_0, which talk for as long as they are let. Each caller
has a new question of its own, so that nobody's prompt is in a cache, and is told exactly as many tokens as the others.
The engine stands on cores of its own (all but the last two, or the first one of two), with as many threads; it is put
there once it runs. The gateway stands on another core, and the load on one of its own where there are three.

Foz and its engine take turns; the other server has turns of its own in each round. Measured on two cores: with that
server, and 108 MB of another model, between every two answers the first token comes 3.0 to 3.6 ms later through the
gateway than from the engine, without 1.0 to 1.8: nothing of the gateway is in a cache any more, and that is no cost
of a gateway beside its own engine.
"""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import fmean

import msgspec
import uvloop
from msgspec import Struct

from bench import bodies, install
from bench.figures import Bar, Part, Series, ratio
from bench.lab import KEY, Endpoint, Lab
from bench.plan import Plan
from bench.processes import ALLOWED, Cores, Program, cpu_seconds, free_port, wait_for
from bench.talkers import talk
from foz.testing import gguf
from foz.testing.process import wait_until
from foz.testing.raw import RawConnection

CALLERS = (1, 4, 8)
TOKENS = 32
SLOTS, CONTEXT = max(CALLERS), 512
BAR = 0.97
SHARE, LEAST = 0.75, 3.0
"""Of the seconds of a run, for there are many; and the fewest."""
LIMIT = 120.0
"""Seconds that an answer may take."""
MODEL = f"{bodies.RENAMED}random"
FILE = "random-Q8_0.gguf"
CONFIG = """
[local]
threads = {threads}
tiny = false
"""
RIVAL = "llama-cpp-python"
JSON = ((b"content-type", b"application/json"), (b"authorization", f"Bearer {KEY}".encode()))


class Stand(Struct, frozen=True):
    """Who is on which cores."""

    engine: tuple[int, ...]
    rest: Cores


class Turn(Struct, frozen=True):
    """What one contestant did for so many callers in one round."""

    rate: float
    """Tokens per second, of all callers together."""
    first: float
    """Seconds to the first token, on an average."""
    own: float
    """Microseconds of processor time for each token, of the contestant without the engine."""
    worked: float
    """Tokens per second of the engine's processor time: who else is at work on the machine changes that little."""


class Wave(Struct, frozen=True):
    """Some callers at once, each told one answer."""

    took: float
    firsts: list[float]
    own: float
    work: float
    """Processor seconds of the engine."""


class Engine(Struct, frozen=True):
    """The engine that the gateway runs."""

    pid: int
    port: int
    key: str


Turns = dict[tuple[str, int], list[Turn]]


def stand() -> Stand:
    """All cores but the last two are the engine's; of two it has the first."""
    have = ALLOWED
    engine = have[:-2] or have[:1]
    gateway, load = (have[-2:-1], have[-1:]) if len(have) > 2 else (have[-1:], have[-1:])
    return Stand(engine, Cores(gateway=gateway, load=load, mock=load))


def measure(plan: Plan) -> Part:
    """Interleaved rounds; each ratio within its round."""
    on = stand()
    with Lab(on.rest, []) as lab:
        path = lab.folder / FILE
        gguf.write(path)
        foz, engine = _foz(lab, on, path)
        rival, notes = _rival(lab, on, path) if plan.has(RIVAL) else (None, ())
        direct = Endpoint("direct", None, engine.port, engine.port, engine.key)
        house = House(engine)
        groups = [[direct, foz], *([] if rival is None else [[rival]])]
        turns: Turns = {(each.name, callers): [] for callers in CALLERS for group in groups for each in group}
        for group in groups:
            house.round(group, SLOTS, 1.0, turned=False)
        for number in range(plan.rounds):
            for callers in CALLERS:
                found: dict[str, Turn] = {}
                for group in groups:
                    seconds = max(plan.seconds * SHARE, LEAST)
                    found |= house.round(group, callers, seconds, turned=bool(number % 2))
                for name, turn in found.items():
                    turns[name, callers].append(turn)
                said = [
                    f"{name} {one.rate:.1f}/s, first after {one.first * 1000:.0f} ms" for name, one in found.items()
                ]
                print(f"  round {number + 1}, {callers} at once: {'; '.join(said)}", flush=True)
        held = Path(f"/proc/{engine.pid}/status").read_text().partition("VmRSS:")[2].split()[0]
    return _told(turns, (_described(on, int(held)), *notes))


def _foz(lab: Lab, on: Stand, path: Path) -> tuple[Endpoint, Engine]:
    """The gateway, and the engine that it runs, on its cores."""
    foz = lab.started(CONFIG.format(threads=len(on.engine)))
    assert foz.program is not None
    data = foz.program.log.parent / "data"
    (data / "models").mkdir(exist_ok=True)
    os.link(path, data / "models" / FILE)
    wish = {"model_type": "random", "model_id": MODEL, "source": FILE}
    _call(
        foz,
        "POST",
        "/models/local/deploy",
        {**wish, "deployment_config": {"max_batch_size": SLOTS, "context": CONTEXT}},
    )
    wait_until(lambda: _status(foz) == "completed", "the model to run", LIMIT)
    engine = _engine(data)
    for task in Path(f"/proc/{engine.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), on.engine)
    return foz, engine


def _call(foz: Endpoint, method: str, path: str, body: object = None) -> bytes:
    with RawConnection(foz.port, deadline=30.0) as line:
        reply = line.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    if reply.status != 200:
        raise RuntimeError(f"{method} {path} was answered with {reply.status}: {reply.body[:500]!r}")
    return reply.body


def _status(foz: Endpoint) -> str:
    (one,) = msgspec.json.decode(_call(foz, "GET", "/models/local/deployments"))["data"]["deployments"]
    if one["status"] == "failed":
        raise RuntimeError(f"the model does not run: {one['error']}")
    return str(one["status"])


def _engine(data: Path) -> Engine:
    """Where it is and its key, as the gateway's processes find them."""
    with closing(sqlite3.connect(f"file:{data / 'foz.db'}?mode=ro", uri=True)) as store:
        (seen,) = store.execute("SELECT seen FROM deployments WHERE model = ?", (MODEL,)).fetchone()
    (replica,) = msgspec.json.decode(seen)["replicas"]
    return Engine(replica["pid"], int(replica["url"].rpartition(":")[2]), replica["key"])


def _rival(lab: Lab, on: Stand, path: Path) -> tuple[Endpoint | None, tuple[str, ...]]:
    """llama-cpp-python's server; where it cannot be had, what is said about that."""
    try:
        python = install.environment(RIVAL) / "python"
    except install.Missing as lost:
        return None, (f"{RIVAL} is not measured: it could not be built here. {str(lost).splitlines()[-1]}",)
    port, threads = free_port(), str(len(on.engine))
    options = {
        "model": str(path), "model_alias": MODEL, "host": "127.0.0.1", "port": str(port), "api_key": KEY,
        "n_ctx": str(CONTEXT), "n_threads": threads, "n_threads_batch": threads,
        "interrupt_requests": "false", "verbose": "false",
    }  # fmt: skip
    command = [str(python), "-m", "llama_cpp.server"]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    program = lab.start(RIVAL, command, (*on.engine, *on.rest.gateway), {"GOMP_SPINCOUNT": "0"})
    wait_for(program, port, "/docs", LIMIT)
    note = (
        f"{RIVAL} {install.version(RIVAL)} may use the engine's cores and the gateway's; it answers one after the "
        "other (`--interrupt_requests false`: else each new caller would cut the one before off). It was built here, "
        f"for this processor: {_built(str(python), 'llama_cpp.llama_print_system_info().decode()')}; xllamacpp's wheel "
        f"is built for all of them: {_built(sys.executable, 'xllamacpp.get_system_info()')}."
    )
    return Endpoint(RIVAL, program, port, port), (note,)


def _built(python: str, info: str) -> str:
    """What a build of llama.cpp can do on this processor, in its own words."""
    code = f"import {info.partition('.')[0]}; print({info})"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    features = [part.split()[-3] for part in said.split("|") if part.strip().endswith("= 1")]
    return ", ".join(features)


def _question(endpoint: Endpoint, number: int) -> bytes:
    """One that nobody has asked before; short, for each of its letters is a token to this model."""
    said = f"{number} rivers?"
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": said}], "max_tokens": TOKENS, "temperature": 0,
        "stream": True,
    }  # fmt: skip
    return bodies.http_request(f"127.0.0.1:{endpoint.port}", msgspec.json.encode(body), endpoint.key)


class House:
    """Where they are compared, and the questions that nobody has heard."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._new = count(1)

    def round(self, group: list[Endpoint], callers: int, seconds: float, *, turned: bool) -> dict[str, Turn]:
        """
        So many callers at once, of one contestant after the other, again and again until each was heard for so long:
        what the machine does meanwhile it does to all of them.
        """
        waves: dict[str, list[Wave]] = {each.name: [] for each in group}
        gc.collect()
        gc.disable()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            while any(sum(wave.took for wave in each) < seconds for each in waves.values()):
                for each in reversed(group) if turned else group:
                    if sum(wave.took for wave in waves[each.name]) < seconds:
                        waves[each.name].append(self._wave(runner, each, callers))
                turned = not turned
        gc.enable()
        return {name: _turn(found) for name, found in waves.items()}

    def _wave(self, runner: asyncio.Runner, endpoint: Endpoint, callers: int) -> Wave:
        """One contestant's. The others are idle: who was halted has much to do when he goes on."""
        requests = [_question(endpoint, next(self._new)) for _ in range(callers)]
        spent, worked = _own(endpoint.program, self._engine), cpu_seconds(self._engine.pid)
        began = time.perf_counter()
        talks = runner.run(talk(endpoint.port, requests, TOKENS, LIMIT))
        work = cpu_seconds(self._engine.pid) - worked
        own = _own(endpoint.program, self._engine) - spent
        return Wave(max(one.last for one in talks) - began, [one.first - one.began for one in talks], own, work)


def _turn(waves: list[Wave]) -> Turn:
    firsts = [first for wave in waves for first in wave.firsts]
    tokens = TOKENS * len(firsts)
    took, own, work = (sum(each) for each in zip(*((one.took, one.own, one.work) for one in waves), strict=True))
    return Turn(tokens / took, fmean(firsts), own * 1e6 / tokens, tokens / work if work else 0.0)


def _own(program: Program | None, engine: Engine) -> float:
    """Processor seconds of a contestant so far; the engine that the gateway runs is its child, and not counted."""
    if program is None:
        return 0.0
    ours = engine.pid in program.tree()
    return program.cpu_seconds() - (cpu_seconds(engine.pid) if ours else 0.0)


def _told(turns: Turns, notes: tuple[str, ...]) -> Part:
    series: list[Series] = []
    bars: list[Bar] = []
    names = list(dict.fromkeys(name for name, _ in turns))
    for callers in CALLERS:
        at = f"{callers} caller{'s' if callers > 1 else ''}"
        for name in names:
            series.append(
                _series(turns, name, callers, f"{name}: tokens per second, {at}", "1/s", lambda one: one.rate)
            )
            first = f"{name}: to the first token, {at}"
            series.append(_series(turns, name, callers, first, "ms", lambda one: one.first * 1000))
        direct, foz = turns["direct", callers], turns["foz", callers]
        rates = ratio(f"tokens per second, foz / direct, {at}", [one.rate for one in foz], [one.rate for one in direct])
        firsts = ratio(
            f"time to the first token, direct / foz, {at}", [one.first for one in direct], [one.first for one in foz]
        )
        worked = f"tokens per processor second of the engine, foz / direct, {at}"
        work = ratio(worked, [one.worked for one in foz], [one.worked for one in direct])
        series += [rates, work, firsts]
        bars += [Bar(each.name, "x", each.middle, ">=", BAR) for each in (rates, firsts)]
        if RIVAL in names:
            others = [one.rate for one in turns[RIVAL, callers]]
            series.append(ratio(f"tokens per second, foz / {RIVAL}, {at}", [one.rate for one in foz], others))
    for name in ("direct", "foz"):
        one, many = ([turn.rate for turn in turns[name, callers]] for callers in (1, SLOTS))
        series.append(ratio(f"{name}: tokens per second, {SLOTS} callers / 1", many, one))
    bars.append(Bar(series[-1].name, "x", series[-1].middle, ">=", 1.0))
    added = [b.first - a.first for a, b in zip(turns["direct", 1], turns["foz", 1], strict=True)]
    series.append(Series("foz: added to the first token, 1 caller", "ms", tuple(each * 1000 for each in added)))
    own = "foz: processor time of the gateway per token"
    series += [
        _series(turns, "foz", callers, f"{own}, {callers} at once", "µs", lambda one: one.own) for callers in CALLERS
    ]
    return Part("local", tuple(series), tuple(bars), notes)


def _series(turns: Turns, name: str, callers: int, title: str, unit: str, figure: Callable[[Turn], float]) -> Series:
    return Series(title, unit, tuple(figure(one) for one in turns[name, callers]))


def _described(on: Stand, held: int) -> str:
    """The engine, its threads and the cores."""
    many = len(on.engine)
    return (
        f"Engine: llama.cpp (xllamacpp {version('xllamacpp')}), {many} thread{'s' if many > 1 else ''} on core"
        f"{'s' if many > 1 else ''} {', '.join(map(str, on.engine))}, {SLOTS} slots of {CONTEXT} tokens, "
        f"{held // 1024} MiB resident; gateway on core {on.rest.gateway[0]}, load on core {on.rest.load[0]}. The "
        f"model: 108 MB of random weights, Q8_0, {TOKENS} tokens an answer, every prompt a new one."
    )
