"""OpenAI's Responses: bodies heard, and any stream of events told as items that open, grow and close in their order."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.content import Media, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.event import CallGrew, CallOpened, ChoiceFinished, Event, Finished, ReasoningGrew, Started, TextGrew
from foz.canon.fault import LEAVES, BadRequest, Cut, Fault, Limited, RateLimited, Unsupported
from foz.canon.request import ReasoningWish, ResponseFormat
from foz.canon.response import Choice, fold
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.openai.responses import keeping
from foz.dialects.openai.responses.items import as_items
from foz.dialects.openai.responses.server import ResponsesServer, Thread, packed, unpacked
from foz.ports.responses import KeptResponse
from foz.wire.sse import Decoder
from tests.e2e.hostility import VALUES, encode, places, put
from tests.strategies import event_lists

Wire = dict[str, Any]
ID = "resp_0123456789abcdef0123456789abcdef"
SLOW = settings(max_examples=60)
THREAD = Thread(ID, 1_764_000_000)


def body(**said: object) -> bytes:
    return msgspec.json.encode({"model": "m", "input": "hi", **said})


def heard(**said: object) -> Any:
    return ResponsesServer().decode_request(body(**said))


def refused(**said: object) -> Fault:
    with pytest.raises((BadRequest, Unsupported)) as caught:
        ResponsesServer().read(body(**said))
    return caught.value


def told(events: list[Event], thread: Thread = THREAD, **said: object) -> tuple[list[Wire], Wire]:
    """The events of a stream, and the response that is kept of it."""
    codec = ResponsesServer(thread)
    encoder = codec.encoder(codec.decode_request(body(stream=True, **said)), "public")
    bytes_ = b"".join(map(encoder.feed, events)) + encoder.close()
    frames = Decoder().feed(bytes_)
    assert all(frame.event.decode() == msgspec.json.decode(frame.data)["type"] for frame in frames)
    return [msgspec.json.decode(frame.data) for frame in frames], msgspec.json.decode(codec.kept())


# The stream.


class Reader:
    """Rebuilds a response from its events, and minds that each is where it may be."""

    def __init__(self) -> None:
        self.items: list[Wire] = []
        self.open: dict[int, Wire] = {}
        self.closed: list[int] = []
        self.parts: dict[int, Wire | None] = {}

    def take(self, event: Wire) -> None:
        kind, place = event["type"].removeprefix("response."), event.get("output_index", -1)
        if kind == "output_item.added":
            assert place == len(self.items)
            self.items.append(event["item"])
            self.open[place] = event["item"]
            assert event["item"]["status"] == "in_progress"
        elif kind == "output_item.done":
            grown = self.open.pop(place)
            self.closed.append(place)
            assert self.parts.get(place) is None
            done = dict(event["item"])
            assert done.pop("status") in {"completed", "incomplete"}
            assert {**done, "status": "in_progress"} == grown
            self.items[place] = event["item"]
        elif place >= 0:
            assert event["item_id"] == self.open[place]["id"]
            self.grow(kind, place, event)

    def grow(self, kind: str, place: int, event: Wire) -> None:
        item = self.open[place]
        match kind:
            case "content_part.added" | "reasoning_summary_part.added":
                assert self.parts.get(place) is None
                field = "summary" if kind.startswith("reasoning") else "content"
                item.setdefault(field, []).append(event["part"])
                assert len(item[field]) - 1 == event.get("content_index", event.get("summary_index"))
                self.parts[place] = event["part"]
            case "content_part.done" | "reasoning_summary_part.done":
                assert event["part"] == self.parts[place]
                self.parts[place] = None
            case "function_call_arguments.delta":
                item["arguments"] += event["delta"]
            case "function_call_arguments.done":
                assert (event["arguments"], event["name"]) == (item["arguments"], item["name"])
            case _ if kind.endswith(".delta"):
                part = self.parts[place]
                assert part is not None
                part["refusal" if kind == "refusal.delta" else "text"] += event["delta"]
                if "logprobs" in part:
                    part["logprobs"] += event["logprobs"]
            case _:
                part = self.parts[place]
                assert part is not None
                field = "refusal" if kind == "refusal.done" else "text"
                assert event[field] == part[field]


@SLOW
@given(event_lists(), st.booleans())
def test_a_stream_tells_its_response(events: list[Event], summarizes: bool) -> None:
    """
    Numbers rise by one; each item opens, grows and closes once, in order; the pieces add up to the items, and the items
    are what the last event shows; and all of it is what the events fold to.
    """
    stream, kept = told(events, reasoning={"summary": "auto"} if summarizes else None)
    reader = Reader()
    for event in stream[2:-1]:
        reader.take(event)
    last = stream[-1]["response"]
    choice = fold(events).choices[0] if fold(events).choices else Choice()

    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    assert [event["type"] for event in stream[:2]] == ["response.created", "response.in_progress"]
    assert stream[-1]["type"] == f"response.{last['status']}"
    assert not reader.open
    assert reader.closed == list(range(len(reader.items)))
    assert reader.items == last["output"]
    assert {**kept, "output": None} == {**last, "output": None}
    assert len({item["id"] for item in reader.items}) == len(reader.items)
    _is_the_fold(reader.items, choice, summarizes=summarizes)


def _is_the_fold(items: list[Wire], choice: Choice, *, summarizes: bool) -> None:
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    thoughts = [item["summary" if summarizes else "content"][0] for item in items if item["type"] == "reasoning"]
    calls = [item for item in items if item["type"] == "function_call"]

    assert "".join(part.get("text", "") for part in parts) == (choice.text or "")
    assert "".join(part.get("refusal", "") for part in parts) == (choice.refusal or "")
    assert "".join(part["text"] for part in thoughts) == "".join(block.text for block in choice.reasoning)
    assert [(one["call_id"], one["name"]) for one in calls] == [(call.id, call.name) for call in choice.calls]
    for one, call in zip(calls, choice.calls, strict=True):
        whole = one["arguments"] == call.arguments
        assert whole or (call.arguments.startswith(one["arguments"]) and one["arguments"].strip().startswith("{"))


@SLOW
@given(event_lists())
def test_a_whole_answer_is_its_stream(events: list[Event]) -> None:
    """Of any answer the body that is not streamed has the words, calls and status that its stream ends with."""
    codec = ResponsesServer(THREAD)
    request = codec.decode_request(body())
    whole = msgspec.json.decode(codec.encode_response(fold(events), request, "public"))
    _, kept = told(events)

    assert (whole["status"], whole["usage"]) == (kept["status"], kept["usage"])
    assert whole["incomplete_details"] == kept["incomplete_details"]
    for kind in ("message", "function_call"):
        assert sum(item["type"] == kind for item in whole["output"]) <= len(kept["output"])


def _started(*events: Event) -> list[Event]:
    return [Started("up", "m", 1), *events, ChoiceFinished("tool_calls"), Finished()]


def test_calls_that_grow_in_turn_stay_apart() -> None:
    """Pieces of two calls that come in turn are each their own call's, piece by piece, with its id."""
    events = _started(
        CallOpened(0, "call_a", "f"),
        CallGrew(0, '{"n":'),
        CallOpened(1, "call_b", "g"),
        CallGrew(1, '{"x"'),
        CallGrew(0, "1}"),
        CallGrew(1, ":9007199254740993}"),
    )
    stream, kept = told(events)
    deltas = [(one["output_index"], one["delta"]) for one in stream if one["type"].endswith("arguments.delta")]

    assert deltas == [(0, '{"n":'), (1, '{"x"'), (0, "1}"), (1, ":9007199254740993}")]
    assert [(one["call_id"], one["arguments"]) for one in kept["output"]] == [
        ("call_a", '{"n":1}'),
        ("call_b", '{"x":9007199254740993}'),
    ]


