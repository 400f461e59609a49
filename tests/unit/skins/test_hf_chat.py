"""The Chat Completion API's bodies, ranges and envelope: what is heard, what is refused, what every fault becomes."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Text
from foz.canon.event import Event, Finished, Measured, ReasoningGrew, RefusalGrew, Started, TextGrew
from foz.canon.fault import LEAVES, BadRequest, Down, Fault, NotFound, Refused, Timeout, UpstreamFault
from foz.canon.model import Capability
from foz.canon.request import ChatRequest
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.ports.codec import ServerCodec
from foz.ports.skin import Skin, Visit
from foz.skins.hf_chat.skin import HfChatSkin
from foz.wire import sse
from foz.wire.http import Call

SKIN: Skin = HfChatSkin()
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "max_tokens": (1, 4096),
    "top_p": (0.0, 1.0),
    "top_k": (1, 100),
    "repetition_penalty": (0.1, 2.0),
    "max_time": (1, 120),
}
WHOLE = {"max_tokens", "top_k", "max_time"}


def _codec(older: bool = False) -> ServerCodec:
    route = SKIN.routes[1 if older else 0]
    return SKIN.codec(Visit(route, Call("POST", route.path), "req-1"))


def _body(*, older: bool = False, **more: object) -> bytes:
    said: dict[str, object] = {"message": "Olá"} if older else {"messages": [{"role": "user", "content": "Olá"}]}
    return msgspec.json.encode({"model": "org/name", **said, **more})


def _refused(body: bytes, *, older: bool = False) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        _codec(older).read(body)
    return raised.value


def _heard(content: object) -> Message:
    request = _codec().decode_request(
        msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": content}]})
    )
    assert isinstance(request, ChatRequest)
    return request.messages[0]


# Ranges.


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_a_range_are_in_it(name: str, older: bool) -> None:
    """The least and the most that the document allows are taken, and null is as if it were not there."""
    for value in (*RANGES[name], None):
        _codec(older).read(_body(older=older, **{name: value}))


@pytest.mark.parametrize("name", RANGES)
@given(data=st.data())
def test_numbers_are_taken_exactly_within_their_range(name: str, data: st.DataObject) -> None:
    """A number is taken where it lies within the document's range, and else is refused naming the field."""
    low, high = RANGES[name]
    kind: st.SearchStrategy[float] = (
        st.integers(-(2**40), 2**40) | st.integers(int(low) - 2, int(high) + 2)
        if name in WHOLE
        else st.floats(allow_nan=False, allow_infinity=False) | st.floats(low - 0.5, high + 0.5)
    )
    value = data.draw(kind)
    older = data.draw(st.booleans())

    if low <= value <= high:
        _codec(older).read(_body(older=older, **{name: value}))
    else:
        assert _refused(_body(older=older, **{name: value}), older=older).field == name


@pytest.mark.parametrize("name", [*RANGES, "stream", "model"])
@pytest.mark.parametrize("value", [[], {}, "x" * 3, [1]])
def test_values_of_another_kind_are_refused(name: str, value: object) -> None:
    """What is no number, no boolean, no name where one belongs is refused, naming the field."""
    if name == "model" and isinstance(value, str):
        value = ""
    assert _refused(_body(older=False, **{name: value})).field == name


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_whole_numbers_are_whole(name: str) -> None:
    """Half a token and half a second are refused, naming the field, and so is a boolean."""
    for value in (1.5, True):
        assert _refused(_body(older=False, **{name: value})).field == name


# What is heard.


def test_options_reach_the_request() -> None:
    """Every option of the document is in the request or, for `max_time`, in what the core decides on."""
    body = _body(temperature=0.5, max_tokens=7, top_p=0.25, top_k=3, repetition_penalty=1.5, max_time=9, stream=True)
    ask, request = _codec().read(body), _codec().decode_request(body)

    assert (ask.model, ask.stream, ask.max_output, ask.seconds) == ("org/name", True, 7, 9)
    assert isinstance(request, ChatRequest)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repetition_penalty) == (0.5, 0.25, 3, 1.5)
    assert (request.max_output, request.stream, request.wants_usage) == (7, True, True)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), min_size=1, max_size=8))
