"""
What translating costs: every dialect of callers before every dialect of upstreams, beside relaying.

One gateway, one core, its own processor time (not the clock: whoever else is at work changes that little): for each
whole call under wrk, and for each event of paced streams, each of which comes by itself. The measure of a pair is the
relay lane of its upstream's dialect: the same upstream, the same bytes and the same number of events, the same entry in
the ledger; only the caller speaks the same dialect and asks for the same. Where both ends speak one dialect the pair is
measured on a second gateway, with `[gateway] relay = false`. Responses are asked with `store: false`: no upstream is
asked for them, so all of theirs are translated. Dialects that no caller of ours speaks by itself (Hugging Face's own,
OCI's signed one) are not here: their fakes are heavier than what is to be measured.
"""

import asyncio
import gc
import socket

import uvloop
from msgspec import Struct

from bench import bodies, dialects, wrk
from bench.callers import listen
from bench.dialects import CALLERS, UPSTREAMS, Dialect
from bench.figures import Bar, Part, Series, ratio
from bench.lab import Endpoint, Lab, alone
from bench.plan import Plan
from bench.processes import cores

BAR = 1.6
STREAMS = 128
PACE_MS = 10
LONGEST = 2.0
"""Seconds of one run: there are many."""
SHORTEST = 1.0
"""wrk counts whole seconds."""
RAMP = 0.5
NOISE = 0.05


class Pair(Struct, frozen=True):
    """Who calls, who answers, and in which lane."""

    caller: Dialect
    upstream: Dialect
    lane: str

    @property
    def name(self) -> str:
        """How it is told."""
        return f"{self.caller.name} -> {self.upstream.name}, {self.lane}"


class Run(Struct, frozen=True):
    """One pair in one round: microseconds of processor time."""

    call: float
    event: float
    others: float = 0.0
    """The share of the gateway's core that somebody else had meanwhile."""


RELAYED = tuple(Pair(one, one, "relayed") for one in UPSTREAMS)
TRANSLATED = tuple(Pair(caller, upstream, "translated") for caller in CALLERS for upstream in UPSTREAMS)


def measure(plan: Plan) -> Part:
    """Interleaved rounds; each ratio within its round."""
    placed = cores()
    assert placed is not None
    seconds = SHORTEST if plan.quick else min(plan.seconds, LONGEST)
    count = int(seconds * 1000 / PACE_MS)
    with Lab(placed, []) as lab:
        text = config(lab.whole, lab.paced, count)
        foz, translating = lab.started(text), lab.started(f"{text}[gateway]\nrelay = false\n")
        both = (foz, translating)
        runs: dict[Pair, list[Run]] = {pair: [] for pair in (*RELAYED, *TRANSLATED)}
        for pair in runs:
            with alone(_gateway(pair, both), both):
                wrk.post(_gateway(pair, both), *_whole(pair), lab.cores, lab.folder, seconds=SHORTEST)
        for number in range(plan.rounds):
            for pair, found in runs.items():
                with alone(_gateway(pair, both), both):
                    run = _run(pair, _gateway(pair, both), lab, seconds, count)
                found.append(run)
                print(
                    f"  round {number + 1} {pair.name:34} {run.call:6.1f} µs a call, {run.event:5.1f} µs an event",
                    flush=True,
                )
    return told(runs)


def _gateway(pair: Pair, both: tuple[Endpoint, Endpoint]) -> Endpoint:
    """The one that relays where it can, or the one that never does."""
    return both[pair.lane == "translated" and pair.caller is pair.upstream]


def config(whole: int, paced: int, count: int) -> str:
    """The `foz.toml`: for each dialect a provider of whole answers and one of streams, each with a model."""
    said = []
    for one in UPSTREAMS:
        root = "/v1" if one is dialects.OPENAI else ""
        for kind, port, model in (("whole", whole, bodies.UPSTREAM), ("paced", paced, f"paced-{PACE_MS}-{count}")):
            said.append(
                f'[[provider]]\nname = "{one.name}-{kind}"\ndialect = "{one.name}"\n'
                f'base_url = "http://127.0.0.1:{port}{root}"\nsecret = ["MOCK_API_KEY"]\nmodels = ""\n\n'
                f'[[model]]\nname = "{bodies.RENAMED}{one.name}-{kind}"\n'
                f'targets = [{{ provider = "{one.name}-{kind}", model = "{model}" }}]\n'
            )
    return "\n".join(said)