def test_a_call_is_done_when_the_next_one_begins() -> None:
    """A call whose arguments are an object is told as done before the next item opens, not at the end."""
    stream, _ = told(_started(CallOpened(0, "a", "f"), CallGrew(0, "{}"), CallOpened(1, "b", "g"), CallGrew(1, "{}")))
    kinds = [one["type"].removeprefix("response.") for one in stream]

    assert kinds.index("output_item.done") < len(kinds) - 1 - kinds[::-1].index("output_item.added")


def test_what_a_limit_cuts_is_incomplete() -> None:
    """An answer of `max_output_tokens` ends as incomplete, says why, and so does its last item."""
    stream, kept = told([Started("up", "m", 1), TextGrew("so"), ChoiceFinished("length"), Finished()])

    assert stream[-1]["type"] == "response.incomplete"
    assert kept["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in kept["output"]] == ["incomplete"]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_a_stream_that_breaks_ends_as_failed(leaf: type[Fault]) -> None:
    """A fault in the middle is the next event, `response.failed`, with its words and what was said before it."""
    fault, code = leaf("gone"), "rate_limit_exceeded" if issubclass(leaf, Limited | RateLimited) else "server_error"
    codec = ResponsesServer(THREAD)
    encoder = codec.encoder(codec.decode_request(body(stream=True)), "public")
    before = Decoder().feed(encoder.feed(Started("up", "m", 1)) + encoder.feed(TextGrew("half")))
    (frame,) = Decoder().feed(codec.encode_fault_event(fault))
    said = msgspec.json.decode(frame.data)

    assert (said["type"], said["sequence_number"]) == ("response.failed", len(before))
    assert (said["response"]["status"], said["response"]["error"]) == (
        "failed",
        {"code": code, "message": fault.message},
    )
    assert said["response"]["output"][0]["content"][0]["text"] == "half"
    assert said["response"]["output"][0]["status"] == "incomplete"


def test_a_fault_before_a_response_is_an_error_that_sdks_raise_on() -> None:
    """While nothing was said yet, a fault is OpenAI's `error` event, with an `error` object as in chats."""
    (frame,) = Decoder().feed(ResponsesServer().encode_fault_event(Cut("gone")))
    said = msgspec.json.decode(frame.data)

    assert (frame.event, said["type"], said["code"], said["message"]) == (b"error", "error", "upstream_cut", "gone")
    assert said["error"]["message"] == "gone"


def test_one_in_the_background_goes_on_behind_what_was_told() -> None:
    """The maker of a queued response numbers its events from 2: the first two were told when it was accepted."""
    thread = Thread(ID, 1, queued=True)
    stream, _ = told(_started(TextGrew("so")), thread)
    first = Decoder().feed(keeping.beginning(ResponsesServer(thread).queued(body(background=True))))
    numbers = [msgspec.json.decode(frame.data)["sequence_number"] for frame in first]

    assert numbers + [event["sequence_number"] for event in stream] == list(range(2 + len(stream)))
    assert stream[0]["type"] == "response.in_progress"


@SLOW
@given(event_lists(), st.integers(-1, 60))
def test_a_follower_is_told_what_comes_after(events: list[Event], after: int) -> None:
    """However the log is cut into pieces, a follower from a number on gets each later event once, as it was."""
    codec = ResponsesServer(THREAD)
    encoder = codec.encoder(codec.decode_request(body(stream=True)), "public")
    pieces = [*map(encoder.feed, events), encoder.close()]
    follower = keeping.Follower(after)
    followed = Decoder().feed(b"".join(follower.feed(piece) for piece in pieces))
    every = Decoder().feed(b"".join(pieces))

    assert followed == [frame for frame in every if msgspec.json.decode(frame.data)["sequence_number"] > after]
    assert keeping.final(b"".join(pieces)) is not None


# Thoughts.


def test_what_a_vendor_signed_comes_back_unchanged() -> None:
    """A signature is given to whoever includes it, to nobody else, and is the vendor's again when it is sent back."""
    events = _started(ReasoningGrew("hm"), ReasoningGrew(signature="sig=="), TextGrew("so"))
    shown, kept = told(events)
    asked, _ = told(events, include=["reasoning.encrypted_content"])
    sealed = asked[-1]["response"]["output"][0]

    assert "encrypted_content" not in shown[-1]["response"]["output"][0]
    assert "encrypted_content" in kept["output"][0]
    assert b"encrypted_content" not in keeping.shown(msgspec.json.encode(kept), ())
    assert heard(input=[{**sealed, "content": None}]).messages == (Message("assistant", (Reasoning("hm", "sig=="),)),)


@pytest.mark.parametrize("content", ["foz1.", "foz1.!!", "foz1.gaEx", "gAAAA-somebody-elses", "foz1." + "A" * 9])
def test_a_seal_that_is_not_ours_is_left_out(content: str) -> None:
    """What is no seal of this gateway is dropped, and the words beside it are told."""
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": content}

    assert heard(input=[item]).messages == (Message("assistant", (Reasoning("hm"),)),)


# Bodies.


def test_items_of_one_go_are_one_message() -> None:
    """Thoughts, words and calls in a row are one message; results and what follows a call are messages of their own."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n":9007199254740993}'}
    said = heard(
        instructions="be kind",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "a", "annotations": []}],
            },
            call,
            {**call, "call_id": "c2"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        ],
    )

    assert said.messages == (
        Message("system", (Text("be kind"),)),
        Message("user", (Text("q"),)),
        Message(
            "assistant",
            (
                Reasoning("hm"),
                Text("a"),
                ToolCall("c1", "f", '{"n":9007199254740993}'),
                ToolCall("c2", "f", '{"n":9007199254740993}'),
            ),
        ),
        Message("tool", (ToolResult("c1", (Text("one"),)),)),
        Message("tool", (ToolResult("c2", (Text("two"),)),)),
        Message("assistant", (Refusal("no"),)),
    )


def test_pictures_and_files_are_heard() -> None:
    """Pictures by data URI, URL and id, files by data and link, and sounds are media, and say what a target must do."""
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"},
        {"type": "input_image", "file_id": "file-foz1"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
    ]
    ask = ResponsesServer().read(body(input=[{"role": "user", "content": parts}]))

    assert heard(input=[{"role": "user", "content": parts}]).messages[0].parts == (
        Media("image", data="QQ==", mime="image/png", detail="low"),
        Media("image", file_id="file-foz1"),
        Media("file", data="QQ==", mime="application/pdf", name="a.pdf"),
        Media("file", "https://example.com/a.pdf"),
        Media("audio", data="QQ==", mime="audio/wav"),
    )
    assert (set(ask.needs), set(ask.files)) == ({"images", "files", "audio", "links"}, {"file-foz1"})


def test_the_rest_of_a_body_is_heard() -> None:
    """Tools, their choice, forms, effort, limits and fields that chats know by the same name reach the canon."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    said = heard(
        tools=[tool],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        reasoning={"effort": "low"},
        max_output_tokens=7,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        prompt_cache_key="k",
        client_metadata={"a": "b"},
        novel=[1],
    )

    assert said.tools == (ToolSpec("f", None, Raw(b'{"type":"object"}'), strict=True),)
    assert said.tool_choice == ToolChoice("required", None, ("f",))
    assert said.response_format == ResponseFormat("schema", "n", None, Raw(b'{"type":"object"}'))
    assert said.reasoning == ReasoningWish("low")
    assert (said.max_output, said.logprobs, said.top_logprobs) == (7, True, 2)
    assert set(said.vendor["openai"]) == {"prompt_cache_key", "verbosity", "novel"}


