"""The Nemotron Chat API's bodies, its faults in FastAPI's words, a job's log, and what is said of jobs and events."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from foz.canon.content import Message, Text
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
)
from foz.canon.fault import LEAVES, BadRequest, Conflict, Fault, NoRoute, Unsupported
from foz.canon.job import Job, JobState, Mark, Piece, Trouble
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import ChatRequest, Mode, ReasoningWish
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.ports.codec import ServerCodec
from foz.ports.skin import Skin, Visit
from foz.skins.nemotron import bodies, examples
from foz.skins.nemotron.pieces import Counts, Line, folded
from foz.skins.nemotron.skin import NemotronSkin
from foz.wire import sse
from foz.wire.http import Call, Reply

SKIN: Skin = NemotronSkin("river")
ID = bytes.fromhex("550e8400e29b41d4a716446655440000")
AT = 1_770_028_200_123
"""2026-02-02T10:30:00.123Z"""


def _codec(query: str = "") -> ServerCodec:
    route, _ = SKIN.routes
    return SKIN.codec(Visit(route, Call("POST", route.path, query=query), "req-1"))


def _heard(**said: object) -> ChatRequest:
    request = _codec().decode_request(msgspec.json.encode(said))
    assert isinstance(request, ChatRequest)
    return request


def _refused(body: bytes, query: str = "") -> dict[str, Any]:
    """What stands in `detail`: one problem."""
    with pytest.raises(BadRequest) as raised:
        _codec(query).read(body)
    reply = SKIN.encode_fault(raised.value, "req-1")
    assert reply.status == 422
    (problem,) = msgspec.json.decode(reply.body)["detail"]
    return dict(problem)


def _job(state: JobState = JobState.PENDING, **more: Any) -> Job:
    usual = Job(ID, AT, Principal("p"), "", "nemotron", "river", Mode.AUTO, Placement.API, "key", True, b"", state)
    return msgspec.structs.replace(usual, **more)


# What is heard.


def test_the_documents_request_is_heard() -> None:
    """Every field of the document's whole example is in the request or in what the core decides on."""
    ask, request = _codec("mode=gpu").read(examples.CHAT), _codec().decode_request(examples.CHAT)

    assert (ask.model, ask.stream, ask.max_output, ask.mode) == ("river", True, 256, Mode.GPU)
    assert (ask.key, set(ask.needs)) == ("uuid-gerado-pelo-cliente", {"reasoning"})
    assert isinstance(request, ChatRequest)
    assert request.messages == (Message("user", (Text("Olá, como você está?"),)),)
    assert (request.max_output, request.sampling.temperature) == (256, 0.7)
    assert request.reasoning == ReasoningWish("medium", enabled=True)


def test_the_least_request_asks_the_usual_model_for_anything() -> None:
    """A message alone is for the model of the settings, in any mode, with nothing wished for."""
    ask, request = _codec().read(examples.MINIMAL), _codec().decode_request(examples.MINIMAL)

    assert (ask.model, ask.mode, ask.key, ask.needs) == ("river", Mode.AUTO, None, frozenset())
    assert isinstance(request, ChatRequest)
    assert (request.reasoning, request.max_output, request.sampling.temperature) == (None, None, None)


