"""
What stays behind: memory, file descriptors and tasks, from the 50,000th to the 150,000th request, half of them hung up.

Both looks are taken at rest: all callers gone, the mock answering nobody, and the numbers of descriptors still.
Memory is resident memory of all of the gateway's processes. Then the upstream's own count is asked: an answer
that it still gives is one that nobody waits for.
"""

import asyncio
import random
import time
from collections import Counter
from http.client import HTTPConnection

import msgspec
import uvloop

from bench import leavers, metrics
from bench.figures import Bar, Part, Series
from bench.lab import Endpoint, Lab, ask
from bench.mock import Stats
from bench.plan import Plan
from bench.processes import Memory, Program, cores

FIRST, SECOND = 50_000, 100_000
AT_ONCE = 64
REST = 20.0
"""Seconds that descriptors are given to come to rest."""


class Look(msgspec.Struct, frozen=True):
    """The gateway at rest."""

    requests: int
    memory: Memory
    descriptors: dict[str, int]
    tasks: float | None
    in_flight: float | None
    kept: int
    """Of the descriptors, those that are connections to the upstream, kept for the next request."""
    answering: int
    """Answers that the upstream was still giving."""

    @property
    def unkept(self) -> int:
        return sum(self.descriptors.values()) - self.kept


def measure(plan: Plan) -> Part:
    """One run: it is long, and a slope needs no rounds."""
    placed = cores()
    assert placed is not None
    scale = 20 if plan.quick else 1
    dice = random.Random(plan.seed)
    ends: Counter[str] = Counter()
    looks: list[Look] = []
    with Lab(placed, leavers.MODELS) as lab:
        foz = lab.foz()
        ask(foz, leavers.WHOLE)
        looks.append(_look(foz, lab, 1))
        for count in (FIRST // scale, SECOND // scale):
            began = time.perf_counter()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                ends += runner.run(leavers.visit_all(foz, count, dice, at_once=AT_ONCE))
            took = time.perf_counter() - began
            looks.append(_look(foz, lab, ends.total()))
            print(f"  {count:,} requests in {took:.0f} s: rss {looks[-1].memory.rss:.1f} MiB, "
                  f"descriptors {looks[-1].descriptors}", flush=True)  # fmt: skip
    return _told(looks, ends, plan)


def _look(endpoint: Endpoint, lab: Lab, requests: int) -> Look:
    program = endpoint.program
    assert program is not None
    descriptors = _still(program)
    upstream = _stats(lab.paced)
    counted = metrics.scraped(endpoint)
    return Look(
        requests=requests,
        memory=program.memory(),
        descriptors=descriptors,
        tasks=counted.get("foz_tasks"),
        in_flight=counted.get("foz_in_flight"),
        kept=upstream.connections - 1,  # one is the question's own
        answering=upstream.answering,
    )


def _still(program: Program) -> dict[str, int]:
    """The descriptors when they have been the same for three seconds, or after `REST` seconds."""
    end = time.monotonic() + REST
    last, since = program.descriptors(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < 3:
        time.sleep(0.2)
        now = program.descriptors()
        if now != last:
            last, since = now, time.monotonic()
    return last


def _stats(port: int) -> Stats:
    line = HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", "/stats")
    with line.getresponse() as reply:
        return msgspec.json.decode(reply.read(), type=Stats)


def _told(looks: list[Look], ends: Counter[str], plan: Plan) -> Part:
    _, before, after = looks
    series = [
        Series(f"{what} after {look.requests:,} requests", "MiB", (value,))
        for look in looks
        for what, value in (("rss", look.memory.rss), ("pss", look.memory.pss), ("anonymous", look.memory.anonymous))
    ]
    series += [Series(f"calls: {how}", "", (count,)) for how, count in sorted(ends.items())]
    notes = [f"seed {plan.seed}", *(f"at rest after {look.requests:,} requests: {_counts(look)}" for look in looks)]
    grown = after.memory.rss - before.memory.rss
    left = after.unkept - before.unkept
    odd = sum(count for how, count in ends.items() if how.startswith(("answered", "cut")))
    span = f"{before.requests:,} to {after.requests:,} requests"
    bars = [
        Bar(f"memory grown, {span}", "MiB", grown, "<", 5),
        Bar(f"descriptors more, {span}", "", left, "<=", 0),
        _counted(f"tasks more, {span}", "foz_tasks", before.tasks, after.tasks),
        _counted("requests in flight at rest", "foz_in_flight", 0.0, after.in_flight),
        Bar("upstream answers still given at rest", "", after.answering, "<=", 0),
        Bar("calls refused or cut that should not have been", "", odd, "<=", 0),
    ]
    return Part("memory", tuple(series), tuple(bars), tuple(notes))


def _counts(look: Look) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in look.descriptors.items())
    return f"descriptors {kinds}, {look.kept} of them kept upstream connections; tasks {look.tasks}"


def _counted(name: str, metric: str, before: float | None, after: float | None) -> Bar:
    if before is None or after is None:
        return Bar(name, "", None, "<=", 0, note=f"/metrics has no {metric}")
    return Bar(name, "", after - before, "<=", 0)
