"""
One call to a fake Ollama server as a play. Implements `simulated.play.Face`.

It has three models: `simulated` can do everything, `simulated-plain` only talks, `simulated-embed` only embeds. A name
without a tag means `:latest`. A model that can think does so only when it is asked to, so that what is expected of an
answer does not depend on it. `simulated-small` only talks, too, and has to be pulled first; a model is loaded from its
first call on until it is told `keep_alive: 0`. Unlike the real server it has no `/v1`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

import msgspec

from foz.canon.event import Measured
from foz.canon.fault import BadRequest, Fault, NotFound
from foz.canon.request import ChatRequest, CompleteRequest
from foz.canon.response import fold
from foz.testing.ollama import hear, say
from foz.testing.simulated.embed import embed
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, Produced, Step, events_of, failure, marred, whole
from foz.wire import json
from foz.wire.http import Call, Headers

CAPABILITIES: dict[str, tuple[str, ...]] = {
    "simulated": ("completion", "tools", "vision", "thinking", "embedding", "insert"),
    "simulated-plain": ("completion",),
    "simulated-embed": ("embedding",),
}
PULLED = "simulated-small"
LAYERS = (("sha256:" + "a" * 64, 900_000), ("sha256:" + "b" * 64, 100_000))
"""Of the model that has to be pulled."""
_STEPS = 4
VERSION = "0.12.6"
_JSON: Headers = ((b"content-type", b"application/json; charset=utf-8"),)
_LINES: Headers = ((b"content-type", b"application/x-ndjson"),)
_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
_GARBAGE = b'{"model":"simulated","message":{"role":\n'
Known = Mapping[str, tuple[str, ...]]
"""What each model can do."""
_GETS = ("/", "/api/version", "/api/tags", "/api/ps")
_POSTS = ("/api/chat", "/api/generate", "/api/embed", "/api/show", "/api/pull")


class OllamaFace:
    """How an Ollama server answers."""

    def __init__(self) -> None:
        self._known = dict(CAPABILITIES)
        self._held = {"simulated"}

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call. Raises what a caller did wrong as a fault."""
        path = call.path if call.path == "/" else call.path.rstrip("/")
        if mischief.status is not None:
            raise failure(mischief.status, mischief)
        if path not in _GETS and path not in _POSTS:
            return Play(404, _TEXT, (b"404 page not found",))
        if call.method not in ({"GET", "HEAD"} if path in _GETS else {"POST"}):
            return Play(405, _TEXT, (b"405 method not allowed",))
        if path in _GETS:
            return self._look(path, mischief)
        match path:
            case "/api/pull":
                return self._pull(call.body)
            case "/api/chat":
                return _chat(call.body, mischief, self._known)
            case "/api/generate":
                return self._generate(call.body, mischief)
            case "/api/embed":
                return _embed(call.body, mischief, self._known)
            case _:
                return _show(call.body, mischief, self._known)

    def _look(self, path: str, mischief: Mischief) -> Play:
        if path == "/":
            return Play(200, _TEXT, (b"Ollama is running",))
        if path == "/api/version":
            return _told({"version": VERSION}, mischief)
        if path == "/api/tags":
            return _told({"models": [_row(name, able) for name, able in self._known.items()]}, mischief)
        loaded = [_row(name, able) for name, able in self._known.items() if name in self._held]
        more = {"expires_at": say.moment(0), "size_vram": 0, "context_length": 4096}
        return _told({"models": [row | more for row in loaded]}, mischief)

    def _pull(self, body: bytes) -> Play:
        """In lines, as bytes of layers come."""
        asked = hear.read(hear.SHOW, body)
        if asked.model.removesuffix(":latest") not in {PULLED, *self._known}:
            lines = [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}]
            return Play(200, _LINES, [json.encode(line) + b"\n" for line in lines], stream=True, once=True)
        said: list[say.Wire] = [{"status": "pulling manifest"}]
        for digest, size in LAYERS:
            for step in range(_STEPS + 1):
                layer: say.Wire = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": size}
                said.append(layer | {"completed": size * step // _STEPS})
        said += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"}]
        self._known[PULLED] = ("completion",)
        return Play(200, _LINES, [json.encode(line) + b"\n" for line in said], stream=True, once=True)

    def _generate(self, body: bytes, mischief: Mischief) -> Play:
        asked = hear.read(hear.GENERATE, body)
        request = hear.hear_generate(asked)
        _demand(self._known, request.model, "completion", *(["insert"] if request.suffix else []))
        name = request.model.removesuffix(":latest")
        if asked.keep_alive is not msgspec.UNSET and bytes(asked.keep_alive) == b"0":
            self._held.discard(name)
        else:
            self._held.add(name)
        if request.prompts == ("",):
            return _loaded(request.model, {"response": ""}, mischief)
        return msgspec.structs.replace(_words(request, mischief, chat=False), once=True)

    def refuse(self, fault: Fault) -> Play:
        """A fault as Ollama tells it."""
        wait: Headers = () if fault.retry_after is None else ((b"retry-after", b"%d" % fault.retry_after),)
        return Play(fault.status, (*_JSON, *wait), (json.encode({"error": fault.message}),))


def _row(name: str, able: tuple[str, ...]) -> say.Wire:
    return {
        "name": f"{name}:latest",
        "model": f"{name}:latest",
        "modified_at": say.moment(0),
        "size": 1_000_000,
        "digest": name.encode().hex().ljust(64, "0"),
        "details": _details(),
        "capabilities": list(able),
    }


def _details() -> say.Wire:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "simulated",
        "families": None,
        "parameter_size": "0",
        "quantization_level": "Q4_K_M",
    }


def _told(value: object, mischief: Mischief) -> Play:
    return _named(whole(json.encode(value), mischief))


def _named(play: Play, produced: Produced | None = None) -> Play:
    return Play(play.status, _JSON, play.steps, produced=produced)


def _demand(known: Known, model: str, *needs: str) -> None:
    """The model, and what it must be able to do."""
    able = known.get(model.removesuffix(":latest"))
    if able is None:
        raise NotFound(f"model '{model}' not found")
    for need in needs:
        if need not in able:
            raise BadRequest(f'"{model}" does not support {"chat" if need == "completion" else need}')


def _show(body: bytes, mischief: Mischief, known: Known) -> Play:
    asked = hear.read(hear.SHOW, body)
    _demand(known, asked.model)
    name = asked.model.removesuffix(":latest")
    about = {
        "license": "Apache-2.0",
        "modelfile": "FROM simulated",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": "simulated", "simulated.context_length": 4096},
        "capabilities": list(known[name]),
        "modified_at": say.moment(0),
    }
    return _told(about, mischief)


def _embed(body: bytes, mischief: Mischief, known: Known) -> Play:
    request = hear.hear_embed(hear.read(hear.EMBED, body))
    _demand(known, request.model, "embedding")
    answer = embed(request)
    counted = answer.usage.input or 0 if answer.usage else 0
    return _named(whole(say.say_vectors(answer, request.model), mischief), Produced(counted))


def _chat(body: bytes, mischief: Mischief, known: Known) -> Play:
    request = hear.hear_chat(hear.read(hear.CHAT, body))
    wish = request.reasoning
    thinks = wish is not None and wish.enabled is not False
    _demand(
        known, request.model, "completion", *(["tools"] if request.tools else []), *(["thinking"] if thinks else [])
    )
    if not request.messages:
        return _loaded(request.model, {"message": {"role": "assistant", "content": ""}}, mischief)
    return _words(request, mischief, chat=True)


def _loaded(model: str, said: say.Wire, mischief: Mischief) -> Play:
    """A call without words only loads the model, and is answered whole."""
    head = {"model": model, "created_at": say.moment(0)}
    told = _told(head | said | {"done": True, "done_reason": "load"}, mischief)
    return msgspec.structs.replace(told, once=True)


def _words(request: ChatRequest | CompleteRequest, mischief: Mischief, *, chat: bool) -> Play:
    events = list(events_of(request, mischief))
    told = list(say.Teller(request.model, chat=chat).tell(events))
    counted = [*accumulate(tokens for _, tokens in told)]
    usage = next((event.usage for event in events if isinstance(event, Measured)), None)
    total = counted[-1] if usage is None else usage.output or 0
    asked = usage.input or 0 if usage is not None else 0
    if not request.stream:
        body = say.say_whole(fold(events), request.model, chat=chat)
        return _named(whole(body, mischief), Produced(asked, (total,)))
    made = [*(min(count, total) for count in counted[:-1]), total]
    if mischief.error is not None:
        made = made[: mischief.error] + made[mischief.error - 1 : mischief.error]
    steps: Iterable[Step] = marred(_lines([line for line, _ in told], mischief), mischief, _broken(mischief), _GARBAGE)
    return Play(200, _LINES, steps, stream=True, produced=Produced(asked, tuple(made)))


def _lines(told: list[bytes], mischief: Mischief) -> Iterator[bytes]:
    """The lines of a stream; the last one may never come, or others before it for ever."""
    yield from told[:-1]
    while mischief.endless and len(told) > 1:
        yield told[-2]
    if not mischief.no_done:
        yield told[-1]


def _broken(mischief: Mischief) -> bytes:
    return json.encode({"error": failure(500, mischief).message}) + b"\n"