def test_what_programs_say_in_any_case_asks_for_nothing() -> None:
    """The defaults that agents write out (no tools, a choice of them, plain text) are not said to an upstream."""
    said = heard(
        tools=[], tool_choice="auto", parallel_tool_calls=True, text={"format": {"type": "text"}}, truncation="disabled"
    )

    assert (said.tool_choice, said.parallel_tools, said.response_format) == (None, None, None)
    assert set(said.vendor) == {"responses"}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "web_search_call"}]}, "input[1].type"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"tool_choice": "often"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"include": ["secrets"]}, "include[0]"),
        ({"background": True, "store": False}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"stream_options": {}}, "stream_options"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
)
def test_a_wrong_field_is_named(said: Wire, field: str) -> None:
    """What is wrong in a body, or not supported here, is refused before anything is sent, by the field's own place."""
    assert refused(**said).field == field


GOOD: tuple[Wire, ...] = (
    {"id": "a", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]},
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"}]},
    {"role": "user", "content": [{"type": "input_file", "file_id": "file-foz1", "filename": "a", "file_data": "QQ=="}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc", "status": "completed"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
    {
        "type": "reasoning",
        "id": "rs",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "t"}],
        "encrypted_content": "foz1.gaEx",
    },
    {"type": "item_reference", "id": "msg_1"},
)


