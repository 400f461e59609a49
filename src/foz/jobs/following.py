"""A job as it goes on, for whoever follows it."""

from collections.abc import AsyncGenerator

from foz.canon.job import START, Job, Mark, Piece
from foz.ports.jobs import JobStore

Told = Piece | Job | None
MOST_PIECES = 1_000
LOOK = 15.0
"""Seconds after which a follower who heard nothing is given the chance to say that it is still there."""


async def followed(store: JobStore, job: Job, after: Mark = START) -> AsyncGenerator[Told]:
    """
    The job's pieces after a mark, as they come; a Job at the beginning and each time it stands otherwise than before
    (it was claimed, maybe anew under the next epoch; it ended, which comes last); None where nothing came for a while.
    """
    yield job
    while True:
        found = await store.find(job.id)  # before the log: what it says of the end holds for all pieces that follow
        if found is None:
            return
        if not found.over and (found.state, found.epoch) != (job.state, job.epoch):
            job = found
            yield job
        pieces = await store.log(job.id, after, MOST_PIECES)
        for piece in pieces:
            after = piece.mark
            yield piece
        if pieces:
            continue
        if found.over:
            yield found
            return
        await store.wait(found, after, LOOK)
        yield None
