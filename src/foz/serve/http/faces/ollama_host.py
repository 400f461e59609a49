"""
What the API Ollama Host has beside questions: the dashboard, a list of what was used.

Administrators see all; who has a project sees the project's; all others, also callers that are let in without a key,
see what they asked themselves. Pages are keyset pages: what is new never moves what was not read yet. A page ends early
where what was said in it grows long, so that no answer is without bounds.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import Struct, structs
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import BadRequest
from foz.canon.identity import parse
from foz.canon.principal import Principal, Role
from foz.ledger.report import MOST_LINES, Filter, Line
from foz.ports.content import Content, Kept
from foz.serve.http.desk import Desk, response, told, who
from foz.skins.ollama_host import examples
from foz.skins.ollama_host.dashboard import PATH, Row, Use, moment, row, say_dashboard
from foz.skins.ollama_host.skin import NAME

AT_ONCE = 64
"""Calls whose content is read together."""
MOST_SAID = 8_000_000
"""Characters of content after which a page ends."""
LONGEST = 256
_A_TIME = "A date or a time, in UTC unless it has a zone: 2025-08-04, 2025-08-04T11:05:00."


class Asked(BaseModel):
    """What a caller wants to see."""

    project: str | None = Field(None, max_length=LONGEST)
    process_id: str | None = Field(None, max_length=LONGEST)
    subprocess_id: str | None = Field(None, max_length=LONGEST)
    user_key: str | None = Field(None, max_length=LONGEST)
    model: str | None = Field(None, max_length=LONGEST, description="The name that the caller used.")
    since: str | None = Field(None, max_length=LONGEST, alias="from", description=f"From then on. {_A_TIME}")
    until: str | None = Field(None, max_length=LONGEST, alias="to", description=f"Up to then, exclusive. {_A_TIME}")
    limit: int = Field(100, ge=1, le=MOST_LINES, description="Most lines of the answer.")
    cursor: str | None = Field(None, max_length=LONGEST, description="Where the page begins; the Link header says it.")


class _Page(Struct, frozen=True):
    """Lines with what was said in them, and the id after which the next page begins."""

    rows: list[Row]
    next: str | None


def _filter(asked: Asked) -> Filter:
    return Filter(
        since=moment(asked.since, "from") if asked.since else None,
        until=moment(asked.until, "to") if asked.until else None,
        project=asked.project or None,
        model=asked.model or None,
        process_id=asked.process_id or None,
        subprocess_id=asked.subprocess_id or None,
        user_key=asked.user_key or None,
    )


def visible(filter: Filter, reader: Principal) -> Filter | None:
    """What of it this principal may see; None where nothing is theirs."""
    if reader.role is Role.ADMIN:
        return filter
    if reader.project is None:
        return structs.replace(filter, principal=reader.id)
    if filter.project not in {None, reader.project}:
        return None
    return structs.replace(filter, project=reader.project)


def _row(line: Line, kept: Kept | None) -> Row:
    use = Use(
        line.at,
        line.duration,
        line.input,
        line.output,
        line.model,
        line.project,
        line.process_id,
        line.subprocess_id,
    )
    return row(use, kept)


async def _page(content: Content, lines: Sequence[Line], next: str | None, reader: Principal) -> _Page:
    rows: list[Row] = []
    said = 0
    for start in range(0, len(lines), AT_ONCE):
        some = lines[start : start + AT_ONCE]
        kept = await content.read_many([parse(line.id) for line in some])
        readable = {id: one for id, one in kept.items() if one.readable_by(reader)}
        rows += [_row(line, readable.get(parse(line.id))) for line in some]
        said += sum(len(one.input) + len(one.output) for one in readable.values())
        if said > MOST_SAID and len(rows) < len(lines):
            return _Page(rows, some[-1].id)
    return _Page(rows, next)


def router(desk: Desk) -> APIRouter:
    """`GET /api/v1/admin/dashboard`."""
    made = APIRouter(tags=[NAME])

    @made.get(PATH, summary="Retorna os logs de uso dos modelos (what was used)", **told(examples.DASHBOARD))
    async def dashboard(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """
        Calls of all APIs that have ended, newest first, each with its time in nanoseconds, its tokens, and what was
        said where it was kept. Where there are more, the `Link` header has the address of the next page.
        """
        reader = who(request)
        filter = visible(_filter(asked), reader)
        if asked.cursor:
            _check(asked.cursor)
        if filter is None:
            return response(say_dashboard([], (), None))
        found = await asyncio.to_thread(desk.reports.page, filter, asked.limit, asked.cursor or None, settled=True)
        page = await _page(desk.content, found.lines, found.next, reader)
        return response(say_dashboard(page.rows, request.query_params.items(), page.next))

    return made


def _check(cursor: str) -> None:
    try:
        parse(cursor)
    except ValueError:
        message = "Invalid 'cursor': expected the one of a Link header of this list."
        raise BadRequest(message, field="cursor", status=422) from None
