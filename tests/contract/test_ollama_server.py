"""The server role of the `ollama` dialect: what callers ask means what it says, and what they are told can be read."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Reasoning, Text, ToolCall, ToolResult
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
from foz.canon.fault import LEAVES, BadRequest, Down, Fault, Garbled, NotFound, RateLimited
from foz.canon.model import Capability
from foz.canon.request import ChatRequest, CompleteRequest, EmbedRequest, Operation, ReasoningWish
from foz.canon.response import EmbedResponse, Response, fold
from foz.canon.usage import Timing, Usage
from foz.dialects.ollama.client import EmbedClient, WordsClient
from foz.dialects.ollama.faults import encode_fault, encode_fault_event
from foz.dialects.ollama.server import ChatServer, EmbedServer, GenerateServer
from foz.wire.http import Reply
from tests.contract.test_ollama_pair import _answers, _chats, gist, plain
from tests.strategies import NAMES

CHAT, GENERATE, EMBED, OLDER = ChatServer(), GenerateServer(), EmbedServer(), EmbedServer(older=True)
CLIENT = WordsClient()
SLOW = settings(max_examples=25)
SERVERS = (CHAT, GENERATE, EMBED, OLDER)
PIXEL = "iVBORw0KGgoAAAAN"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def chat(*messages: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": list(messages), **more})


def says(text: str, **more: Any) -> Any:
    return {"role": "user", "content": text, **more}


def heard(body: bytes) -> ChatRequest:
    return CHAT.decode_request(body)


# What is asked.


def _said(request: ChatRequest) -> Any:
    """What a chat asks, without what the dialect says otherwise: ids that it makes, types of pictures, empty texts."""
    said = plain(request)
    for message in said["messages"]:
        for part in message["parts"]:
            for name in ("id", "call_id", "mime"):
                part.pop(name, None)
            if part["type"] == "tool_result":
                part["parts"] = [{**inner, "mime": None} for inner in part["parts"] if inner.get("text", "there") != ""]
        message["parts"] = [part for part in message["parts"] if part != {"type": "text", "text": ""}]
    if said["reasoning"] is not None and said["reasoning"]["enabled"]:
        said["reasoning"]["effort"] = "medium"
    if said["sampling"]["seed"] is not None and said["sampling"]["seed"] < 0:
        said["sampling"]["seed"] = None
    return {**said, "max_output": said["max_output"] or None, "top_logprobs": said["top_logprobs"] or None}


@SLOW
@given(_chats(), NAMES)
def test_a_chat_is_heard_as_it_was_asked(request: ChatRequest, model: str) -> None:
    """Whatever chat the dialect's client can ask means the same to its server, under the name that was asked for."""
    body = CLIENT.encode_request(request, model).body

    assert _said(heard(body)) == _said(msgspec.structs.replace(request, model=model))


@SLOW
@given(_chats())
def test_the_facts_are_those_of_the_request(request: ChatRequest) -> None:
    """What routing is told of a body agrees with what the whole of it says."""
    body = CLIENT.encode_request(request, "m").body
    ask, whole = CHAT.read(body), heard(body)

    assert (ask.operation, ask.model, ask.stream, ask.max_output) == ("chat", "m", whole.stream, whole.max_output)
    assert (Capability.TOOLS in ask.needs) == bool(whole.tools)
    shown = [message for message in whole.messages if any(isinstance(part, Media) for part in message.parts)]
    results = [part for message in whole.messages for part in message.parts if isinstance(part, ToolResult)]
    inner = any(isinstance(part, Media) for result in results for part in result.parts)
    assert (Capability.IMAGES in ask.needs) == bool(shown or inner)
    assert not ask.idle


def test_a_stream_is_what_is_asked_for_where_nothing_is_said() -> None:
    """Without `stream`, or with null, the answer is streamed; only false means a whole one."""
    assert [CHAT.read(chat(says("hi"), **said)).stream for said in ({}, {"stream": None}, {"stream": True})] == [
        True
    ] * 3
    assert not CHAT.read(chat(says("hi"), stream=False)).stream


