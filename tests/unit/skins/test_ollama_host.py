"""The API Ollama Host: questions in our words, answers as text, faults of every kind, and the dashboard's fields."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.content import Message, Text
from foz.canon.event import CallGrew, CallOpened, Event, Finished, ReasoningGrew, RefusalGrew, Started, TextGrew
from foz.canon.fault import LEAVES, BadRequest, Down, Fault, RateLimited
from foz.canon.model import Model
from foz.canon.request import Attribution, ChatRequest
from foz.canon.response import fold
from foz.gateway.capture import heard
from foz.ports.content import Kept
from foz.ports.skin import Skin, Visit
from foz.skins.ollama_host import examples
from foz.skins.ollama_host.dashboard import MORE, Said, Use, messages, moment, row, say_dashboard
from foz.skins.ollama_host.skin import OllamaHostSkin
from foz.store.content import cut
from foz.wire.http import Call

SKIN: Skin = OllamaHostSkin()
LIST, SYNC, ASYNC = SKIN.routes
_WORDS = st.text(max_size=60)
_WORD = st.none() | st.text(st.characters(categories=("L", "N", "P")), max_size=128)


def _visit(route: Any = SYNC) -> Visit:
    return Visit(route, Call(route.method, route.path), "req-1")


@given(_WORDS.filter(bool), _WORDS, st.none() | _WORDS, _WORD, _WORD)
def test_a_question_is_a_conversation(
    agent: str, content: str, template: str | None, project: str | None, user_key: str | None
) -> None:
    """`template` is a system message where it says anything, `content` the user's; the rest is for the ledger."""
    said = {"agent": agent, "content": content, "template": template, "project": project, "user_key": user_key}
    body = msgspec.json.encode(said)
    for route, stream in ((SYNC, False), (ASYNC, True)):
        codec = SKIN.codec(_visit(route))
        ask, request = codec.read(body), codec.decode_request(body)
        assert isinstance(request, ChatRequest)
        assert (ask.model, ask.stream, request.model, request.stream) == (agent, stream, agent, stream)
        assert ask.attribution == Attribution(project=project or None, user_key=user_key or None)
        assert request.messages[-1] == Message("user", (Text(content),))
        above = [part for message in request.messages[:-1] for part in message.parts]
        assert above == ([Text(template)] if template and template.strip() else [])


def test_the_seeds_question_is_read() -> None:
    """The example's body gives its model and all that the ledger is told."""
    ask = SKIN.codec(_visit()).read(examples.QUESTION)

    assert (ask.model, ask.stream) == ("llama3", False)
    assert ask.attribution == Attribution("projeto1", "001", "001", "111111122")


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode))
def test_no_body_is_a_defect(body: bytes) -> None:
    """Whatever a body is, it is a question or a BadRequest with 422."""
    try:
        SKIN.codec(_visit()).read(body)
    except BadRequest as fault:
        found: BadRequest | None = fault
    else:
        found = None

    assert found is None or (found.status == 422 and found.message)


def test_only_words_are_text() -> None:
    """Of an answer the text and a refusal are said, whole and in pieces alike; thoughts and calls are not."""
    events: list[Event] = [
        Started("1", "m", 1), ReasoningGrew("hm"), TextGrew("água "), CallOpened(0, "c", "f"), CallGrew(0, "{}"),
        TextGrew("🌊"), TextGrew("no", choice=1), RefusalGrew(" não"), Finished(),
    ]  # fmt: skip
    codec = SKIN.codec(_visit())
    request = codec.decode_request(examples.QUESTION)
    encoder = codec.encoder(request, "m")
    pieces = b"".join(map(encoder.feed, events)) + encoder.close()

    assert pieces.decode() == "água 🌊 não"
    assert codec.encode_response(fold(events), request, "m") == pieces


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_fault_has_a_detail(leaf: type[Fault]) -> None:
    """Each leaf is its status with a detail; in the middle of a text it has no words."""
    reply = SKIN.encode_fault(leaf("it broke here", field="agent"), "req-1")

    assert (reply.status, msgspec.json.decode(reply.body)) == (leaf.default_status, {"detail": "it broke here"})
    assert SKIN.codec(_visit(ASYNC)).encode_fault_event(leaf("it broke here")) == b""


def test_a_fault_says_when_to_ask_again_and_whose_it_is() -> None:
    """Retry-after is in the headers, and an upstream's fault names its target once."""
    assert SKIN.encode_fault(RateLimited("slow", retry_after=1.5), "r").header(b"retry-after") == b"2"
    told = msgspec.json.decode(SKIN.encode_fault(Down("gone", target="ollama/x"), "r").body)
    assert told == {"detail": "gone (target ollama/x)"}


