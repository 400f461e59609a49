"""
Where the gateway's time goes under the bench's own load: `python -m bench.profile rps|streams`.

py-spy (from `requirements/profile.lock`, into `bench/.work`) looks at the running gateway from outside; nothing in it
is changed. It counts the thread that holds the GIL, system calls to the Python function that made them. What runs
without the GIL (SQLite, parts of uvloop) is told by `perf` where that is installed: the share of each thread, library
and of the kernel. Looking costs a little itself, so rates printed here are lower.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import uvloop

from bench import install, wrk
from bench.callers import listen
from bench.lab import Endpoint, Lab, ask
from bench.parts.streams import PACE_MS, STREAMS
from bench.processes import Cores, cores

TOP = 45


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("load", choices=["rps", "streams"])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=250, help="samples a second")
    parser.add_argument("--native", action="store_true", help="also frames of C and Cython (slower, fewer samples)")
    parser.add_argument("--same-name", action="store_true", help="the model's public name is the upstream's")
    parser.add_argument("--keep", type=Path, help="also write py-spy's stacks to this file (for flame graphs)")
    return parser.parse_args()


def main() -> int:
    """Loads the gateway, looks at it meanwhile, prints tables."""
    given = _arguments()
    try:
        install.needed()
        spy = install.environment("profile") / "py-spy"
    except install.Missing as lost:
        print(f"bench.profile: {lost}", file=sys.stderr)
        return 2
    placed = cores()
    assert placed is not None
    os.sched_setaffinity(0, placed.load)
    model = f"paced-{PACE_MS}-{(given.seconds + 8) * 1000 // PACE_MS}"
    with Lab(placed, [model]) as lab:
        foz = lab.foz()
        if given.same_name:
            foz = Endpoint(foz.name, foz.program, foz.port, foz.stream_port, foz.key)
        ask(foz, "mock")
        loaded = threading.Thread(target=_load, args=(given.load, foz, placed, lab.folder, given.seconds + 8, model))
        loaded.start()
        threading.Event().wait(3)
        stacks = _spied(spy, foz, lab.folder / "stacks.txt", given)
        _perf(foz, lab.folder / "perf.data")
        loaded.join()
    if given.keep:
        given.keep.write_text(stacks)
    print("\n".join(told(stacks)))
    return 0


def _load(kind: str, foz: Endpoint, placed: Cores, folder: Path, seconds: int, model: str) -> None:
    if kind == "rps":
        run = wrk.run(foz, placed, folder, seconds=seconds)
        print(f"under the profilers: {run.summary.rate:,.0f} requests per second, {run.micros_each:.1f} µs each")
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        request = foz.wire(model, stream=True)
        runner.run(listen(foz.stream_port, request, STREAMS, ramp=1.0, limit=seconds + 5))


def _spied(spy: Path, foz: Endpoint, out: Path, given: argparse.Namespace) -> str:
    assert foz.program is not None
    command = [str(spy), "record", "--pid", str(foz.program.pid), "--subprocesses", "--threads", "--format", "raw"]
    command += ["--duration", str(given.seconds), "--rate", str(given.rate), "--function", "--output", str(out)]
    # Threads that wake from py-spy's own pause look as if they ran: only the one that holds the GIL surely does.
    command += ["--gil", *(["--native"] if given.native else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"py-spy failed (it needs the right to trace): {done.stderr.strip()[-400:]}")
    return out.read_text()


def _perf(foz: Endpoint, out: Path) -> None:
    perf = shutil.which("perf")
    if perf is None or foz.program is None:
        print("perf is not installed: no table by library (Debian: linux-perf)")
        return
    pids = ",".join(map(str, foz.program.tree()))
    record = [perf, "record", "-q", "-e", "cpu-clock", "-F", "999", "-p", pids, "-o", str(out), "--", "sleep", "3"]
    done = subprocess.run(record, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"perf could not record: {done.stderr.strip()[-300:]}")
        return
    for sort, count in (("pid", 6), ("dso", 12), ("dso,symbol", 40)):
        report = [perf, "report", "-i", str(out), "--stdio", "--sort", sort, "--percent-limit", "0.4"]
        said = subprocess.run(report, capture_output=True, text=True, check=False).stdout
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith("#")]
        print(f"\nperf, by {sort}:")
        print("\n".join(lines[:count]))


def told(stacks: str) -> list[str]:
    """Tables of py-spy's stacks (`thread;outer;...;inner count`): by thread, by function, by function and below."""
    threads: Counter[str] = Counter()
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        named = [frame for frame in frames if not frame.startswith(("process ", "thread "))]
        threads[next((frame for frame in frames if frame.startswith("thread ")), "?")] += int(count)
        if named:
            own[named[-1]] += int(count)
            below.update(dict.fromkeys(set(named), int(count)))
    total = max(1, threads.total())
    lines = [f"\n{total} samples of the thread that held the GIL"]
    for title, counted in (("by thread", threads), ("in the function itself", own), ("in it and what it calls", below)):
        lines += ["", title]
        lines += [f"  {count / total:6.1%}  {name}" for name, count in counted.most_common(TOP)]
    return lines


if __name__ == "__main__":
    sys.exit(main())
