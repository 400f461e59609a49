"""
What the simulated upstream's server has seen, for `GET /_seen`. `DELETE /_seen` forgets it.

Times are milliseconds of the machine's monotonic clock, the same in every process of it (`time.monotonic() * 1000`).

    {"requests": {"/v1/chat/completions": 2},      how many of each path, from the moment their head was complete
     "request_ids": ["..."],                       their x-request-id, where they had one, in order
     "answering": 0,                               requests being answered now
     "connections": {"opened": 3, "open": 1},
     "closed": [{"connection": 2, "opened": 1.0, "closed": 2.0, "by": "peer"}],
     "cut": [{"request_id": "...", "path": "...", "at": 2.0, "pieces": 7}],
     "produced": [{"request_id": "...", "path": "...", "input": 5, "output": 7, "whole": true}]}

`cut` are the answers whose peer left before they were whole: `pieces` of them had been written, 0 before the first.
`produced` are the tokens of each answer, where the fake counts them (those of vendors do): what a ledger must say of
it. Of an answer that was not `whole`, `output` is what had been written.
"""

import time
from collections import Counter, deque
from pathlib import Path
from typing import Any, TextIO

from foz.wire.http import Call

KEPT = 100_000
"""The newest of each list that are kept."""


def milliseconds() -> float:
    """Now."""
    return time.monotonic_ns() / 1e6


class Seen:
    """Counters of one server; `log` is where each request is written before it is answered."""

    def __init__(self, log: Path | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self.request_ids: deque[str] = deque(maxlen=KEPT)
        self.answering = 0
        self.opened = 0
        self.open = 0
        self.closed: deque[dict[str, object]] = deque(maxlen=KEPT)
        self.cut: deque[dict[str, object]] = deque(maxlen=KEPT)
        self.produced: deque[dict[str, object]] = deque(maxlen=KEPT)
        self._log: TextIO | None = log.open("a", encoding="utf-8") if log is not None else None

    def forget(self) -> None:
        """Starts again; what is open stays counted."""
        for kept in (self.requests, self.request_ids, self.closed, self.cut, self.produced):
            kept.clear()
        self.opened = self.open

    def connected(self) -> int:
        """One more connection; gives its number."""
        self.opened += 1
        self.open += 1
        return self.opened

    def disconnected(self, connection: int, opened: float, by: str) -> None:
        """One less, closed by `peer` or `us`."""
        self.open -= 1
        self.closed.append({"connection": connection, "opened": opened, "closed": milliseconds(), "by": by})

    def asked(self, call: Call) -> None:
        """A request's head is complete."""
        self.requests[call.path] += 1
        id = (call.header(b"x-request-id") or b"").decode("latin-1")
        if id:
            self.request_ids.append(id)
        if self._log is not None:
            entry = (call.header(b"x-foz-entry") or b"").decode("latin-1")
            self._log.write(f"{call.path}\t{id}\t{entry}\n")
            self._log.flush()

    def left(self, call: Call, pieces: int) -> None:
        """The peer left before the answer was whole."""
        id = (call.header(b"x-request-id") or b"").decode("latin-1")
        self.cut.append({"request_id": id, "path": call.path, "at": milliseconds(), "pieces": pieces})

    def made(self, call: Call, input: int, output: int, *, whole: bool) -> None:
        """An answer has ended, with so many tokens."""
        id = (call.header(b"x-request-id") or b"").decode("latin-1")
        self.produced.append({"request_id": id, "path": call.path, "input": input, "output": output, "whole": whole})

    def told(self) -> dict[str, Any]:
        """All of it."""
        return {
            "requests": dict(self.requests),
            "request_ids": list(self.request_ids),
            "answering": self.answering,
            "connections": {"opened": self.opened, "open": self.open},
            "closed": list(self.closed),
            "cut": list(self.cut),
            "produced": list(self.produced),
        }
