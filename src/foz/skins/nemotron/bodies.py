"""What is said of jobs: the bodies of the document, and those of what it does not have."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from foz.canon.fault import Fault
from foz.canon.identity import text
from foz.canon.job import Job, JobState, Mark, Piece
from foz.canon.model import Placement
from foz.canon.request import Mode
from foz.ports.skin import WHOLE
from foz.skins.nemotron.pieces import folded
from foz.skins.nemotron.refusals import problem
from foz.skins.nemotron.schema import (
    Accepted,
    Cancelled,
    Done,
    Error,
    Failed,
    Info,
    Lane,
    Line,
    Page,
    Result,
    Status,
    Waiting,
)
from foz.wire import json
from foz.wire.http import Headers, Reply

CHAT = "/chat"
ACCEPTED = 202
FRESH: Headers = (*WHOLE, (b"cache-control", b"no-store"))
_ID = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


def moment(milliseconds: int) -> str:
    """UTC, seconds, `Z`."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def place_of(job: Job) -> str:
    """Where its status is."""
    return f"{CHAT}/status/{text(job.id)}"


def say_accepted(job: Job) -> Reply:
    """That a request has become a job, or is one that was sent before."""
    said = Accepted(text(job.id), job.state.value, job.key)
    return Reply(ACCEPTED, (*WHOLE, (b"location", place_of(job).encode())), json.encode(said))


def status(job: Job, answer: bytes = b"") -> Status:
    """How it stands; `answer` is the log of a job that is completed."""
    id, at = text(job.id), moment(job.at)
    match job.state:
        case JobState.COMPLETED:
            mode = job.served or job.lane
            return Done(id, "completed", at, Result(folded(answer).text, mode.value, _latency(job)))
        case JobState.FAILED:
            return Failed(id, "failed", at, _trouble(job))
        case JobState.CANCELLED:
            return Cancelled(id, "cancelled", at)
        case JobState.PENDING:
            return Waiting(id, "pending", at)
        case JobState.PROCESSING:
            return Waiting(id, "processing", at)


def say_status(job: Job, answer: bytes = b"") -> Reply:
    """The same as an answer."""
    return Reply(200, FRESH, json.encode(status(job, answer)))


def say_jobs(jobs: Sequence[Job], following: str | None) -> Reply:
    """A page of jobs."""
    lines = [
        Line(
            text(job.id),
            job.state.value,
            moment(job.at),
            None if job.ended is None else moment(job.ended),
            job.model,
            job.mode.value,
        )
        for job in jobs
    ]
    return Reply(200, FRESH, json.encode(Page(lines, following)))


def say_info(lanes: Mapping[Placement, Lane]) -> Reply:
    """The modes, and what each has to offer now."""
    modes = {place.value: lanes[place] for place in (Placement.GPU, Placement.API)}
    return Reply(200, FRESH, json.encode(Info(modes, Mode.AUTO.value)))


# Events of a job, over SSE.


def mark_of(said: str, field: str) -> Mark:
    """The place in a log that an id of an event means: its epoch, and how much of it was read. Raises BadRequest."""
    match = _ID.fullmatch(said)
    if match is None:
        raise problem(field, "value_error", "Value error, the id of an event is two numbers such as 1.42")
    return Mark(int(match[1]), int(match[2]) - 1)


def _event(kind: bytes, data: object, mark: Mark | None = None) -> bytes:
    named = b"" if mark is None else b"id: %d.%d\n" % (mark.epoch, mark.number + 1)
    return b"%sevent: %s\ndata: %s\n\n" % (named, kind, json.encode(data))


def say_piece(piece: Piece) -> bytes:
    """More of the answer; its id is where to go on."""
    return _event(b"piece", folded(piece.data), piece.mark)


def say_restarted(job: Job, epoch: int) -> bytes:
    """What was read is of no use any more: the job runs anew, and its answer is told from the beginning."""
    return _event(b"restarted", {"job_id": text(job.id)}, Mark(epoch, -1))


def say_standing(job: Job) -> bytes:
    """How it stands now."""
    return _event(b"status", {"job_id": text(job.id), "status": job.state.value})


def say_end(job: Job) -> bytes:
    """The last event: how it ended. The answer's words were told."""
    said: dict[str, object] = {"job_id": text(job.id), "status": job.state.value}
    if job.state is JobState.COMPLETED:
        said |= {"mode": (job.served or job.lane).value, "latency_ms": _latency(job)}
    elif job.state is JobState.FAILED:
        said["error"] = _trouble(job)
    return _event(b"end", said)


def say_fault(fault: Fault) -> bytes:
    """That no more can be told now; the job goes on."""
    return _event(b"error", Error(fault.message))


def _latency(job: Job) -> float:
    return round(job.latency or 0.0, 1)


def _trouble(job: Job) -> str:
    return "" if job.trouble is None else job.trouble.message


KEEP_ALIVE = b": still there\n\n"
