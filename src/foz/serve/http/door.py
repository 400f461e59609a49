"""
The data plane's door: a protocol over httptools, a subclass of uvicorn's (pinned).

Paths of the route table go straight to the pipeline; everything else falls through to uvicorn's own code and the
control plane behind it. The door owns limits and deadlines, one answer at a time: a request that comes before the
last one is answered (pipelining) is never looked at, and the connection closes after that answer.
`connection_lost` is the caller's hang-up: it cancels the task that serves them, so no task has to watch.
"""

import asyncio
import logging
import re
from math import inf
from typing import Literal

import httptools
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from foz.canon.fault import BadRequest, Bug, Draining, Fault, NoCapacity
from foz.ports.skin import OPERATIONS, Visit
from foz.ports.turn import Turn
from foz.serve.http.exchange import Exchange
from foz.serve.http.guard import check_body, deferred, request_id
from foz.serve.http.house import House
from foz.serve.http.routes import Found, Missed, target_of
from foz.serve.http.showing import shown
from foz.wire.http import Call, heard

log = logging.getLogger("foz.door")

_SLOWEST = 16 * 1024
"""Bytes a second at which a body must come, beyond its first `body_timeout` seconds."""
_LEAST_TAKEN = 32 * 1024
"""Bytes of what waits for them that a caller must take within the write timeout, unless that is all."""

_LINGER = 1.0
_QUERY = ord("?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([/?][^#]*|)", re.IGNORECASE)
_NO_UPGRADE = (
    "This server speaks HTTP/1.1 only and its parser skips the body of a request that offers another protocol; "
    "leave out the Upgrade header (in Java: HttpClient.Version.HTTP_1_1)."
)


Phase = Literal["head", "body", "busy", "idle", "deaf"]
_READING: frozenset[Phase] = frozenset({"head", "body"})
"""Phases in which the deadline is the request's."""


