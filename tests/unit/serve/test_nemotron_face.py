"""What a follower of a job is told of what happens to it, how long somebody is waited for, and GPUs as one."""

import asyncio
from typing import Any

import msgspec
import pytest

from foz.canon.fault import NoCapacity
from foz.canon.job import START, Job, JobState, Mark, Piece
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode
from foz.ports.devices import Device
from foz.serve.http.faces.nemotron import _device, _Teller
from foz.serve.http.staying import while_here
from foz.skins.nemotron.bodies import KEEP_ALIVE
from foz.skins.nemotron.schema import Device as Told
from foz.wire import sse
from tests.core import Core


def _job(state: JobState = JobState.PROCESSING, epoch: int = 1) -> Job:
    job = Job(bytes(16), 0, Principal("p"), "", "nemotron", "m", Mode.AUTO, Placement.GPU, "k", True, b"")
    return msgspec.structs.replace(job, state=state, epoch=epoch)


def _piece(epoch: int, number: int) -> Piece:
    return Piece(Mark(epoch, number), b'{"text":"x"}\n')


def _kinds(teller: _Teller, *told: Any) -> list[str]:
    """The events, with their ids."""
    frames = sse.Decoder().feed(b"".join(map(teller.tell, told)))
    return [f"{one.event.decode()} {one.id.decode()}".strip() for one in frames]


def test_the_first_standing_is_no_end() -> None:
    """A job that is over already is told from the beginning; only what comes last is its end."""
    done = _job(JobState.COMPLETED)

    assert _kinds(_Teller(done, START), done, _piece(1, 0), done) == ["status", "piece 1.1", "end"]


def test_what_was_read_of_another_run_is_void() -> None:
    """Once for each run that came between, whether the store tells of the job first or of its new pieces."""
    waiting, again = _job(JobState.PENDING), _job(epoch=2)
    told = _kinds(_Teller(_job(), START), _job(), _piece(1, 0), waiting, again, _piece(2, 0), _piece(3, 0))

    assert told == [
        "status",
        "piece 1.1",
        "status",
        "restarted 2.0",
        "status",
        "piece 2.1",
        "restarted 3.0",
        "piece 3.1",
    ]


@pytest.mark.parametrize(
    ("mark", "first"),
    [(START, "status"), (Mark(2, 5), "status"), (Mark(1, -1), "status"), (Mark(1, 5), "restarted 2.0"),
     (Mark(9, 0), "restarted 2.0")],
)  # fmt: skip
def test_who_comes_back_to_another_run_is_told_so(mark: Mark, first: str) -> None:
    """Unless nothing of the old one was read."""
    assert _kinds(_Teller(_job(epoch=2), mark), _job(epoch=2))[0] == first


def test_silence_is_broken_by_comments_only() -> None:
    """Where nothing came twice in a row, a comment keeps the connection; after an event there is need of none."""
    teller = _Teller(_job(), START)
    teller.tell(_job())

    assert [teller.tell(one) for one in (None, None, None)] == [b"", KEEP_ALIVE, KEEP_ALIVE]
    assert teller.tell(_piece(1, 0))
    assert teller.tell(None) == b""
    assert sse.Decoder().feed(KEEP_ALIVE) == []


def test_a_gateway_that_stops_waits_for_nobody() -> None:
    """What comes in time is given, what it raises is raised; else there is nothing, and the work is stopped."""
    stopped: list[str] = []

    async def never() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("never")
        return ""

    async def soon(fault: NoCapacity | None = None) -> str:
        await asyncio.sleep(0)
        if fault is not None:
            raise fault
        return "soon"

    async def run() -> None:
        services = Core().services
        assert await while_here(services, soon()) == "soon"
        with pytest.raises(NoCapacity):
            await while_here(services, soon(NoCapacity("full")))
        waiting = asyncio.ensure_future(while_here(services, never()))
        await asyncio.sleep(0)
        services.draining = True
        assert await waiting is None
        assert stopped == ["never"]

    asyncio.run(run())


def test_gpus_are_told_together() -> None:
    """Memory of all, each name once; without any there is nothing."""
    gpus = [Device("NVIDIA H100", 80, 1), Device("NVIDIA H100", 80, 2), Device("NVIDIA L4", 24, 3)]

    assert _device(gpus) == Told("NVIDIA H100, NVIDIA L4", 3, 184, 6)
    assert _device([]) is None
