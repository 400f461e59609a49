"""
Whether an engine works. Its own counters are asked first: one that makes tokens for others is well, however long the
line before it is; only one that does nothing is made to make a token.
"""

import re
from collections.abc import Awaitable, Callable, Sequence

from foz.canon.fault import Garbled, Timeout
from foz.wire.http import Call, Reply

COMPLETIONS = "/v1/completions"
_FIGURES_PATIENCE = 5.0
_OK = 200
_JSON = ((b"content-type", b"application/json"),)
_FIGURE = re.compile(rb"^(\w+:\w+)(?:\{[^}\n]*\})? ([0-9.e+]+)$", re.MULTILINE)

Held = Callable[[Sequence[int]], int | None]
"""Bytes of GPUs that processes hold; None where nobody can tell. May block for a moment."""
Ask = Callable[[Call, float], Awaitable[Reply]]
"""Asks it, with so much patience. Raises Down, Timeout or Garbled."""


def nobody_knows(pids: Sequence[int]) -> int | None:  # noqa: ARG001 - as `Held`
    """What is held of GPUs, where there are none."""
    return None


class Pulse:
    """Of one engine. `work` are counters of what it has made, `waits` figures of what it has to do."""

    def __init__(
        self, name: str, ask: Ask, probe: bytes, work: Sequence[bytes], waits: Sequence[bytes],
        path: str = COMPLETIONS,
    ) -> None:  # fmt: skip
        self._name = name
        self._ask = ask
        self._probe = probe
        self._work = work
        self._waits = waits
        self._path = path
        self._worked: tuple[float, ...] = ()

    async def feel(self, patience: float) -> None:
        """That it works. Raises Down, Timeout or Garbled."""
        soon = min(patience, _FIGURES_PATIENCE)
        if await self._goes_on(soon):
            return
        try:
            reply = await self._ask(Call("POST", self._path, headers=_JSON, body=self._probe), patience)
        except Timeout:
            if await self._goes_on(soon):
                return
            raise
        if reply.status != _OK:
            raise Garbled(f"{self._name} answers a probe with status {reply.status}: {reply.body[:200]!r}")

    async def busy(self) -> int:
        """Requests that run or wait there now."""
        said = await self._figures(_FIGURES_PATIENCE)
        return round(sum(said.get(name, 0.0) for name in self._waits))

    async def _goes_on(self, patience: float) -> bool:
        """Whether its counters have moved since they were last looked at."""
        said = await self._figures(patience)
        now = tuple(said.get(name, 0.0) for name in self._work)
        worked, self._worked = self._worked, now
        return bool(worked) and now != worked

    async def _figures(self, patience: float) -> dict[bytes, float]:
        reply = await self._ask(Call("GET", "/metrics"), patience)
        found: dict[bytes, float] = {}
        for name, figure in _FIGURE.findall(reply.body):
            found[name] = found.get(name, 0.0) + float(figure)
        return found