def test_a_message_ends_its_conversation() -> None:
    """`system` comes first, then `messages`, then `message`; without `message` the conversation stands by itself."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    said = _heard(system="s", messages=turns, message="c", model="other")

    assert [(one.role, one.parts) for one in said.messages] == [
        ("system", (Text("s"),)), ("user", (Text("a"),)), ("assistant", (Text("b"),)), ("user", (Text("c"),)),
    ]  # fmt: skip
    assert said.model == "other"
    assert [one.role for one in _heard(messages=turns).messages] == ["user", "assistant"]


def test_thinking_can_be_left_to_the_model_asked_for_and_forbidden() -> None:
    """`use_reasoning` absent wishes nothing and needs nothing; false is a wish too; only true needs it."""
    found = [(_heard(message="x", **said).reasoning, _codec().read(msgspec.json.encode({"message": "x", **said})).needs)
             for said in ({}, {"use_reasoning": None}, {"use_reasoning": False}, {"use_reasoning": True})]  # fmt: skip

    assert [needs for _, needs in found] == [frozenset(), frozenset(), frozenset(), {"reasoning"}]
    assert [None if wish is None else wish.enabled for wish, _ in found] == [None, None, False, True]


@pytest.mark.parametrize("mode", list(Mode))
def test_the_mode_stands_in_the_query(mode: Mode) -> None:
    """Each mode is heard, and of several the last."""
    assert _codec(f"mode=api&mode={mode.value}").read(examples.MINIMAL).mode is mode


# What is refused, as FastAPI says it.


class _Turn(BaseModel):
    role: Any
    content: str


class _Chat(BaseModel):
    """The same request, as FastAPI's callers know it."""

    message: str = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    temperature: float | None = Field(None, ge=0, le=2)
    use_reasoning: bool | None = None
    idempotency_key: str | None = Field(None, max_length=255)
    model: str | None = Field(None, min_length=1)
    system: str | None = None
    messages: list[_Turn] | None = None


def _by_pydantic(said: object) -> list[dict[str, Any]]:
    """What FastAPI would say."""
    try:
        TypeAdapter(_Chat).validate_python(said, strict=True)
    except ValidationError as error:
        return [{"type": one["type"], "loc": ["body", *one["loc"]], "msg": one["msg"]} for one in error.errors()]
    return []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"message": ""},
        {"message": 5},
        {"message": ["x"]},
        {"message": "x", "max_tokens": 0},
        {"message": "x", "max_tokens": "many"},
        {"message": "x", "max_tokens": 2**31},
        {"message": "x", "temperature": -0.1},
        {"message": "x", "temperature": 2.5},
        {"message": "x", "temperature": "hot"},
        {"message": "x", "use_reasoning": "yes"},
        {"message": "x", "use_reasoning": 1},
        {"message": "x", "idempotency_key": "k" * 256},
        {"message": "x", "idempotency_key": {}},
        {"message": "x", "model": ""},
        {"message": "x", "system": 1},
        {"message": "x", "messages": "x"},
        {"message": "x", "messages": [{"role": "user", "content": 1}]},
        {"message": "x", "messages": [{"role": "user", "content": "x"}, {"role": "user"}]},
    ],
)
def test_a_wrong_field_is_told_as_fastapi_does(said: dict[str, Any]) -> None:
    """Type, place and sentence of a refusal are those that a FastAPI application gives for the same field."""
    assert [_refused(msgspec.json.encode(said))] == _by_pydantic(said)


@pytest.mark.parametrize("mode", ["", "GPU", "cpu", "auto ", "auto,gpu"])
def test_a_mode_that_is_none_is_told_as_fastapi_does(mode: str) -> None:
    """The place is the query, and the sentence names the three."""
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Mode).validate_python("x")
    (wanted,) = raised.value.errors()

    assert _refused(examples.MINIMAL, f"mode={mode}") == {
        "type": wanted["type"], "loc": ["query", "mode"], "msg": wanted["msg"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"", "missing", ["body"]),
        (b" \n", "missing", ["body"]),
        (b"{", "json_invalid", ["body"]),
        (b'{"message": x}', "json_invalid", ["body", 12]),
        (b'{"message": "\xff"}', "json_invalid", ["body"]),
        (b"[" * 500, "recursion_loop", ["body"]),
        (b"[]", "model_attributes_type", ["body"]),
        (b'{"messages": []}', "too_short", ["body", "messages"]),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "literal_error", ["body", "messages", 0, "role"]),
        (b'{"messages": [{"role": "system", "content": "x"}]}', "value_error", ["body", "messages"]),
        (b'{"message": "x", "max_tokens": 1.5}', "int_from_float", ["body", "max_tokens"]),
    ],
)
def test_what_is_wrong_and_where_is_told(body: bytes, kind: str, loc: list[object]) -> None:
    """A body that is none, and what pydantic's model of it above does not have, is told by kind and place."""
    told = _refused(body)

    assert (told["type"], told["loc"]) == (kind, loc)
    assert told["msg"]


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode), st.text())
def test_any_request_is_read_or_refused(body: bytes, query: str) -> None:
    """No bytes and no query make the codec raise anything but BadRequest, which can be told."""
    with suppress(BadRequest):
        _codec(query).read(body)