def test_whole_conversations_are_heard(turns: list[tuple[str, str]]) -> None:
    """Every message is heard with its role and words, in order, whether its content is a string or parts."""
    plain = [{"role": role, "content": text} for role, text in turns]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    for messages in (plain, parts):
        request = _codec().decode_request(msgspec.json.encode({"model": "m", "messages": messages}))
        assert isinstance(request, ChatRequest)
        assert [(one.role, one.parts) for one in request.messages] == [(role, (Text(text),)) for role, text in turns]


@pytest.mark.parametrize(
    "part",
    [{"image_url": {"url": "https://x/a.png"}}, {"image_url": "https://x/a.png"}, {"text": "https://x/a.png"}],
)
def test_a_pictures_url_may_stand_in_three_places(part: dict[str, object]) -> None:
    """`image_url.url`, `image_url` and `text` name the same picture, and the target must be able to see it."""
    content = [{"type": "image_url", **part}]
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": content}]})

    assert _heard(content).parts == (Media("image", "https://x/a.png"),)
    assert _codec().read(body).needs == {Capability.IMAGES, Capability.LINKS}


def test_a_pictures_words_are_not_lost() -> None:
    """Text beside the URL of a picture stands before it, and data is heard as data."""
    part = {"type": "image_url", "text": "Veja:", "image_url": "data:image/png;base64,AAAA"}

    assert _heard([part]).parts == (Text("Veja:"), Media("image", None, "AAAA", "image/png"))


@pytest.mark.parametrize("name", ["message", "prompt", "inputs"])
def test_the_older_form_has_three_names_for_its_text(name: str) -> None:
    """`message`, `prompt` and `inputs` are one user turn, for the model that the document recommends."""
    request = _codec(older=True).decode_request(msgspec.json.encode({name: "Olá 🌊"}))

    assert isinstance(request, ChatRequest)
    assert request.messages == (Message("user", (Text("Olá 🌊"),)),)
    assert request.model == "microsoft/DialoGPT-medium"


# What is refused.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"content":"x"}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","content":null}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","content":[]}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"audio"}]}]}', "messages[0].content[0].type"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}', "messages[0].content[0].text"),
        (
            b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}',
            "messages[0].content[0].image_url",
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","text":"file:///etc/passwd"}]}]}',
            "messages[0].content[0].image_url",
        ),
        (b"[]", None),
        (b"", None),
    ],
)
def test_the_wrong_field_is_named(body: bytes, field: str | None) -> None:
    """A body of a wrong shape is refused, naming where it is wrong."""
    assert _refused(body).field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "message"),
        (b'{"message":""}', "message"),
        (b'{"inputs":["a"]}', "inputs"),
        (b'{"message":"a","prompt":"b"}', "prompt"),
    ],
)
def test_the_older_forms_wrong_field_is_named(body: bytes, field: str) -> None:
    """The older form without a text, with an empty one, or with two of them is refused, naming the field."""
    assert _refused(body, older=True).field == field


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode), st.booleans())
def test_any_body_is_read_or_refused(body: bytes, older: bool) -> None:
    """No bytes make the codec raise anything but BadRequest."""
    with suppress(BadRequest):
        _codec(older).read(body)


# What is said.

ANSWER: list[Event] = [
    Started("c", "up", 1),
    ReasoningGrew("hm"),
    TextGrew("Olá\n\ndata: "),
    TextGrew("🌊"),
    RefusalGrew("!"),
    Finished(),
]


def _request() -> ChatRequest:
    request = _codec().decode_request(_body(stream=True))
    assert isinstance(request, ChatRequest)
    return request


def test_an_answer_has_the_documents_members_alone() -> None:
    """A whole answer is `success` and `data` with `response`, `model` and the three counts, and nothing else."""
    answer = fold([*ANSWER[:-1], Measured(Usage(3, 4)), Finished()])
    told = msgspec.json.decode(_codec().encode_response(answer, _request(), "org/name"))

    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert told == {
        "success": True,
        "data": {"response": "Olá\n\ndata: 🌊!", "model": "org/name", "usage": usage},
    }


