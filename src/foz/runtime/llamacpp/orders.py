"""What an engine's process is told on its standard input, and what it says on its standard output."""

from msgspec import Struct

LOADING, READY = "loading", "ready"
GPUS = "gpus"
"""As an argument: how many GPUs its build finds, and nothing else."""


class Order(Struct, frozen=True):
    """What to load, and how."""

    parent: int
    """Process id of whoever started it."""
    path: str
    name: str
    key: str
    slots: int
    context: int
    """Of each slot."""
    threads: int
    flash: bool | None = None
    layers_on_gpu: int = 0
    split: tuple[float, ...] = ()
    """How the weights are shared among GPUs, where there are several."""
