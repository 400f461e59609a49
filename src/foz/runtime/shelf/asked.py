"""What is asked of the shelf's programs, and what they answer."""

from msgspec import Struct

from foz.ports.weights import File


class Listing(Struct, frozen=True):
    """Which files a repository of Hugging Face has. The token is in it: it goes over a pipe and nowhere else."""

    repo: str
    revision: str
    endpoint: str
    token: str | None
    seconds: float


class Listed(Struct, frozen=True):
    """The answer: what there is at which commit; or why not."""

    commit: str = ""
    files: tuple[File, ...] = ()
    fault: str | None = None
    """`gated`, `unknown`, `revision`, `refused`, `garbled`, `down` or `timeout`."""
    status: int = 0
    message: str = ""


class Halving(Struct, frozen=True):
    """Which files are to become one of eight bits a weight."""

    sources: tuple[str, ...]
    target: str
    """Written over."""


class Halved(Struct, frozen=True):
    """How far it is: bytes read, of all. `errno` where the disk says no."""

    done: int = 0
    total: int = 0
    errno: int = 0