def test_calls_without_ids_get_them_and_results_find_theirs() -> None:
    """Calls that come back bare get ids of their own; results go to the first call of their tool that has none yet."""
    called = [{"function": {"name": name, "arguments": {"n": at}}} for at, name in enumerate(("sea", "sky", "sea"))]
    known = {"id": "call_0", "function": {"name": "sun", "arguments": {}}}
    results = [{"role": "tool", "tool_name": name, "content": name} for name in ("sea", "sea", "sky")]
    late = [{"role": "tool", "content": "no name"}, {"role": "tool", "tool_name": "moon", "content": "of nobody"}]
    request = heard(chat(says("?"), {"role": "assistant", "tool_calls": [*called, known]}, *results, *late))

    calls = [part for part in request.messages[1].parts if isinstance(part, ToolCall)]
    answered = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    ids = [call.id for call in calls]
    assert len(set(ids)) == 4
    assert ids[3] == "call_0"
    assert [result.call_id for result in answered[:4]] == [ids[0], ids[2], ids[1], "call_0"]
    assert answered[4].call_id not in ids
    assert [call.arguments for call in calls] == ['{"n":0}', '{"n":1}', '{"n":2}', "{}"]


def test_an_id_of_the_caller_is_kept() -> None:
    """A result that says whose it is goes there, whatever the order."""
    called = [{"id": id, "function": {"name": "f", "arguments": {}}} for id in ("a", "b")]
    results = [{"role": "tool", "tool_call_id": id, "tool_name": "f", "content": id} for id in ("b", "a")]
    request = heard(chat(says("?"), {"role": "assistant", "content": "", "tool_calls": called}, *results))

    assert [message.parts[0].call_id for message in request.messages[2:]] == ["b", "a"]  # type: ignore[union-attr]  # they are results


def test_numbers_in_arguments_stay_what_they_are() -> None:
    """An integer, a large one, a decimal and a schema pass as they were written."""
    written = b'{"a":1,"b":12345678901234567890123,"c":1.0,"d":1e2}'
    body = b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":%b}}]}]}'

    (call,) = heard(body % written).messages[0].parts
    assert isinstance(call, ToolCall)
    assert call.arguments.encode() == written


def test_what_a_turn_holds_is_in_its_place() -> None:
    """Thoughts, words and pictures of a turn are its parts; roles have no case, pictures tell their type."""
    request = heard(
        chat(
            {"role": "System", "content": "be brief"},
            says("what?", images=[PIXEL]),
            {"role": "assistant", "content": "a dot", "thinking": "hm"},
            says(""),
        )
    )

    assert request.messages == (
        Message("system", (Text("be brief"),)),
        Message("user", (Text("what?"), Media("image", data=PIXEL, mime="image/png"))),
        Message("assistant", (Reasoning("hm"), Text("a dot"))),
        Message("user", (Text(""),)),
    )


@pytest.mark.parametrize(
    ("think", "wish", "needed"),
    [
        (None, None, False),
        (True, ReasoningWish("medium", enabled=True), True),
        (False, ReasoningWish(enabled=False), False),
        ("high", ReasoningWish("high"), True),
    ],
)
def test_thinking_is_wished_for_as_it_is_said(think: object, wish: ReasoningWish | None, needed: bool) -> None:
    """Nothing, on, off and a level are what they say; a target must be able to think only where it shall."""
    body = chat(says("?"), think=think)

    assert heard(body).reasoning == wish
    assert (Capability.REASONING in CHAT.read(body).needs) is needed


def test_a_limit_of_nothing_is_none() -> None:
    """`num_predict` of 0, -1 and -2 is no limit, a decimal that is whole is one, and a seed below 0 is any."""
    limits = [heard(chat(says("?"), options={"num_predict": limit})).max_output for limit in (0, -1, -2, 16.0, None)]

    assert limits == [None, None, None, 16, None]
    assert heard(chat(says("?"), options={"seed": -1})).sampling.seed is None


def test_what_only_ollama_knows_travels_beside() -> None:
    """Options and fields without a word in canon are kept verbatim for Ollama servers, and nulls are nothing."""
    options = {"num_ctx": 4096, "temperature": 0.5, "mirostat": None, "low_vram": True}
    own = heard(chat(says("?"), options=options, keep_alive="5m", shift=False, unknown=None)).vendor["ollama"]

    assert {name: msgspec.json.decode(raw) for name, raw in own.items()} == {
        "options": {"num_ctx": 4096, "low_vram": True},
        "keep_alive": "5m",
        "shift": False,
    }