# Faults.


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_fault_has_its_detail(leaf: type[Fault]) -> None:
    """Each leaf is told as `detail` with its status; 422 is a list, also where a target cannot do what is asked."""
    reply = SKIN.encode_fault(leaf("it broke here", field="model"), "req-1")
    told = msgspec.json.decode(reply.body)
    unsupported = leaf is Unsupported

    assert reply.status == (422 if unsupported else leaf.default_status)
    problem = [{"type": "unsupported", "loc": ["body", "model"], "msg": "it broke here"}]
    assert told == {"detail": problem if unsupported else "it broke here"}
    assert reply.header(b"content-type") == b"application/json"


def test_a_key_that_stands_for_another_body_is_a_problem_of_the_key() -> None:
    """What cannot be reasoned about, and a key of another request, name their fields; 503 says when to ask again."""
    conflict = SKIN.encode_fault(Conflict("another", field="idempotency_key", status=422), "r")
    thinking = SKIN.encode_fault(Unsupported("cannot think"), "r")
    nobody = SKIN.encode_fault(NoRoute("nobody", retry_after=2.5), "r")

    assert msgspec.json.decode(conflict.body)["detail"][0]["loc"] == ["body", "idempotency_key"]
    assert msgspec.json.decode(thinking.body)["detail"][0]["loc"] == ["body", "use_reasoning"]
    assert (nobody.status, nobody.header(b"retry-after")) == (503, b"3")


def test_what_fastapi_refuses_on_the_control_plane_has_no_field_in_its_sentence() -> None:
    """The control plane's `limit: ...` is told as the bare sentence, beside the place."""
    fault = BadRequest("limit: Input should be a valid integer", field="limit", status=422, vendor_code="int_type")
    (told,) = msgspec.json.decode(SKIN.encode_fault(fault, "r").body)["detail"]

    assert told == {"type": "int_type", "loc": ["query", "limit"], "msg": "Input should be a valid integer"}


# The log.

ANSWER: list[Event] = [
    Started("c", "up", 1),
    ReasoningGrew("hm"),
    TextGrew("Olá\n🌊"),
    TextGrew("other", 1),
    CallOpened(0, "id", "name"),
    CallGrew(0, "{}"),
    RefusalGrew("!"),
    ChoiceFinished("length"),
]


def test_the_log_is_the_answer() -> None:
    """The fold of the lines has the text, the thoughts, why it ended and the counts; each event is a line at most."""
    encoder = _codec().encoder(_heard(message="x" * 8), "river")
    lines = [encoder.feed(event) for event in (*ANSWER, Measured(Usage(3, 4)), Finished())]

    assert all(line == b"" or (line.endswith(b"\n") and line.count(b"\n") == 1) for line in lines)
    assert folded(b"".join(lines) + encoder.close()) == Line("Olá\n🌊!", "hm", "length", Counts(3, 4))


def test_a_whole_answer_is_the_same_log() -> None:
    """What came whole is told as what came in pieces; what nobody counted is estimated, and marked."""
    events: list[Event] = [*(one for one in ANSWER if getattr(one, "choice", 0) == 0), Finished()]
    request = _heard(message="x" * 8)
    whole = folded(_codec().encode_response(fold(events), request, "river"))

    assert (whole.text, whole.reasoning, whole.finish_reason) == ("Olá\n🌊!", "hm", "length")
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.estimated) == (2, True)


