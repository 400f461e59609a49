"""
Programs that run models. An `Engine` is a kind of program; what it starts is a `Process`, which belongs to whoever
started it: it ends with its owner, however that one ends.

A process speaks the `openai` dialect at its address and wants its key.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from foz.canon.deployment import Form, Quantization, Weights
from foz.ports.devices import Device

LLAMA_CPP, VLLM, OLLAMA, OPENAI = "llama.cpp", "vllm", "ollama", "openai"
"""The engines that there are; the last two are servers that we do not run."""


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
    gpus: tuple[int, ...] = ()
    """Which GPUs it may see, by their index; the first has the most room."""
    split: tuple[float, ...] = ()
    """How the weights are shared among them, where they are several."""
    share: float = 0.0
    """Of each GPU's memory it may take so much, where the engine wants to know."""
    spill: int = 0
    """Bytes of the weights, for each GPU, that stay in main memory, where the engine counts in bytes."""
    quantize: Quantization | None = None
    """What is made of the weights while they are loaded."""


class Process(Protocol):
    """A running engine."""

    url: str
    """Where its API begins, without a slash at the end; `/v1/...` is under it. Empty for what we do not run."""
    key: str
    pid: int
    provider: str
    """Who is asked in its stead, and by which name of the model; empty for what we run."""
    model: str

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
    reads: frozenset[Form]
    on_gpus_only: bool

    def missing(self) -> str | None:
        """Why it cannot be used on this machine, and what to do about it; None where it can."""
        ...

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:
        """Of the GPUs of this machine, those that it can use as it is installed. May block for a moment."""
        ...

    async def start(self, load: Load) -> Process:
        """Starts it; it is not ready yet. Raises Down where it cannot even be started."""
        ...