@pytest.mark.parametrize("usage", [None, Usage(input=5), Usage(output=6), Usage(5, 6)])
def test_counts_are_always_there(usage: Usage | None) -> None:
    """What the target did not count is estimated and marked, alike streamed and whole."""
    events: list[Event] = ANSWER if usage is None else [*ANSWER[:-1], Measured(usage), Finished()]
    whole = msgspec.json.decode(_codec().encode_response(fold(events), _request(), "m"))["data"]["usage"]
    encoder = _codec().encoder(_request(), "m")
    said = b"".join(map(encoder.feed, events)) + encoder.close()
    *frames, done = sse.Decoder().feed(said)
    told: list[Any] = [msgspec.json.decode(frame.data) for frame in frames]

    assert done.data == b"[DONE]"
    assert "".join(one["data"]["response"] for one in told) == "Olá\n\ndata: 🌊!"
    assert all(one["success"] is True and one["data"]["model"] == "m" for one in told)
    assert [one["data"].get("usage") for one in told] == [None] * (len(told) - 1) + [whole]
    assert whole["total_tokens"] == whole["prompt_tokens"] + whole["completion_tokens"]
    assert whole.get("estimated", False) == (usage != Usage(5, 6))


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_fault_has_its_envelope(leaf: type[Fault]) -> None:
    """Each leaf is told before a stream and in it, with its field; upstream's are 500, all others keep their status."""
    fault = leaf("it broke here", field="top_p")
    reply = SKIN.encode_fault(fault, "req-1")
    (frame,) = sse.Decoder().feed(_codec().encode_fault_event(fault))

    assert reply.status == (500 if issubclass(leaf, UpstreamFault) else leaf.default_status)
    told = {"success": False, "error": "it broke here", "field": "top_p"}
    assert msgspec.json.decode(reply.body) == msgspec.json.decode(frame.data) == told
    assert "field" not in msgspec.json.decode(SKIN.encode_fault(leaf("x"), "r").body)


def _answered(fault: Fault, status: int) -> Fault:
    fault.answered = status
    return fault


@pytest.mark.parametrize(
    ("fault", "status", "hint"),
    [
        (_answered(Refused("no", status=502, target="huggingface/a/b"), 401), 401, "Verifique sua chave da API"),
        (_answered(Refused("no", status=404), 404), 404, "Verifique se o modelo existe"),
        (_answered(Refused("no", vendor_code="model_not_supported"), 400), 404, "Verifique se o modelo existe"),
        (NotFound("no", field="model"), 404, "Verifique se o modelo existe"),
        (Timeout("still loading", status=503, retry_after=20), 500, "precisam ser carregados"),
        (_answered(Refused("no", status=502), 403), 500, ""),
        (_answered(Refused("no"), 422), 500, ""),
        (_answered(Down("no"), 503), 500, ""),
        (NotFound("no"), 404, ""),
    ],
)
def test_what_upstreams_refuse_with_is_told_with_the_documents_hint(fault: Fault, status: int, hint: str) -> None:
    """An upstream's 401 and 404, and a sleeping model, are told with the document's hint; anything else is 500."""
    reply = SKIN.encode_fault(fault, "r")
    error = msgspec.json.decode(reply.body)["error"]

    assert reply.status == status
    assert error.startswith(fault.message)
    assert (hint in error) if hint else ("erifique" not in error)
    assert (reply.header(b"www-authenticate") is not None) == (status == 401)
    if fault.target:
        assert fault.target in error


def test_every_body_is_described_with_its_ranges() -> None:
    """The schemas for the reference have each option's range as the document gives it."""
    schemas: Any = SKIN.schemas()

    for name in ("ChatCompletion", "HuggingFaceChat"):
        for field, (low, high) in RANGES.items():
            numbers, _ = schemas[name]["properties"][field]["anyOf"]
            assert (numbers["minimum"], numbers["maximum"]) == (low, high)
