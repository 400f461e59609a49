"""
Oracle's Generative AI on a real socket, in the small: it checks each signature, speaks the three formats, embeds, and
lets the simulated model answer. It is put behind `foz.testing.server.Server`, and misbehaves as that one does.

Beside the `x-simulate-...` headers, what is wrong with the next calls may be laid down before: `PUT /_next` with a list
of objects of such headers (`[{"x-simulate-status": "409"}]`), one for each call. `GET /_produced` tells the tokens of
every answer, by `opc-request-id` or `x-request-id`, as far as they were sent.

Models are known by their vendor's name, or by an OCID that `models` maps to one; what a model is told in another format
than its own is refused, as the service does it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from typing_extensions import override

from foz.canon.content import Message, ToolCall
from foz.canon.event import CallGrew, Event, Measured, ReasoningGrew, TextGrew
from foz.canon.request import ChatRequest
from foz.canon.response import fold
from foz.ports.clock import Clock
from foz.testing.oracle import hear, tell
from foz.testing.oracle.agents import Agents, Answer, Unknown, Wrong, parts_of
from foz.testing.simulated.answer import answer
from foz.testing.simulated.counted import tokens_of
from foz.testing.simulated.embed import embed
from foz.testing.simulated.mischief import NONE, Mischief, read
from foz.testing.simulated.play import Play, Silence, Step, batched, whole
from foz.testing.simulated.upstream import SimulatedUpstream
from foz.wire import json, sse
from foz.wire.http import Call, Headers

JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream"),)
"""Exactly so: Oracle's SDK does not know a stream that also names its charset."""
CHAT, EMBED = "/20231130/actions/chat", "/20231130/actions/embedText"
MODELS, ENDPOINTS = "/20231130/models/", "/20231130/endpoints/"
_UNSIGNED = "The required information to complete authentication was not provided or was incorrect."
_MISSING = "Authorization failed or requested resource not found."
_SECOND = ("cohere.command-a-vision", "cohere.command-a-reasoning")
_MOST = 100_000


class Account(msgspec.Struct):
    """One answer's tokens, as far as they were sent."""

    id: str
    model: str
    input: int = 0
    output: int = 0
    ended: bool = False


def format_of(name: str) -> str:
    """The format that a model takes."""
    if not name.startswith("cohere."):
        return "GENERIC"
    return "COHEREV2" if name.startswith(_SECOND) else "COHERE"


def fault(status: int, code: str | None, message: str, headers: Headers = ()) -> Play:
    """An error; the inference service writes the status into `code`."""
    body = json.encode({"code": code or str(status), "message": message})
    return Play(status, (*JSON, *headers), (body,))