def _fault(sent: bytes) -> Fault | None:
    try:
        ResponsesServer().read(sent)
    except (BadRequest, Unsupported) as fault:
        return fault
    return None


@pytest.mark.parametrize("good", GOOD, ids=lambda item: item.get("type", "media"))
def test_a_hostile_value_in_an_item_is_refused_or_kept(good: Wire) -> None:
    """Whatever stands anywhere in an item, it is refused by its place in the body, or heard, kept and listed again."""
    for place in places(good):
        for value in VALUES:
            sent = encode({"model": "m", "input": [put(good, place, value)]})
            fault = _fault(sent)
            if fault is not None:
                assert fault.field is None or fault.field.startswith("input"), (place, value)
                continue
            items = as_items(ResponsesServer().body(sent).input)
            kept = KeptResponse(ID, 1, None, keeping.packed_items(items, ID), b'{"status":"completed","output":[]}')
            listed = msgspec.json.decode(keeping.say_items(kept, keeping.Page()), type=dict[str, Raw])
            assert len(msgspec.json.decode(listed["data"], type=list[Raw])) == 1
            ResponsesServer(Thread(ID, 1, keeping.turns([kept]))).read(body())


def test_what_went_before_is_before() -> None:
    """The items of earlier turns come between the instructions and the input, over the text of a thread as well."""
    earlier = Raw(b'{"role":"user","content":"first"}')
    thread = unpacked([packed(Thread(ID, 1, (earlier,), queued=True))])
    request = ResponsesServer(thread).decode_request(body(instructions="be kind"))

    assert [message.parts[0] for message in request.messages] == [Text("be kind"), Text("first"), Text("hi")]