def _whole(pair: Pair) -> tuple[str, bytes]:
    return pair.caller.path, _asked(pair, stream=False)


def _asked(pair: Pair, *, stream: bool) -> bytes:
    model = f"{bodies.RENAMED}{pair.upstream.name}-{'paced' if stream else 'whole'}"
    return dialects.request(pair.caller, model, stream=stream)


def _run(pair: Pair, foz: Endpoint, lab: Lab, seconds: float, count: int) -> Run:
    path, body = _whole(pair)
    _check(pair, foz, body)
    loaded = wrk.post(foz, path, body, lab.cores, lab.folder, seconds=seconds)
    if loaded.summary.failed:
        raise RuntimeError(f"{pair.name}: {loaded.summary.failed} of {loaded.summary.requests} failed")
    return Run(loaded.micros_each, _stream(pair, foz, count), loaded.others)


def _check(pair: Pair, foz: Endpoint, body: bytes) -> None:
    """One call whose answer is looked at: wrk only looks at its status."""
    request = bodies.http_request(f"127.0.0.1:{foz.port}", body, foz.key, pair.caller.path)
    with socket.create_connection(("127.0.0.1", foz.port), 10) as line:
        line.sendall(request.replace(b"\r\nAccept:", b"\r\nConnection: close\r\nAccept:", 1))
        parts = []
        while data := line.recv(65536):
            parts.append(data)
    head, _, answered = b"".join(parts).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200") or bodies.ANSWER.encode() not in answered:
        raise RuntimeError(f"{pair.name} answered {head[:80]!r} {answered[:300]!r}")
    if f'"{bodies.RENAMED}{pair.upstream.name}-whole"'.encode() not in answered:
        raise RuntimeError(f"{pair.name} answered with another model's name: {answered[:300]!r}")


def _stream(pair: Pair, foz: Endpoint, count: int) -> float:
    """Processor time for each event that the upstream said."""
    assert foz.program is not None
    gc.collect()
    gc.disable()
    body = _asked(pair, stream=True)
    request = bodies.http_request(f"127.0.0.1:{foz.port}", body, foz.key, pair.caller.path)
    before = foz.program.cpu_seconds()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        limit = RAMP + count * PACE_MS / 1000 * 3 + 10
        listening = listen(
            foz.port, request, STREAMS, ramp=RAMP, limit=limit, mark=dialects.MARK, ending=pair.caller.ending
        )
        seen, _ = runner.run(listening)
    spent = foz.program.cpu_seconds() - before
    gc.enable()
    broken = [one for one in seen if not (one.ok and one.finished and one.events == count)]
    if broken:
        raise RuntimeError(f"{pair.name}: {len(broken)} of {STREAMS} streams are not whole, as {broken[0]}")
    return spent * 1e6 / (STREAMS * count)


def told(runs: dict[Pair, list[Run]]) -> Part:
    """The figures, and the ratios beside the relay lane of the upstream's dialect."""
    series, bars = [], []
    for pair, found in runs.items():
        series += [
            Series(f"{pair.name}: processor time a call", "µs", tuple(run.call for run in found)),
            Series(f"{pair.name}: calls for each processor second", "1/s", tuple(1e6 / run.call for run in found)),
            Series(f"{pair.name}: processor time an event", "µs", tuple(run.event for run in found)),
        ]
    for pair in (one for one in runs if one.lane == "translated"):
        beside = runs[Pair(pair.upstream, pair.upstream, "relayed")]
        name = f"{pair.caller.name} -> {pair.upstream.name}: translated / relayed"
        ratios = (
            ratio(f"{name}, a call", [run.call for run in runs[pair]], [run.call for run in beside]),
            ratio(f"{name}, an event", [run.event for run in runs[pair]], [run.event for run in beside]),
        )
        series += ratios
        bars += [Bar(each.name, "x", each.middle, "<=", BAR) for each in ratios]
    others = [run.others for found in runs.values() for run in found]
    series.append(Series("gateway core taken by others", "share", tuple(others)))
    noisy = max(others) > NOISE
    notes = ("Somebody else was at work on the gateway's core in some rounds: cold caches cost more, too.",)
    return Part("pairs", tuple(series), tuple(bars), notes if noisy else ())
