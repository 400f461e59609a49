"""
Who answers: each provider is asked for its list of models, all at once, within `LOOK`.

An answer of any kind says that it is there; 401 and 403 say that the key is wrong. Nothing is charged for a list.
"""

import asyncio
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

from msgspec import Struct

from foz.canon.fault import Fault
from foz.canon.model import Patience
from foz.config.bind import Provider
from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.ports.clock import Clock
from foz.ports.line import Line
from foz.wire.http import Call, Headers

LOOK = Patience(connect=3.0, first_byte=5.0, idle=5.0, total=10.0)
OK, REDIRECT, SERVER_ERROR = 200, 300, 500
NOT_THERE = 404
LIMITED = 429
REFUSED = (401, 403)


class Reached(Struct, frozen=True):
    """What came of asking one provider."""

    name: str
    status: int | None = None
    milliseconds: float = 0.0
    fault: str = ""
    """Why there was no answer."""
    skew: float | None = None
    """Seconds by which its clock is ahead of ours."""


def _skew(headers: Headers, now: int) -> float | None:
    for name, value in headers:
        if name == b"date":
            try:
                return parsedate_to_datetime(value.decode("latin-1")).timestamp() - now / 1000
            except ValueError:
                return None
    return None


async def _ask(provider: Provider, line: Line, clock: Clock) -> Reached:
    began = clock.monotonic()
    try:
        answer = await line.upstream.send(Call("GET", provider.row.models or "/models"), LOOK)
    except Fault as fault:
        return Reached(provider.name, fault=fault.message)
    status, headers = answer.status, answer.headers
    answer.close()
    return Reached(provider.name, status, (clock.monotonic() - began) * 1000, skew=_skew(headers, clock.now()))


async def reach(providers: Sequence[Provider], lines: Mapping[str, Line], clock: Clock) -> list[Reached]:
    """Asks all that are not off and have an endpoint, at once."""
    asked = [one for one in providers if one.state != "off" and one.name in lines and "://" in one.row.base_url]
    return list(await asyncio.gather(*(_ask(one, lines[one.name], clock) for one in asked)))


def judged(provider: Provider, reached: Reached) -> Finding:
    """What an answer, or none, says of a provider."""
    topic, url = f"provider {provider.name}", provider.row.base_url
    if reached.status is None:
        if provider.state == "probe":
            return note(topic, f"nothing answers at {url}; it will be used when it does")
        todo = "check network, HTTPS_PROXY and the address, or set enabled = false for it in foz.toml"
        return problem(topic, reached.fault, todo)
    told = f"{url} answers in {reached.milliseconds:.0f} ms"
    if reached.status in REFUSED:
        todo = f"check {provider.key_from or 'its key'}"
        return problem(topic, f"{told}, and refuses the key (status {reached.status})", todo)
    if reached.status >= SERVER_ERROR or reached.status == LIMITED:
        return warning(topic, f"{told} with status {reached.status}", "it may pass: see its status page")
    if reached.status == NOT_THERE and provider.row.models:
        return note(topic, f"{told}, but has no list of models at {provider.row.models}", "check base_url")
    return ok(topic, told)