# Prompts.


def prompt(**said: Any) -> bytes:
    return msgspec.json.encode({"model": "m", **said})


def test_a_prompt_is_a_turn() -> None:
    """A prompt with its system message and its pictures is a conversation of one turn."""
    body = prompt(prompt="what?", system="be brief", images=[PIXEL], format="json")
    request, ask = GENERATE.decode_request(body), GENERATE.read(body)

    assert isinstance(request, ChatRequest)
    assert request.messages == (
        Message("system", (Text("be brief"),)),
        Message("user", (Text("what?"), Media("image", data=PIXEL, mime="image/png"))),
    )
    assert request.response_format is not None
    assert (ask.operation, set(ask.needs)) == (Operation.CHAT, {"images"})


@pytest.mark.parametrize("said", [{"raw": True}, {"suffix": "}"}])
def test_a_raw_prompt_is_a_text_to_continue(said: dict[str, Any]) -> None:
    """With `raw` or `suffix` the prompt is continued as it stands; what it has no place for stays Ollama's own."""
    body = prompt(prompt="def f(", images=[PIXEL], **said)
    request = GENERATE.decode_request(body)

    assert isinstance(request, CompleteRequest)
    assert (request.prompts, request.suffix) == (("def f(",), said.get("suffix"))
    assert set(request.vendor["ollama"]) == {"images", *said} - {"suffix"}
    assert GENERATE.read(body).operation is Operation.COMPLETE


@pytest.mark.parametrize(
    ("server", "body", "reason"),
    [
        (CHAT, prompt(), "load"),
        (CHAT, prompt(messages=[], keep_alive=0), "unload"),
        (CHAT, prompt(messages=None, keep_alive="0"), "unload"),
        (GENERATE, prompt(), "load"),
        (GENERATE, prompt(prompt="", keep_alive=-1), "load"),
    ],
)
def test_who_asks_nothing_is_told_that_the_model_is_there(
    server: ChatServer | GenerateServer, body: bytes, reason: str
) -> None:
    """A body without words asks nobody, and its answer has no words but that the model is loaded, or unloaded."""
    assert server.read(body).idle
    answer = server.encode_response(Response("", "m", 0, ()), server.decode_request(body), "m")
    told = msgspec.json.decode(answer)
    assert (told["done"], told["done_reason"], told["created_at"]) == (True, reason, "1970-01-01T00:00:00Z")


# Texts to embed.


def test_texts_to_embed_are_heard() -> None:
    """One text or many, in either form of the path; an empty one asks nothing."""
    assert EMBED.decode_request(prompt(input="a", dimensions=0)) == EmbedRequest("m", ("a",))
    assert EMBED.decode_request(prompt(input=["a", "b"], dimensions=2)) == EmbedRequest("m", ("a", "b"), 2)
    assert OLDER.decode_request(prompt(prompt="a")) == EmbedRequest("m", ("a",))
    assert [server.read(prompt()).idle for server in (EMBED, OLDER)] == [True, True]
    assert EMBED.read(prompt(input="")).idle


@SLOW
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), min_size=1, max_size=3))
def test_vectors_have_the_length_one(vectors: list[list[float]]) -> None:
    """A vector is told in its direction with length 1, or as it is where it has none; the older form's as made."""
    answer = EmbedResponse("up", tuple(map(tuple, vectors)), Usage(input=3, output=0), timing=Timing(7))
    request = EmbedRequest("m", ("x",) * len(vectors))
    told = msgspec.json.decode(EMBED.encode_response(answer, request, "m"))
    back = EmbedClient().decode_response(Reply(200, body=EMBED.encode_response(answer, request, "m")))

    lengths = [math.hypot(*vector) for vector in told["embeddings"]]
    assert all(
        abs(length - 1) < 1e-5 or length == math.hypot(*vector) for length, vector in zip(lengths, vectors, strict=True)
    )
    assert (told["model"], told["prompt_eval_count"], told["total_duration"]) == ("m", 3, 7)
    assert back.usage == answer.usage
    assert msgspec.json.decode(OLDER.encode_response(answer, request, "m")) == {"embedding": vectors[0]}


# What is told.


