"""
Commands that ask a running gateway, as any program does: over HTTP, in OpenAI's words.

Where nobody names its address it is where the settings have it listen, and their key is shown to it. An address that
somebody names may be anybody's: only a key that was given for it is shown there (`--key`, `FOZ_KEY`).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import click
import msgspec
from msgspec import Struct
from typing_extensions import override

from foz.assembly.outbound import trusting
from foz.canon.event import Event
from foz.canon.fault import Cut, Down, Fault, NotFound, Refused, Unauthenticated, UpstreamFault
from foz.canon.model import Patience
from foz.canon.request import ChatRequest
from foz.config.exposure import CA
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.config.variables import KEY
from foz.dialects.openai.chat.asking import Manner
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.frames import StreamDecoder
from foz.dialects.openai.listing import read_list
from foz.net.connection import Answer
from foz.net.origin import Endpoint, Origin
from foz.net.proxy import Proxy, way_out
from foz.net.watch import TickingWatch
from foz.wire.http import Call, Reply

ROOT, TAGS = "/v1", "/api/tags"
LATEST, TALKS = ":latest", "completion"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do
PATIENCE = Patience(connect=5.0, first_byte=3600.0, idle=3600.0, total=86_400.0)
"""Who asks is there to stop it."""
LOOK = Patience(connect=5.0, first_byte=10.0, idle=10.0, total=20.0)
BROKEN = "the upstream broke off its stream with an error: "
MOST = 16 * 2**20
OK, UNKNOWN_KEY, FORBIDDEN, NOT_FOUND, TOO_LARGE = 200, 401, 403, 404, 413
HINTS = {
    UNKNOWN_KEY: f"Give your key with --key or {KEY}.",
    FORBIDDEN: f"Give a key that may with --key or {KEY}.",
    TOO_LARGE: "/clear forgets what was said so far.",
}


class _Tag(Struct, frozen=True):
    name: str
    capabilities: tuple[str, ...] = ()


class _Tags(Struct, frozen=True):
    models: tuple[_Tag, ...] = ()


class _Words(Struct, frozen=True):
    message: str = ""


class _Said(Struct, frozen=True):
    error: _Words


class Place(Struct, frozen=True):
    """Where a gateway is, and what it is shown."""

    url: str
    key: str | None = None
    proxy: Proxy | None = None
    authority: ssl.SSLContext | None = None

    @override
    def __repr__(self) -> str:
        return f"Place({self.url})"


def place(settings: Settings, url: str | None, key: str | None) -> Place:
    """The gateway of the settings, or the one of this address. Raises ClickException."""
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise click.ClickException("The key holds a space or another character that no key has: was it copied whole?")
    try:
        return _named(settings, url, key) if url else _own(settings, key)
    except (ConfigError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _own(settings: Settings, key: str | None) -> Place:
    server = settings.server
    if not server.port:
        raise ValueError("The settings let the gateway take any free port: name its address with --url.")
    host = EVERYWHERE.get(server.host, server.host)
    kept = settings.auth.api_key or settings.auth.admin_key
    shown = key or (kept.get_secret_value() if kept else None)
    where = f"{f'[{host}]' if ':' in host else host}:{server.port}"
    if not server.tls or server.tls_cert is None:
        return Place(f"http://{where}", shown)
    made = server.tls_cert.parent / CA
    return Place(f"https://{where}", shown, authority=trusting(made if made.exists() else settings.outbound.ca_file))


def _named(settings: Settings, url: str, key: str | None) -> Place:
    whole = (url if "://" in url else f"http://{url}").rstrip("/").removesuffix(ROOT)
    parts = urlsplit(whole)
    wrong = parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query
    if wrong or not whole.isascii() or any(letter.isspace() for letter in whole):
        raise ValueError(f"--url {url!r}: expected an address such as http://127.0.0.1:8000.")
    outbound = settings.outbound
    proxy = outbound.https_proxy if parts.scheme == "https" else outbound.http_proxy
    way = way_out(parts.hostname or "", proxy.get_secret_value() if proxy else None, outbound.no_proxy)
    return Place(whole, key, way, trusting(outbound.ca_file) if parts.scheme == "https" else None)


@asynccontextmanager
async def _reached(at: Place) -> AsyncIterator[Origin]:
    headers = ((b"authorization", b"Bearer " + at.key.encode()),) if at.key else ()
    watch = TickingWatch(asyncio.get_running_loop())
    origin = Origin(Endpoint(at.url, headers, at.proxy, sought=True), watch, at.authority)
    try:
        yield origin
    except Down as fault:
        if fault.sent:
            raise
        why = _why(fault.__cause__)
        raise Down(
            f"No gateway answers at {at.url}{why}. Start one with `foz serve`, or name another with --url."
        ) from fault
    finally:
        await origin.close()


def _why(cause: BaseException | None) -> str:
    """Nobody being there needs no words; a certificate that is not trusted does."""
    return f" ({cause.verify_message})" if isinstance(cause, ssl.SSLCertVerificationError) else ""


async def models(at: Place) -> Sequence[str]:
    """The names that it has for this caller, without those that are known not to talk. Raises Fault."""
    async with _reached(at) as origin:
        reply, tags = await _got(origin, f"{ROOT}/models"), await _got(origin, TAGS)
    if reply.status != OK:
        raise _refused(reply)
    try:
        names = read_list(reply.body)
    except msgspec.DecodeError as error:
        raise NotFound(f"What answers at {at.url} is no gateway: it lists no models. Name one with --url.") from error
    silent = _silent(tags)
    return [name for name in names if name not in silent and name + LATEST not in silent]


async def _got(origin: Origin, path: str) -> Reply:
    answer = await origin.send(Call("GET", path), LOOK)
    try:
        return await answer.whole(MOST)
    finally:
        answer.close()


def _silent(tags: Reply) -> frozenset[str]:
    """The models that Ollama's list says make no words; a gateway of another make may have no such list."""
    try:
        said = msgspec.json.decode(tags.body, type=_Tags) if tags.status == OK else _Tags()
    except msgspec.DecodeError:
        return frozenset()
    return frozenset(one.name for one in said.models if one.capabilities and TALKS not in one.capabilities)