class OracleUpstream(SimulatedUpstream):
    """`judge` says what is wrong with a call's signature; without one nobody need sign."""

    def __init__(
        self,
        clock: Clock,
        judge: Callable[[Call], str | None] | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__({}, clock, misbehaves=True)
        self._judge = judge
        self._named = dict(models or {})
        self.agents = Agents()
        self._next: deque[Headers] = deque()
        self.accounts: deque[Account] = deque(maxlen=_MOST)

    @override
    def _play(self, call: Call) -> tuple[Mischief, Play]:
        if call.path.startswith("/_"):
            return NONE, self._own(call)
        ahead = self._next.popleft() if self._next else ()
        mischief = read((*call.headers, *ahead))
        if mischief.status is not None and not self._fails(mischief):
            mischief = msgspec.structs.replace(mischief, status=None, times=None, id=None)
        wrong = None if self._judge is None else self._judge(call)
        if wrong is not None:
            return mischief, fault(401, "NotAuthenticated", f"{_UNSIGNED} ({wrong})")
        if mischief.status is not None:
            wait = mischief.retry_after
            headers = () if wait is None else ((b"retry-after", b"%g" % wait),)
            return mischief, fault(mischief.status, mischief.code, "simulated: it was asked for", headers)
        try:
            return mischief, self._answered(call, mischief)
        except hear.Refused as refused:
            return Mischief(delay=mischief.delay), _refusal(refused)

    def _own(self, call: Call) -> Play:
        """What tests ask the fake itself."""
        if call.path == "/_sessions":
            if call.method == "DELETE":
                self.agents.sessions.clear()
            told = {"made": self.agents.made, "ended": self.agents.ended, "open": sorted(self.agents.sessions)}
            return Play(200, JSON, (json.encode(told),))
        if call.method == "PUT":
            said: list[dict[str, str]] = msgspec.json.decode(call.body)
            self._next = deque(tuple((name.encode(), value.encode()) for name, value in one.items()) for one in said)
        return Play(200, JSON, (json.encode(list(self.accounts)),))

    def _answered(self, call: Call, mischief: Mischief) -> Play:
        if call.method == "GET" and call.path.startswith((MODELS, ENDPOINTS)):
            return self._described(call.path)
        if call.method == "POST" and call.path == CHAT:
            return self._chat(call, mischief)
        if call.method == "POST" and call.path == EMBED:
            return self._embed(call, mischief)
        return self._other(call, mischief)

    def _other(self, call: Call, mischief: Mischief) -> Play:
        """An agent's path, or one that there is not."""
        parts = parts_of(call.path)
        if parts is not None:
            try:
                return self._agent(parts, call, mischief)
            except Unknown as session:
                return fault(404, None, f"session {session} not found")
            except Wrong as wrong:
                return fault(400, None, str(wrong))
        return fault(404, "NotAuthorizedOrNotFound", f"{_MISSING} ({call.method} {call.path})")

    def _agent(self, parts: tuple[str, str, str], call: Call, mischief: Mischief) -> Play:
        """Raises Unknown or Wrong."""
        agent, what, session = parts
        match call.method, what, session:
            case "POST", "sessions", "":
                return Play(200, JSON, (self.agents.opened(call),))
            case "GET" | "PUT", "sessions", _:
                return Play(200, JSON, (self.agents.told(session),))
            case "DELETE", "sessions", _:
                self.agents.ends(session)
                return Play(204, JSON, (b"",))
            case "POST", "actions", "chat":
                return self._agent_chat(agent, call, mischief)
            case _:
                return fault(404, "NotAuthorizedOrNotFound", _MISSING)

    def _agent_chat(self, agent: str, call: Call, mischief: Mischief) -> Play:
        answer = self.agents.answers(agent, call)
        if mischief.words is not None:
            answer.clip(mischief.words)
        account = self._account(call, agent)
        account.input = answer.input
        if not answer.stream:
            account.output, account.ended = answer.output, True
            return whole(answer.whole(), mischief)
        return Play(200, SSE, _broken(_told(answer, account, mischief.batch or 1), mischief), stream=True)

    def _described(self, path: str) -> Play:
        """What the management API says of a model or an endpoint."""
        ocid = path.rpartition("/")[2]
        name = self._named.get(ocid)
        if name is None:
            return fault(404, "NotAuthorizedOrNotFound", _MISSING)
        if path.startswith(ENDPOINTS):
            return Play(200, JSON, (json.encode({"id": ocid, "modelId": name, "lifecycleState": "ACTIVE"}),))
        said = {"id": ocid, "displayName": name, "vendor": name.partition(".")[0], "capabilities": ["CHAT"]}
        return Play(200, JSON, (json.encode(said),))

    def _model(self, serving: hear.Serving) -> str | None:
        """The vendor's name of what is asked; None where there is no such model."""
        name = serving.name
        for _ in range(2):
            name = self._named.get(name, name)
        return None if name.startswith("ocid1.") or "." not in name else name

    def _account(self, call: Call, model: str) -> Account:
        named = call.header(b"x-request-id") or call.header(b"opc-request-id") or b""
        account = Account(named.decode("latin-1"), model)
        self.accounts.append(account)
        return account

    def _chat(self, call: Call, mischief: Mischief) -> Play:
        asked = hear.read_chat(call.body)
        model = self._model(asked.servingMode)
        if model is None or not asked.compartmentId:
            return fault(404, None, _MISSING)
        format = asked.chatRequest.get("apiFormat")
        if format != format_of(model):
            raise hear.Refused(f"{model} is called in the format {format_of(model)}, not {format}")
        limit = "maxCompletionTokens" if model.startswith("openai.gpt-5") else "maxTokens"
        request = hear.chat(asked.chatRequest, model, limit)
        if model.startswith("google.") and any(_called(message) > 1 for message in request.messages):
            raise hear.Refused("the number of function responses must equal that of the function calls of the turn")
        account = self._account(call, model)
        events = _counted(_events(request, mischief), account)
        if not request.stream:
            return whole(tell.whole(fold(events), str(format), model), mischief)
        teller = tell.Teller(str(format), model, wants_usage=request.wants_usage and not mischief.no_usage)
        return Play(200, SSE, _stream(teller, events, mischief), stream=True)

    def _embed(self, call: Call, mischief: Mischief) -> Play:
        asked = hear.read_embed(call.body)
        model = self._model(asked.servingMode)
        if model is None:
            return fault(404, None, _MISSING)
        response = embed(hear.embedding(asked, model))
        account = self._account(call, model)
        account.input = response.usage.input or 0 if response.usage else 0
        account.ended = True
        said: dict[str, Any] = {
            "id": "embed-1",
            "embeddings": response.vectors,
            "modelId": model,
            "modelVersion": "3.0",
        }
        said["inputTextTokenCounts"] = [account.input]
        return whole(json.encode(said), mischief)


def _called(message: Message) -> int:
    """How many tools a turn calls."""
    return sum(isinstance(part, ToolCall) for part in message.parts)


def _refusal(refused: hear.Refused) -> Play:
    """A 400; one about a parameter is a vendor's error, written as JSON into the message."""
    if refused.parameter is None:
        return fault(400, None, str(refused))
    error = {"message": str(refused), "param": refused.parameter, "code": refused.code}
    return fault(400, None, json.encode({"error": error}).decode())


def _events(request: ChatRequest, mischief: Mischief) -> Iterator[Event]:
    """The model's events, changed as asked."""
    events = answer(request, length=mischief.words)
    for at, event in enumerate(events if mischief.batch is None else batched(events, mischief.batch)):
        if isinstance(event, Measured) and mischief.no_usage:
            continue
        yield event
        if at == 0 and mischief.giant is not None:
            yield TextGrew("x" * mischief.giant)
        while mischief.endless and isinstance(event, TextGrew | ReasoningGrew | CallGrew):
            yield TextGrew(" and on")


def _counted(events: Iterator[Event], account: Account) -> Iterator[Event]:
    """The same events, and the tokens that have left with them."""
    for event in events:
        account.output += tokens_of(event)
        if isinstance(event, Measured):
            account.input, account.output = event.usage.input or 0, event.usage.output or 0
            account.ended = True
        yield event


def _told(answer: Answer, account: Account, batch: int) -> Iterator[bytes]:
    """An agent's frames, and the tokens that have left with them."""
    for frame, made in answer.frames(batch):
        account.output += made
        yield frame
    account.ended = True


def _stream(teller: tell.Teller, events: Iterator[Event], mischief: Mischief) -> Iterator[Step]:
    """The frames of a model's stream."""
    return _broken(_frames(teller, events), mischief)


def _broken(frames: Iterator[bytes], mischief: Mischief) -> Iterator[Step]:
    """The frames of a stream; ends where mischief ends it."""
    last = {one for one in (mischief.cut, mischief.hang, mischief.error) if one is not None}
    for at, frame in enumerate(frames):
        if at in last:
            break
        yield sse.encode(b'{"message": {"content": [{"ty') if at + 1 == mischief.garble else frame
    if mischief.cut is not None:
        yield Silence.CUT
    elif mischief.hang is not None:
        yield Silence.HANG
    elif mischief.error is not None:
        yield sse.encode(json.encode({"code": mischief.code or "500", "message": "simulated: it was asked for"}))


def _frames(teller: tell.Teller, events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        yield from teller.feed(event)
    yield from teller.close()