class Door(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: Config, state: ServerState, house: House, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, state, {}, loop)
        self.house = house
        self.deadline = inf
        self._phase: Phase = "idle"
        self._body: bytes | bytearray = b""
        self._found: Found | None = None
        self._exchange: Exchange | None = None
        self._asgi = False
        self._unsent = 0
        """Bytes that waited for the caller when their time to take them began."""
        self._received = 0
        """Bytes since the request began or since the last piece of its body: trailers and framing are bounded too."""
        self._named: dict[bytes, bytes] = {}
        self._old: bool | None = None
        """Whether the caller speaks HTTP/1.0; asked once a connection."""

    # -- asyncio's side ----------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        limits = self.house.limits
        self.deadline = self.loop.time() + limits.header_timeout
        self.house.watch.add(self)
        if len(self.connections) > limits.max_connections:
            self._refuse(NoCapacity("This gateway has too many connections; try again in a moment.", retry_after=1))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.house.watch.discard(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.over = True
            if exchange.task is not None:
                exchange.task.add_done_callback(self.tasks.discard)  # it may never have begun
                exchange.task.cancel()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == "deaf":
            return
        if phase == "idle":
            self._wake()
        elif phase == "body":
            self.deadline += len(data) / _SLOWEST
        self._received += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # an offer without a body: it is served, and nothing after it
            self._turn_deaf()
        except httptools.HttpParserError as error:
            if self._phase != "deaf":
                self.url = self.url or target_of(data)
                self._refuse(BadRequest(f"This is not a well-formed HTTP/1.1 request: {error}."))
        else:
            if self._received > self.house.limits.max_header and self._phase in _READING:
                self._refuse(self._header_fault())

    def _wake(self) -> None:
        self._phase = "head"
        self._received = 0
        self.deadline = self.loop.time() + self.house.limits.header_timeout

    @override
    def eof_received(self) -> None:
        """A caller that stops sending has gone: nobody half-closes who wants an answer."""

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._phase not in _READING:
            self._watch_unsent()
        if self._exchange is not None:
            self._exchange.pace(paused=True)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._phase == "busy":
            self.deadline = inf
        elif self._phase == "idle":
            self._rest()
        if self._exchange is not None:
            self._exchange.pace(paused=False)

    def _watch_unsent(self) -> None:
        """The caller has a while to take something of what waits for them."""
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self.loop.time() + self.house.limits.write_timeout

    @override
    def shutdown(self) -> None:
        """The process is being stopped: close after the answer in hand."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self._asgi:
            super().shutdown()
        else:
            self.transport.close()

    def expired(self) -> None:
        """The caller was too slow: `ports.watch.Waiting`."""
        self.deadline = inf
        if self._phase == "body" or (self._phase == "head" and self._received):
            self._refuse(BadRequest("The request did not arrive in time.", status=408))
        elif self._phase == "busy" and not self.flow.write_paused and self._exchange is not None:
            if self._exchange.keep() or not self._exchange.started:
                self.deadline = self.loop.time() + self.house.limits.keep_alive
        elif self.flow.write_paused and self.transport.get_write_buffer_size() <= self._unsent - _LEAST_TAKEN:
            self._watch_unsent()  # slow, but reading
        elif self._phase == "busy" or self.flow.write_paused or self.transport.is_closing():
            self.transport.abort()
        else:
            self._close()

    def _close(self) -> None:
        """Closes when all is sent; a caller who does not take it in time is left."""
        self._phase = "deaf"
        self._watch_unsent()
        self.transport.close()

    # -- the parser's side -------------------------------------------------

    @override
    def on_message_begin(self) -> None:
        if self._phase == "busy":
            self._turn_deaf()
            return
        if self._phase == "idle":  # in one piece with the body of a request that was answered before it came
            self._wake()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._found, self._named = None, {}
        self._asgi = False

    def _turn_deaf(self) -> None:
        """Answers what is in hand and looks at nothing that comes after it."""
        self._phase = "deaf"
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    @override
    def on_url(self, url: bytes) -> None:
        if self._phase == "head":
            self.url += url

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase == "head":  # trailers come later, and nobody asked for them
            self.headers.append((name.lower(), value))

    @override
    def on_headers_complete(self) -> None:
        if self._phase == "deaf":
            return
        headers = self.headers
        named = self._named = dict(reversed(headers))  # of several of one name, the first
        if self._received > self.house.limits.max_header and self._head_size() > self.house.limits.max_header:
            self._refuse(self._header_fault())
            return
        if self.url[:1] != b"/" and not self._from_absolute(named):
            self._refuse(BadRequest("The target of the request must be a path."))
            return
        if b"host" not in named or len(named) != len(headers):
            hosts = sum(name == b"host" for name, _ in headers)
            if hosts != 1 and (hosts or self.parser.get_http_version() != "1.0"):
                self._refuse(BadRequest("A request needs exactly one Host header."))
                return
        length = named.get(b"content-length")
        if b"upgrade" in named and (length is not None or b"transfer-encoding" in named):
            self._refuse(BadRequest(_NO_UPGRADE))
        elif length is not None and int(length) > self.house.limits.max_body:
            self._refuse(self._body_fault())
        else:
            self._route()

    def _from_absolute(self, named: dict[bytes, bytes]) -> bool:
        """`POST http://host/path`, as to a proxy: the target's authority counts, not the Host header (RFC 9112)."""
        match = _ABSOLUTE.fullmatch(self.url)
        if match is None:
            return False
        authority, rest = match.groups()
        self.url = rest if rest[:1] == b"/" else b"/" + rest
        self.headers = [(b"host", authority) if name == b"host" else (name, value) for name, value in self.headers]
        named[b"host"] = authority
        return True

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _route(self) -> None:
        path = self.url.partition(b"?")[0] if _QUERY in self.url else self.url
        found = self.house.router.find(self.parser.get_method(), path)
        self._phase = "body"
        self.deadline = self.loop.time() + self.house.limits.body_timeout
        if isinstance(found, Found):
            self._found = found if not found.rivals else found.among(self._named)
            self._body = b""
            if b"expect" in self._named and self._waits():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif found.status == 404:  # noqa: PLR2004 - the plain word
            self._fall_through()
        else:
            self._missed(found)

    def _waits(self) -> bool:
        return self._named[b"expect"].lower() == b"100-continue" and self.parser.get_http_version() != "1.0"

    def _fall_through(self) -> None:
        self._asgi = True
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        try:
            super().on_headers_complete()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            self._refuse(BadRequest("The path of the request is not a path."))

    def _missed(self, missed: Missed) -> None:
        if missed.status == 204:  # noqa: PLR2004 - the plain word
            self._phase = "deaf"
            lines = self.house.guard.preflight(tuple(self.headers), missed.allow)
            self.transport.write(b"HTTP/1.1 204 No Content\r\n%sconnection: close\r\n\r\n" % lines)
            self._linger()
            return
        head = self.parser.get_method() == b"HEAD"
        self._refuse(BadRequest(missed.message, status=missed.status), missed.allow, bodiless=head)

    @override
    def on_body(self, body: bytes) -> None:
        self._received = 0
        if self._asgi:
            super().on_body(body)
        elif self._phase == "body":
            if not self._body:
                self._body = body
                return
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
            if len(self._body) > self.house.limits.max_body:
                self._refuse(self._body_fault())

    @override
    def on_message_complete(self) -> None:
        if self._phase != "body":
            return
        self._phase = "busy"
        self.deadline = inf
        if self._asgi:
            super().on_message_complete()
            if self.cycle.response_complete:
                self._rest()
        elif self._found is not None:
            self._begin(self._found)

    # -- an exchange -------------------------------------------------------

    def _begin(self, found: Found) -> None:
        body, self._body = bytes(self._body), b""
        route = found.route
        query = self.url.partition(b"?")[2].decode("latin-1") if _QUERY in self.url else ""
        call = heard(route.method, route.path, self.headers, self._named, body, query)
        id = self.house.identities.new()
        exchange = Exchange(self.transport, self.house.skins[route.skin], request_id(call) or id.hex(), self._finished)
        exchange.route = route
        exchange.keep_alive = self.parser.should_keep_alive() and not self.house.gateway.services.draining
        if self._old is None:
            self._old = self.parser.get_http_version() == "1.0"
        if self._old:
            exchange.http_1_0()
        if route.method == "GET":
            exchange.bodiless = self.parser.get_method() == b"HEAD"
        if self.house.guard.origins:
            exchange.beside = self.house.guard.cors(call.header(b"origin"))
        exchange.paused = self.flow.write_paused
        if route.waiting and not exchange.paused:
            self.deadline = self.loop.time() + self.house.limits.keep_alive
        self._exchange = exchange
        serving = self._serve(exchange, found, call, id)
        exchange.task = task = asyncio.Task(serving, loop=self.loop, name="exchange")  # spares the loop's counting
        self.tasks.add(task)

    async def _serve(self, exchange: Exchange, found: Found, call: Call, id: bytes) -> None:
        try:
            await self._act(exchange, found, call, id)
        except Fault as fault:
            exchange.refuse(fault)
        except asyncio.CancelledError:
            if exchange.over:
                raise
            stopped = Draining("The gateway was stopped before the answer was complete; ask again.", retry_after=1)
            exchange.refuse(stopped)
            exchange.abort()
            raise
        except Exception:  # the door's supervisor: whatever went wrong, the caller gets an answer
            log.exception("a defect while serving request %s", exchange.request_id)
            bug = Bug(f"A defect of Foz; its log has more under the request id {exchange.request_id}.")
            exchange.refuse(bug)
            exchange.abort()
        finally:
            task, exchange.task = exchange.task, None  # or a cancelled task and its frames would hold each other
            if task is not None:
                self.tasks.discard(task)

    async def _act(self, exchange: Exchange, found: Found, call: Call, id: bytes) -> None:
        house, skin, route = self.house, exchange.skin, found.route
        try:
            principal = house.guard.admit(skin.key(call), call, skin.name)
            visit = Visit(route, call, exchange.request_id, found.model, found.rest)
            if route.action == "list_models":
                exchange.reply(skin.list_models(house.gateway.models(principal), visit))
                return
            if route.action == "show_model":
                exchange.reply(skin.show_model(house.gateway.find(principal, found.model, skin.source), visit))
                return
            if route.showing is not None:
                services = house.gateway.services
                exchange.reply(await shown(route.showing, house.jobs, services, principal, visit))
                return
            check_body(call, route.accepts)
            turn = Turn(
                skin=skin,
                operation=OPERATIONS[route.action],
                codec=skin.codec(visit),
                body=call.body,
                headers=call.headers,
                principal=principal,
                attribution=skin.attribution(visit),
                request_id=exchange.request_id,
                id=id,
            )
            if route.accepted is not None and house.jobs is not None and deferred(route, call):
                exchange.reply(route.accepted(await house.jobs.submit(turn, visit)))
                return
        except Fault as fault:
            house.gateway.refuse(skin.name, fault)
            raise
        attendant = house.attendants.get(route.path)
        if attendant is None:
            await house.gateway.serve(turn, exchange)
        else:
            await attendant.serve(turn, visit, exchange)

    def _finished(self, exchange: Exchange) -> None:
        if self._exchange is exchange:
            self._exchange = None
        self.server_state.total_requests += 1
        if exchange.keep_alive and self._phase == "busy":
            self._rest()
        elif self._phase == "deaf":
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """Closes our side and lets theirs come to an end: a close with bytes unread would tear up the answer."""
        self._phase = "deaf"
        if self.flow.write_paused:
            self._watch_unsent()
        else:
            self.deadline = self.loop.time() + _LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self._close()

    def _rest(self) -> None:
        self._phase = "idle"
        if self.flow.write_paused:
            self._watch_unsent()
        else:
            self.deadline = self.loop.time() + self.house.limits.idle_timeout

    @override
    def on_response_complete(self) -> None:
        """The control plane has answered; deadlines are the watch's, so uvicorn's own timer is never set."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self._phase == "busy":
            self._rest()

    # -- refusals ----------------------------------------------------------

    def _refuse(self, fault: Fault, allow: bytes = b"", *, bodiless: bool = False) -> None:
        """Answers before there is an exchange, and closes: what follows on this connection cannot be trusted."""
        answering = self._phase in {"busy", "deaf"} or (self._asgi and self.cycle.response_started)
        self._phase = "deaf"
        self._found = None
        if answering or self.transport.is_closing():
            self._close()
            return
        skin = self.house.whose(self.url)
        self.house.gateway.refuse(skin.name, fault)
        exchange = Exchange(self.transport, skin, self.house.identities.new().hex(), _closed)
        exchange.keep_alive = False
        exchange.bodiless = bodiless
        exchange.beside = self.house.guard.cors(self._named.get(b"origin"))
        reply = skin.encode_fault(fault, exchange.request_id)
        if allow:
            reply = type(reply)(reply.status, (*reply.headers, (b"allow", allow)), reply.body)
        exchange.reply(reply)
        self._linger()

    def _header_fault(self) -> Fault:
        most = self.house.limits.max_header
        return BadRequest(f"The request's head is larger than {most} bytes ([limits] max_header).", status=431)

    def _body_fault(self) -> Fault:
        most = self.house.limits.max_body
        return BadRequest(f"The request's body is larger than {most} bytes ([limits] max_body).", status=413)


def _closed(exchange: Exchange) -> None:
    """The refusing door closes by itself."""
