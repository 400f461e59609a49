"""The entry of a request, as it is opened, and whose project it is booked on."""

from foz.canon.entry import Entry
from foz.canon.request import Ask, over
from foz.ports.turn import Turn


def project_of(turn: Turn, ask: Ask) -> str:
    """The key's project, else the one that the caller says, else none."""
    return turn.principal.project or over(ask.attribution, turn.attribution).project or ""


def entry_of(turn: Turn, ask: Ask, at: int) -> Entry:
    """The entry of a request that is opened now."""
    return Entry(
        id=turn.id,
        at=at,
        principal=turn.principal.id,
        project=project_of(turn, ask),
        attribution=over(ask.attribution, turn.attribution),
        skin=turn.skin.name,
        operation=ask.operation,
        model=ask.model,
        request_id=turn.request_id,
        stream=ask.stream,
        job_id=None if turn.duty is None else turn.duty.job,
    )