def test_names_are_listed_once_ollamas_first() -> None:
    """Ollama's models lose prefix and `:latest`, and come first; what another model is called keeps what tells it."""
    models = [
        Model("gpt", (), owner="openai"), Model("llama3", ()), Model("llama3:8b", (), owner="ollama"),
        Model("ollama/llama3:latest", (), owner="ollama"), Model("qwen:latest", (), owner="ollama"),
        Model("other:latest", ()), Model("ollama/other:latest", (), owner="ollama"),
    ]  # fmt: skip

    assert msgspec.json.decode(SKIN.list_models(models, _visit(LIST)).body) == [
        "llama3:8b", "llama3:latest", "qwen", "other", "gpt", "llama3", "other:latest",
    ]  # fmt: skip
    assert SKIN.list_models([], _visit(LIST)).body == b"[]"


# The dashboard.


def test_a_row_has_the_seeds_units() -> None:
    """1.5 seconds are 1500000000, the time is UTC without a zone, the total is the sum, and nothing is null's own."""
    at = round(datetime(2025, 8, 4, 11, 5, tzinfo=UTC).timestamp() * 1000) + 999
    kept = Kept(b"", "", "", '[{"role":"user","content":"exemplo"}]', "resposta gerada", False, False)
    shown = row(Use(at, 1500, 23, 100, "qwen", "projeto1", "p001", "s001"), kept)
    unknown = row(Use(at, None, None, 5, "qwen", "", None, None), None)

    assert msgspec.to_builtins(shown) == examples.DASHBOARD[0]
    assert list(msgspec.to_builtins(shown)) == list(examples.DASHBOARD[0])
    assert (unknown.total_seconds, unknown.total_tokens, unknown.project) == (None, None, None)
    assert (unknown.input, unknown.output) == (None, None)


@given(st.lists(st.tuples(st.sampled_from(["system", "user"]), st.text(max_size=40)), max_size=4), st.integers(0, 400))
def test_what_is_left_of_an_input_is_told(turns: list[tuple[str, str]], limit: int) -> None:
    """Wherever a captured input was cut, the messages before the cut are whole, and the last one is a beginning."""
    asked = ChatRequest("m", tuple(Message(role, (Text(text),)) for role, text in turns))  # type: ignore[arg-type]  # drawn from its roles
    full = [Said(role, text) for role, text in turns]
    kept, _, is_cut, _ = cut(heard(asked), "", limit)
    told = messages(kept, cut=is_cut)

    if not is_cut:
        assert told == full
    elif told:
        *before, last = told
        assert before == full[: len(before)]
        assert last.content.endswith(MORE)
        assert full[len(before)].content.startswith(last.content[: -len(MORE)])
        assert last.role == full[len(before)].role


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2025-08-04", "2025-08-04T00:00:00+00:00"),
        ("2025-08-04T11:05:00", "2025-08-04T11:05:00+00:00"),
        ("2025-08-04 11:05", "2025-08-04T11:05:00+00:00"),
        ("2025-08-04T11:05:00Z", "2025-08-04T11:05:00+00:00"),
        ("2025-08-04T11:05:00.250-03:00", "2025-08-04T14:05:00.250+00:00"),
        ("2025-08-04T11:05:00 02:00", "2025-08-04T09:05:00+00:00"),
    ],
)
def test_times_are_read_in_utc(said: str, expected: str) -> None:
    """A date or a time, with a zone or without, also one whose + became a space on its way."""
    assert timedelta(milliseconds=moment(said, "from")) == datetime.fromisoformat(expected) - datetime(
        1970, 1, 1, tzinfo=UTC
    )


@given(st.text(max_size=30))
def test_no_time_is_a_defect(said: str) -> None:
    """Whatever is said for a time, it is one or a BadRequest that names the field."""
    try:
        moment(said, "to")
    except BadRequest as fault:
        found: BadRequest | None = fault
    else:
        found = None

    assert found is None or (found.status, found.field) == (422, "to")


@given(st.dictionaries(st.sampled_from(["project", "model", "from", "limit", "cursor", "x"]), st.text(max_size=20)))
def test_a_link_is_one_header_line(asked: dict[str, str]) -> None:
    """Whatever a caller filtered by, the link is printable ASCII, has the new cursor once and no word of others."""
    link = (say_dashboard([], asked.items(), "abc").header(b"link") or b"").decode("ascii")

    assert link.isprintable()
    assert link.count("cursor=") == 1
    assert link.endswith('cursor=abc>; rel="next"')
    assert "x=" not in link
    assert say_dashboard([], asked.items(), None).header(b"link") is None