async def ask(at: Place, request: ChatRequest, tell: Callable[[Sequence[Event]], None]) -> None:
    """Tells what comes of a streamed request, piece by piece, to its end. Raises Fault."""
    codec = ChatClient(Manner(root=ROOT))
    async with _reached(at) as origin:
        answer = await origin.send(codec.encode_request(request, request.model), PATIENCE)
        try:
            if answer.status != OK:
                raise _refused(await answer.whole(MOST))
            decoder = codec.decoder()
            try:
                await _poured(answer, decoder, tell)
            except UpstreamFault as fault:
                raise type(fault)(_own_words(fault.message)) from fault
        finally:
            answer.close()


def _own_words(message: str) -> str:
    """What a gateway said of itself in a stream; the codec takes it for one of those whom a gateway asks."""
    said = message.removeprefix(BROKEN)
    return message.replace("the upstream", "the gateway", 1) if said == message else said


async def _poured(answer: Answer, decoder: StreamDecoder, tell: Callable[[Sequence[Event]], None]) -> None:
    try:
        await answer.pour(lambda piece: tell(decoder.feed(piece)))
    except UpstreamFault as fault:
        try:
            tell(decoder.close())  # what it said of itself before it was cut says more
        except Cut:
            raise fault from None
        return
    tell(decoder.close())


def _refused(reply: Reply) -> Fault:
    """What the gateway says of it, and what to do."""
    try:
        said = msgspec.json.decode(reply.body, type=_Said).error.message
    except msgspec.DecodeError:
        said = ""
    words = f"{said or f'It answered with status {reply.status}'}".rstrip()
    hint = HINTS.get(reply.status, "")
    whole = f"{words if words.endswith(('.', '!', '?')) else f'{words}.'} {hint}".rstrip()
    kind = {UNKNOWN_KEY: Unauthenticated, NOT_FOUND: NotFound}.get(reply.status, Refused)
    return kind(whole, status=reply.status)