@SLOW
@given(st.booleans().flatmap(lambda chat: st.tuples(st.just(chat), _answers(calls=chat))), st.data())
def test_answers_are_heard_as_they_were_told(made: tuple[bool, list[Event]], data: st.DataObject) -> None:
    """Whatever a model says is heard the same by the dialect's client, streamed, cut anywhere, or whole."""
    is_chat, events = made
    server = CHAT if is_chat else GENERATE
    request = server.decode_request(prompt())
    expected = fold(events)
    encoder = server.encoder(request, expected.model)
    stream = b"".join(map(encoder.feed, events)) + encoder.close()
    at = data.draw(st.integers(0, len(stream)))
    decoder = CLIENT.decoder()
    streamed = fold([*decoder.feed(stream[:at]), *decoder.feed(stream[at:]), *decoder.close()])
    whole = CLIENT.decode_response(Reply(200, body=server.encode_response(expected, request, expected.model)))

    assert gist(streamed) == gist(whole) == gist(expected)
    assert [call.id for call in streamed.choices[0].calls] == [call.id for call in expected.choices[0].calls]
    assert all(msgspec.json.decode(line)["model"] == expected.model for line in stream.splitlines())


def _told(*events: Event, chat: bool = True) -> list[Any]:
    server = CHAT if chat else GENERATE
    encoder = server.encoder(server.decode_request(prompt()), "m")
    said = b"".join(map(encoder.feed, (Started("1", "up", 1), *events))) + encoder.close()
    return [msgspec.json.decode(line) for line in said.split(b"\n") if line]


def test_durations_are_nanoseconds_that_add_up() -> None:
    """The time until the first content and the time from then on are the whole; counts of zero are left out."""
    counted = Measured(Usage(input=0, output=2))
    *_, last = _told(TextGrew("hi"), ChoiceFinished("stop"), counted, Finished(Timing(1000, 400)))

    assert last == {
        "model": "m", "created_at": "1970-01-01T00:00:01Z", "message": {"role": "assistant", "content": ""},
        "done": True, "done_reason": "stop", "total_duration": 1000, "prompt_eval_duration": 400, "eval_duration": 600,
        "eval_count": 2,
    }  # fmt: skip


def test_an_ollama_servers_own_durations_are_told() -> None:
    """What the server measured is not replaced by what the gateway did."""
    vendor = {"ollama": {"total_duration": msgspec.Raw(b"5")}}
    *_, last = _told(ChoiceFinished("stop"), Measured(Usage(1, 1), vendor), Finished(Timing(1000, 400)))

    assert (last["total_duration"], last.get("eval_duration")) == (5, None)


