"""
Oracle's agents in the small: sessions that remember what was said in them, citations, traces with tokens, and a tool
that the caller must play.

An agent's OCID says what it does beside answering: `whole` streams all of the text so far in each piece, `traced` shows
its traces, `tool` asks the caller for the weather, `strict` takes no chat outside a session. `PUT /_next` and the
`x-simulate-...` headers make it misbehave as the models do; `DELETE /_sessions` forgets all sessions, as time does.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from foz.testing.simulated import words
from foz.wire import json, sse
from foz.wire.http import Call

ROOT = "/20240531/agentEndpoints/"
MOST = 10_000
QUOTED = 100
TIME = "2026-01-01T00:00:00.123Z"
_SOURCE = {"sourceLocationType": "OCI_OBJECT_STORAGE", "url": "https://example.com/a.pdf"}
CITATIONS = [{"sourceText": "water flows down", "title": "rivers", "docId": "d1", "sourceLocation": _SOURCE}]
Bag = dict[str, Any]


class Chat(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an agent's `actions/chat`."""

    userMessage: str  # noqa: N815 - Oracle's name
    shouldStream: bool | None = None  # noqa: N815 - Oracle's name
    sessionId: str | None = None  # noqa: N815 - Oracle's name
    performedActions: list[Bag] | None = None  # noqa: N815 - Oracle's name
    toolInputs: list[Bag] | None = None  # noqa: N815 - Oracle's name
    toolParameters: Bag | None = None  # noqa: N815 - Oracle's name


class Unknown(LookupError):
    """There is no such session."""


class Wrong(ValueError):
    """A body that the service refuses."""


class Talk:
    """What an agent remembers of a session."""

    def __init__(self) -> None:
        self.turns = 0
        self.first = ""


class Agents:
    """All agents and their sessions."""

    def __init__(self) -> None:
        self.sessions: dict[str, Talk] = {}
        """Those that are open, by id; the oldest are forgotten."""
        self.made = 0
        self.ended = 0

    def opened(self, call: Call) -> bytes:
        """A new session."""
        self.made += 1
        id = f"ocid1.genaiagentsession.oc1.us-chicago-1.s{self.made}"
        self.sessions[id] = Talk()
        if len(self.sessions) > MOST:
            del self.sessions[next(iter(self.sessions))]
        said: Bag = msgspec.json.decode(call.body) if call.body else {}
        return json.encode(self._told(id, said.get("displayName")))

    def told(self, id: str) -> bytes:
        """A session that there is. Raises Unknown."""
        self._find(id)
        return json.encode(self._told(id, None))

    def ends(self, id: str) -> None:
        """It is over. Raises Unknown."""
        self._find(id)
        del self.sessions[id]
        self.ended += 1

    def answers(self, agent: str, call: Call) -> "Answer":
        """What is said to a chat. Raises Unknown or Wrong."""
        try:
            chat = msgspec.json.decode(call.body, type=Chat)
        except msgspec.DecodeError as error:
            raise Wrong(str(error)) from None
        if chat.sessionId is None and "strict" in agent:
            raise Wrong("sessionId must not be empty")
        talk = Talk() if chat.sessionId is None else self._find(chat.sessionId)
        talk.turns += 1
        talk.first = talk.first or chat.userMessage[:QUOTED]
        return Answer(agent, chat, talk.turns, talk.first)

    def _find(self, id: str) -> "Talk":
        if id not in self.sessions:
            raise Unknown(id)
        return self.sessions[id]

    @staticmethod
    def _told(id: str, name: str | None) -> Bag:
        said = {"id": id, "displayName": name or "session", "description": "", "welcomeMessage": "hello"}
        return {**said, "timeCreated": TIME, "timeUpdated": TIME}


class Answer:
    """One answer: what it says depends on what was said in its session before."""

    def __init__(self, agent: str, chat: Chat, turn: int, first: str) -> None:
        self._agent = agent
        self.stream = bool(chat.shouldStream)
        done = [action.get("functionCallOutput", "") for action in chat.performedActions or ()]
        said = f'Turn {turn}, which began with "{first}": you said "{chat.userMessage[:600]}".'
        self.text = f"{said} The tool answered: {done[0]}" if done else said
        self.asks = "tool" in agent and not done
        self.input, self.output = words.count(chat.userMessage), words.count(self.text)

    def clip(self, most: int) -> None:
        """So many words at most."""
        self.text = "".join(words.tokens(self.text)[:most])
        self.output = words.count(self.text)

    def _end(self) -> Bag:
        details = {"inputTokenCount": self.input, "outputTokenCount": self.output}
        usage = {"modelDetails": {"modelName": "m"}, "usageDetails": details}
        end: Bag = {}
        if "traced" in self._agent:
            end["traces"] = [{"traceType": "GENERATION_TRACE", "input": "q", "generation": "g", "usage": [usage]}]
        if self.asks:
            call = {"name": "weather", "arguments": '{"city":"Rio"}'}
            action = {"requiredActionType": "FUNCTION_CALLING_REQUIRED_ACTION", "actionId": "a-1", "functionCall": call}
            end["requiredActions"] = [action]
        return end

    def whole(self) -> bytes:
        """All of it."""
        content: Bag = {"text": self.text, "citations": CITATIONS, "paragraphCitations": []}
        message = {"role": "AGENT", "timeCreated": TIME, "content": content}
        return json.encode({"message": message, "guardrailResult": None, **self._end()})

    def frames(self, batch: int = 1) -> Iterator[tuple[bytes, int]]:
        """Piece by piece, with the new tokens of each; and at last the whole text again beside its citations."""
        said = ""
        tokens = words.tokens(self.text)
        for at in range(0, len(tokens), batch):
            new = tokens[at : at + batch]
            said += "".join(new)
            text = said if "whole" in self._agent else "".join(new)
            yield _frame({"message": {"role": "AGENT", "content": {"text": text}}}), len(new)
        last = {"text": self.text, "citations": CITATIONS}
        yield _frame({"message": {"role": "AGENT", "timeCreated": TIME, "content": last}, **self._end()}), 0


def _frame(said: Bag) -> bytes:
    return sse.encode(json.encode(said))


def parts_of(path: str) -> tuple[str, str, str] | None:
    """(agent, what, session) of a path."""
    if not path.startswith(ROOT):
        return None
    agent, _, rest = path.removeprefix(ROOT).partition("/")
    what, _, session = rest.partition("/")
    return unquote(agent), what, unquote(session)
