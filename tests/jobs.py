"""Jobs for tests: made, claimed, and brought into a state."""

import os

from foz.canon.identity import Identities
from foz.canon.job import Job, JobEnd, JobState, Trouble
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode
from foz.ports.jobs import Claim, JobStore

NOW = 1_700_000_000_000
LEASE = 10_000
new_id = Identities(lambda: NOW, os.urandom).new


def job(
    *,
    key: str | None = None,
    principal: str = "key-1",
    at: int = NOW,
    due: int | None = None,
    lane: Placement = Placement.API,
    digest: bytes = b"digest",
) -> Job:
    """A job that is new."""
    id = new_id()
    return Job(
        id=id,
        at=at,
        principal=Principal(principal),
        project="blue",
        skin="nemotron",
        model="m",
        mode=Mode.AUTO,
        lane=lane,
        key=id.hex() if key is None else key,
        stream=False,
        digest=digest,
        due=at if due is None else due,
    )


async def claimed(store: JobStore, id: bytes, now: int = NOW) -> Claim:
    """A job that can be claimed, claimed."""
    claim = await store.claim(id, now, now + LEASE)
    assert isinstance(claim, Claim)
    return claim


async def done(store: JobStore, state: JobState, *, dead: bool = False, at: int = NOW) -> Job:
    """A new job brought into a state; from `processing` on, it has said one piece."""
    one = await store.add(job(), b"order")
    if state is JobState.PENDING:
        return one
    await claimed(store, one.id)
    assert await store.append(one.id, 1, 0, [b"said"])
    if state is JobState.CANCELLED:
        await store.cancel(one.id, at)
    elif state is not JobState.PROCESSING:
        trouble = Trouble("bug", "broken") if state is JobState.FAILED else None
        assert await store.end(one.id, 1, JobEnd(state, at, trouble=trouble, dead=dead))
    found = await store.find(one.id)
    assert found is not None
    assert found.state is state
    return found