def test_calls_are_told_whole_and_apart() -> None:
    """Arguments that come in pieces, mixed, are told as objects in one line, in order, integers as integers."""
    lines = _told(
        CallOpened(0, "a", "f"), CallGrew(0, '{\n "n"'), CallOpened(1, "b", "g"), CallGrew(1, ""), CallGrew(0, ": 1}"),
        ChoiceFinished("tool_calls"), Finished(),
    )  # fmt: skip

    assert [line["done"] for line in lines] == [False, True]
    assert lines[0]["message"]["tool_calls"] == [
        {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"n": 1}}},
        {"id": "b", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    assert lines[1]["done_reason"] == "stop"


@pytest.mark.parametrize("written", ["[1]", '{"a":', "no", '"x"', "\ud800"])
def test_arguments_that_are_no_object_are_the_targets_fault(written: str) -> None:
    """Such a call cannot be told: it is Garbled, or left out where the answer's limit cut it short."""
    events = (CallOpened(0, "a", "f"), CallGrew(0, written))

    with pytest.raises(Garbled, match="'f'"):
        _told(*events, ChoiceFinished("tool_calls"), Finished())
    (last,) = _told(*events, ChoiceFinished("length"), Finished())
    assert last["done_reason"] == "length"


def test_a_refusal_is_text_and_a_signature_nothing() -> None:
    """Words for no are words; a sign without words is no line; the vendor's own word for an end is told."""
    lines = _told(
        ReasoningGrew("hm"), ReasoningGrew("", 0, "sig"), RefusalGrew("no"), TextGrew("second", 1),
        ChoiceFinished("other", 0, "pause"), Finished(), chat=False,
    )  # fmt: skip

    assert [(line.get("thinking"), line["response"], line["done"]) for line in lines] == [
        ("hm", "", False), (None, "no", False), (None, "", True),
    ]  # fmt: skip
    assert lines[-1]["done_reason"] == "pause"


@pytest.mark.parametrize("created", [-(10**20), -1, 0, 10**20])
def test_a_moment_that_cannot_be_is_the_beginning(created: int) -> None:
    """Whatever second a target says that it began in, `created_at` is a time that programs can read."""
    encoder = CHAT.encoder(heard(prompt()), "m")
    encoder.feed(Started("1", "up", created))

    assert msgspec.json.decode(encoder.close())["created_at"].startswith(("1970-", "1969-"))


# Faults.


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_said(leaf: type[Fault]) -> None:
    """Each leaf is `error` with its own status and request id, and a line of its own in a stream, which is not done."""
    fault = leaf("it broke\nhere", field="think")
    reply = encode_fault(fault, "req-1")

    assert (reply.status, reply.header(b"x-request-id")) == (leaf.default_status, b"req-1")
    assert msgspec.json.decode(reply.body) == {"error": "it broke\nhere"}
    assert all(server.encode_fault_event(fault) == reply.body + b"\n" for server in SERVERS)
    with pytest.raises(Down):
        CLIENT.decoder().feed(encode_fault_event(fault))


def test_a_model_that_is_missing_is_told_as_programs_look_for_it() -> None:
    """Ollama's programs look for `not found`; a fault of a target names it, and says when to ask again."""
    missing = NotFound("The model 'x' does not exist.", field="model")

    assert msgspec.json.decode(encode_fault(missing, "r").body)["error"].startswith("model not found: ")
    assert msgspec.json.decode(encode_fault(Down("gone", target="a/b"), "r").body) == {"error": "gone (target a/b)"}
    assert encode_fault(RateLimited("slow", retry_after=1.5), "r").header(b"retry-after") == b"2"


@pytest.mark.parametrize(
    ("server", "body", "words"),
    [
        (CHAT, b"", "missing request body"),
        (CHAT, b"{}", "model is required"),
        (CHAT, prompt(model=""), "model is required"),
        (CHAT, b"{", "not JSON"),
        (CHAT, b"[]", "must be a JSON object"),
        (CHAT, chat(says("?", images=["data:image/png;base64,QQ=="])), "messages[0].images[0]"),
        (CHAT, chat({"role": "pilot", "content": "?"}), "messages[0].role"),
        (CHAT, chat(says("?", tool_calls=[{"function": {"name": "f"}}])), "only an assistant"),
        (
            CHAT,
            chat({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
            "arguments",
        ),
        (CHAT, chat(says("?"), format="xml"), "format"),
        (CHAT, chat(says("?"), think="much"), "think"),
        (CHAT, chat(says("?"), options={"temperature": "hot"}), "options.temperature"),
        (CHAT, chat(says("?"), options={"num_predict": 1.5}), "options.num_predict"),
        (CHAT, chat(says("?"), options={"stop": "x"}), "options.stop"),
        (CHAT, chat(says("?"), tools=[{"function": {"name": ""}}]), "tools[0].function.name"),
        (CHAT, chat(says("?"), top_logprobs=21), "top_logprobs"),
        (GENERATE, prompt(prompt="x", raw=True, system="y"), "raw mode does not support"),
        (GENERATE, prompt(prompt="x", messages=[]), "/api/chat"),
        (EMBED, prompt(input=["a", ""]), "cannot be empty"),
        (EMBED, prompt(input=5), "input"),
        (OLDER, prompt(prompt="x", input="y"), "/api/embed"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(server: Any, body: bytes, words: str) -> None:
    """A body that cannot be is a BadRequest that names what is wrong with it."""
    with pytest.raises(BadRequest) as refused:
        server.read(body)

    assert words in refused.value.message


@SLOW
@given(
    st.sampled_from(SERVERS),
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: b'{"model":"m","messages":%b,"options":%b}' % ((msgspec.json.encode(value),) * 2)),
)
def test_no_body_is_a_defect(server: Any, body: bytes) -> None:
    """Whatever a body is, it is read, and then decoded as well, or refused as the caller's doing."""
    try:
        server.read(body)
    except BadRequest as fault:
        found: str | None = fault.message
    else:
        found = server.decode_request(body).model
    assert found
