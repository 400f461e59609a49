"""
Programs that run models. An `Engine` is a kind of program; what it starts is a `Process`, which belongs to whoever
started it: it ends with its owner, however that one ends.

A process speaks the `openai` dialect at its address and wants its key.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from foz.canon.deployment import Weights


class Load(Struct, frozen=True):
    """What a process is to be started with."""

    model_id: str
    weights: Weights
    slots: int
    """Requests at once."""
    context: int
    """Tokens of each slot: the engine is given slots x context."""
    threads: int
    flash: bool | None = None
    layers_on_gpu: int = 0
    """The rest stays in main memory."""


class Process(Protocol):
    """A running engine."""

    url: str
    """Where its API begins, without a slash at the end; `/v1/...` is under it."""
    key: str
    pid: int

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:
        """
        Until it has read its weights; `told` bytes read, of all. Raises Down with the end of what it said, where it
        ends before; Timeout with where it stood, where nothing moves for so many seconds.
        """
        ...

    async def probe(self, patience: float) -> None:
        """
        That it works: it has made tokens since it was last asked, else it is made to make one. Raises Down, Timeout or
        Garbled. One that is busy with others and goes on with them is well.
        """
        ...

    async def busy(self) -> int:
        """Requests that run or wait there now. Raises Down or Timeout."""
        ...

    async def wait(self) -> int:
        """Its exit status, once it ends."""
        ...

    def tail(self) -> Sequence[str]:
        """The last lines that it said."""
        ...

    def memory(self) -> int | None:
        """Bytes that it holds now, where that can be measured."""
        ...

    async def stop(self, grace: float) -> None:
        """Asks it to end, and makes it after so many seconds. When this returns it is gone, and its memory with it."""
        ...


class Engine(Protocol):
    """A kind of program."""

    name: str

    def missing(self) -> str | None:
        """Why it cannot be used on this machine, and what to do about it; None where it can."""
        ...

    async def start(self, load: Load) -> Process:
        """Starts it; it is not ready yet. Raises Down where it cannot even be started."""
        ...
