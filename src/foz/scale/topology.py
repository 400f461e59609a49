"""
The broker's queues and exchanges, declared in this one place: by who connects, and in words for people.

* A queue for each lane: a quorum queue, so that what it has confirmed is on the disks of most of its nodes. It is
  bounded and refuses what is too much; what was delivered too often goes to the dead letters.
* One queue for what comes later: a message waits there for its own time to live and goes back, by its routing key, to
  the lane it is of.
* A queue for each lane that never holds anything: a process that works at the lane consumes from it, so that its
  consumers are counted.
* The dead letters, for people who look with the broker's own tools. The store says which jobs are dead; this is a copy.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from foz.canon.model import Placement
from foz.ports.jobs import RESULT_TTL

NAME = "foz"
OLDEST = (3, 10)
"""RabbitMQ before it has no time to live in quorum queues."""
DELIVERIES = 20
"""Deliveries of one message before it is a dead letter: far above a job's attempts, which the store counts."""
LANE_LENGTH = 1_000_000
DEAD_LENGTH = 100_000
LONGEST_WAIT = 15.0
"""Seconds in the queue of what comes later; what is to wait longer comes, and goes there again."""

Argument = str | int


class Exchange(Struct, frozen=True):
    """An exchange that gives all that it gets to one queue."""

    name: str
    queue: str
    kind: Literal["fanout"] = "fanout"


class Queue(Struct, frozen=True):
    """A durable queue."""

    name: str
    what: str
    arguments: dict[str, Argument]


class Topology(Struct, frozen=True):
    """All of it, in the order in which it is declared."""

    queues: Sequence[Queue]
    exchanges: Sequence[Exchange]


def lane(placement: Placement, name: str = NAME) -> str:
    """The queue of a lane."""
    return f"{name}.jobs.{placement.value}"


def workers(placement: Placement, name: str = NAME) -> str:
    """The queue whose consumers are the processes that work at a lane."""
    return f"{name}.jobs.{placement.value}.workers"


def later(name: str = NAME) -> str:
    """The exchange and the queue of what comes later."""
    return f"{name}.jobs.later"


def dead(name: str = NAME) -> str:
    """The exchange and the queue of dead letters."""
    return f"{name}.jobs.dead"


def _quorum(**more: Argument) -> dict[str, Argument]:
    return {"x-queue-type": "quorum", **{name.replace("_", "-"): value for name, value in more.items()}}


def _safe(exchange: str, length: int, **more: Argument) -> dict[str, Argument]:
    """Bounded, and what it hands to an exchange is kept until that has confirmed it."""
    return _quorum(
        x_max_length=length,
        x_overflow="reject-publish",
        x_dead_letter_exchange=exchange,
        x_dead_letter_strategy="at-least-once",
        **more,
    )


def topology(name: str = NAME) -> Topology:
    """What a broker must have; `name` comes before each of its names."""
    lanes = [
        Queue(
            lane(placement, name),
            f"Ids of jobs that wait in the {placement.value} lane.",
            _safe(dead(name), LANE_LENGTH, x_delivery_limit=DELIVERIES),
        )
        for placement in Placement
    ]
    counted = [
        Queue(
            workers(placement, name),
            f"Holds nothing: its consumers are the processes that work at the {placement.value} lane.",
            {"x-queue-type": "classic", "x-max-length": 1},
        )
        for placement in Placement
    ]
    held = Queue(later(name), "Ids that come again to their lane after a while.", _safe("", LANE_LENGTH))
    letters = Queue(
        dead(name),
        "Ids of jobs that were tried too often.",
        _quorum(x_max_length=DEAD_LENGTH, x_overflow="drop-head", x_message_ttl=RESULT_TTL),
    )
    exchanges = [Exchange(dead(name), dead(name)), Exchange(later(name), later(name))]
    return Topology([letters, held, *lanes, *counted], exchanges)


def told(found: Topology) -> str:
    """The same in words, as `foz jobs topology` prints it."""
    lines = []
    for queue in found.queues:
        lines.append(f"queue {queue.name} (durable)")
        lines.append(f"    {queue.what}")
        lines += [f"    {argument} = {value!r}" for argument, value in queue.arguments.items()]
    lines += [
        f"exchange {exchange.name} ({exchange.kind}, durable) -> queue {exchange.queue}" for exchange in found.exchanges
    ]
    return "\n".join(lines)