@given(st.lists(st.tuples(st.booleans(), st.text())), st.data())
def test_however_a_log_is_cut_into_pieces_it_says_the_same(said: list[tuple[bool, str]], data: st.DataObject) -> None:
    """The pieces' texts, told one by one as events, join to what the whole log says."""
    encoder = _codec().encoder(_heard(message="x"), "river")
    events: list[Event] = [ReasoningGrew(text) if thought else TextGrew(text) for thought, text in said]
    lines = [encoder.feed(event) for event in events]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(lines)))) | {0, len(lines)})
    pieces = [b"".join(lines[start:stop]) for start, stop in pairwise(cuts)]
    told = b"".join(bodies.say_piece(Piece(Mark(1, number), data)) for number, data in enumerate(pieces))
    frames = [msgspec.json.decode(frame.data) for frame in sse.Decoder().feed(told)]

    whole = folded(b"".join(lines))
    assert (
        "".join(one.get("text", "") for one in frames) == whole.text == "".join(t for thought, t in said if not thought)
    )
    assert "".join(one.get("reasoning", "") for one in frames) == whole.reasoning


# What is said of jobs.


def _said(reply: Reply) -> Any:
    return msgspec.json.decode(reply.body)


def test_an_accepted_job_is_told_with_its_place() -> None:
    """202, the document's three members in their order, and where its status is."""
    reply = bodies.say_accepted(_job(key="..."))

    assert reply.status == 202
    assert msgspec.json.format(reply.body, indent=2) == examples.ACCEPTED
    assert reply.header(b"location") == b"/chat/status/550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("job", "log", "body"),
    [
        (_job(JobState.PROCESSING), b"", examples.PROCESSING),
        (
            _job(JobState.COMPLETED, served=Placement.API, latency=1250.4966),
            b'{"text":"Resposta do "}\n{"reasoning":"hm"}\n{"text":"modelo aqui"}\n{"finish_reason":"stop"}\n',
            examples.COMPLETED,
        ),
        (_job(JobState.FAILED, trouble=Trouble("x", "Descrição do erro")), b"", examples.FAILED),
    ],
)
def test_the_documents_bodies_are_told_to_the_letter(job: Job, log: bytes, body: bytes) -> None:
    """Seed 000, Consultar Status do Job: the three bodies, member by member, in their order."""
    assert msgspec.json.format(bodies.say_status(job, log).body, indent=2) == body


def test_what_the_document_does_not_show_looks_like_what_it_shows() -> None:
    """A pending job looks like one that is processed; a cancelled one has neither result nor error."""
    pending, cancelled = (_said(bodies.say_status(_job(state))) for state in (JobState.PENDING, JobState.CANCELLED))

    assert pending == {**msgspec.json.decode(examples.PROCESSING), "status": "pending"}
    assert cancelled == examples.CANCELLED


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_an_events_id_leads_back_to_its_place(epoch: int, number: int) -> None:
    """The id that a piece is told with is the mark after which the next piece comes."""
    (frame,) = sse.Decoder().feed(bodies.say_piece(Piece(Mark(epoch, number), b"")))

    assert bodies.mark_of(frame.id.decode(), "after") == Mark(epoch, number)


@pytest.mark.parametrize("said", ["", "1", "1.", ".1", "1.2.3", "-1.2", "1.-2", "1.2 ", "a.b", "².1", "1." + "9" * 30])
def test_an_id_that_is_none_is_refused(said: str) -> None:
    """Whatever is not two numbers is a problem of its field."""
    with pytest.raises(BadRequest) as raised:
        bodies.mark_of(said, "after")
    assert (raised.value.status, raised.value.field) == (422, "after")