def test_what_failed_is_not_gone_on_from() -> None:
    """A chain goes on from complete and from cut answers only; of another the field is named."""
    made = msgspec.json.encode({"status": "incomplete", "output": [{"type": "message", "role": "assistant"}]})
    fit = KeptResponse(ID, 1, None, b'[{"role":"user","content":"q"}]', made)

    assert len(keeping.turns([fit])) == 2
    for spoilt in (None, b'{"status":"failed","output":[]}'):
        with pytest.raises(BadRequest) as caught:
            keeping.turns([msgspec.structs.replace(fit, body=spoilt)])
        assert caught.value.field == "previous_response_id"


def test_input_items_come_in_pages() -> None:
    """Items are listed newest first by default, from one on, with ids of their own and words as parts."""
    items = [Raw(b'{"role":"user","content":"one"}'), Raw(b'{"id":"mine","role":"assistant","content":"two"}')]
    kept = KeptResponse(ID, 1, None, keeping.packed_items(items, ID))
    page = msgspec.json.decode(keeping.say_items(kept, keeping.Page(1)))
    rest = msgspec.json.decode(keeping.say_items(kept, keeping.Page(1, after="mine")))

    assert (page["data"][0]["id"], page["has_more"]) == ("mine", True)
    assert page["data"][0]["content"] == [{"type": "output_text", "text": "two"}]
    assert (rest["data"][0]["content"][0]["text"], rest["has_more"]) == ("one", False)
    assert keeping.whose(rest["first_id"]) == ID
    assert rest["first_id"] in keeping.items_of(kept)
