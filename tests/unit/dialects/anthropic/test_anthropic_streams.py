"""Streams of the `anthropic` dialect: events out as blocks, blocks in as events, and blocks that only pass."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

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
    VendorSaid,
)
from foz.canon.fault import Cut, Fault, Garbled
from foz.canon.request import Ask, ChatRequest, Operation
from foz.canon.response import Response, fold
from foz.canon.usage import Usage
from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.relay import MessagesRelay
from foz.dialects.anthropic.server import MessagesServer
from foz.wire import sse
from foz.wire.http import Reply

SERVER, CLIENT, RELAY = MessagesServer(), MessagesClient(), MessagesRelay()
REQUEST = ChatRequest("public", (), stop=("STOP",))
STARTED = Started("msg_1", "up", 0)
COUNTS = Measured(Usage(input=10, output=4, cached=3, cache_written=2, reasoning=1))


def stream(events: Iterable[Event]) -> bytes:
    encoder = SERVER.encoder(REQUEST, "public")
    return b"".join(map(encoder.feed, events)) + encoder.close()


def frames(data: bytes) -> list[Any]:
    return [msgspec.json.decode(frame.data) for frame in sse.Decoder().feed(data)]


def heard(data: bytes, size: int = 1 << 30) -> list[Event]:
    decoder = CLIENT.decoder()
    events = [event for at in range(0, len(data), size) for event in decoder.feed(data[at : at + size])]
    return events + decoder.close()


def blocks(data: bytes) -> list[Any]:
    """The blocks as a strict reader puts them together: one open at a time, numbered in order."""
    made: list[Any] = []
    is_open = False
    for frame in frames(data):
        if frame["type"] == "content_block_start":
            assert not is_open
            assert frame["index"] == len(made)
            is_open = True
            made.append(dict(frame["content_block"]) | {"json": ""})
        elif frame["type"] == "content_block_delta":
            assert is_open
            assert frame["index"] == len(made) - 1
            for name in ("text", "thinking", "signature"):
                if name in frame["delta"]:
                    made[-1][name] += frame["delta"][name]
            made[-1]["json"] += frame["delta"].get("partial_json", "")
        elif frame["type"] == "content_block_stop":
            assert is_open
            is_open = False
    assert not is_open
    return made


def test_an_answer_is_told_in_anthropics_frames() -> None:
    """Each frame is named as its data says; the first is the message, the last but one its end and its counts."""
    data = stream([STARTED, TextGrew("Into "), TextGrew("the sea"), ChoiceFinished("stop"), COUNTS, Finished()])
    kinds = [frame.event.decode() for frame in sse.Decoder().feed(data)]
    told = frames(data)

    assert kinds == [frame["type"] for frame in told]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"]["model"] == "public"
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert told[-2]["usage"] == {
        "input_tokens": 5,
        "output_tokens": 4,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 3,
        "output_tokens_details": {"thinking_tokens": 1},
    }


def test_pieces_of_two_calls_that_take_turns_stay_apart() -> None:
    """However an upstream mixes its calls, each is one block, whole, and words between them wait for their turn."""
    data = stream(
        [
            STARTED,
            CallOpened(0, "call_a", "f"),
            CallGrew(0, '{"n":'),
            CallOpened(1, "call_b", "g"),
            CallGrew(1, '{"m":'),
            TextGrew("meanwhile"),
            CallGrew(0, "12}"),
            CallGrew(1, "7"),
            CallGrew(1, "}"),
            ChoiceFinished("tool_calls"),
            Finished(),
        ]
    )
    made = blocks(data)

    assert [(block["type"], block.get("id"), block["json"]) for block in made] == [
        ("tool_use", "call_a", '{"n":12}'),
        ("tool_use", "call_b", '{"m":7}'),
        ("text", None, ""),
    ]
    assert made[-1]["text"] == "meanwhile"


def test_calls_one_behind_the_other_come_piece_by_piece() -> None:
    """A piece of a call's arguments is at the caller's when it came, also in the second call."""
    encoder = SERVER.encoder(REQUEST, "public")
    for event, expected in (
        (STARTED, ["message_start"]),
        (CallOpened(0, "a", "f"), ["content_block_start"]),
        (CallGrew(0, '{"n":'), ["content_block_delta"]),
        (CallGrew(0, "1}"), ["content_block_delta"]),
        (CallOpened(1, "b", "f"), ["content_block_stop", "content_block_start"]),
        (CallGrew(1, '{"n":2}'), ["content_block_delta"]),
        (ChoiceFinished("tool_calls"), []),
        (Finished(), ["content_block_stop", "message_delta"]),
    ):
        assert [frame["type"] for frame in frames(encoder.feed(event))] == expected


def test_a_call_that_never_becomes_whole_is_told_as_far_as_it_came() -> None:
    """A call that a limit cut short keeps its pieces, and what waited behind it is told at the end."""
    cut: list[Event] = [STARTED, CallOpened(0, "a", "f"), CallGrew(0, '{"n"'), CallOpened(1, "b", "g")]
    made = blocks(stream([*cut, CallGrew(1, "{}"), ChoiceFinished("length"), Finished()]))

    assert [block["json"] for block in made] == ['{"n"', "{}"]


def test_signatures_and_seals_are_kept() -> None:
    """Thoughts with their marks, and sealed ones, are blocks of their own, both ways."""
    events: list[Event] = [
        STARTED,
        ReasoningGrew("one "),
        ReasoningGrew("thought"),
        ReasoningGrew(signature="sig=="),
        ReasoningGrew(sealed="xyz"),
        ReasoningGrew("another"),
        TextGrew("so"),
        ChoiceFinished("stop"),
        Finished(),
    ]
    data = stream(events)

    assert [(block["type"], block.get("signature"), block.get("data")) for block in blocks(data)] == [
        ("thinking", "sig==", None),
        ("redacted_thinking", None, "xyz"),
        ("thinking", "", None),
        ("text", None, None),
    ]
    assert fold(heard(data)).choices[0].reasoning == fold(events).choices[0].reasoning


def test_what_anthropics_servers_did_passes_whole() -> None:
    """A block that only Anthropic knows goes through our words and out again as it was."""
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rivers"}}
    start = {**block, "input": {}}
    data = b"".join(
        sse.encode(msgspec.json.encode(frame), frame["type"].encode())  # type: ignore[attr-defined]  # each is a str
        for frame in (
            {"type": "message_start", "message": {"id": "m", "model": "up", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": '{"query": "rivers"}'},
            },
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "pause_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        )
    )
    events = heard(data)
    (told,) = blocks(stream(events))
    whole = msgspec.json.decode(SERVER.encode_response(fold(events), REQUEST, "public"))

    assert {name: told[name] for name in block} == block
    assert whole["content"] == [block]
    assert whole["stop_reason"] == frames(stream(events))[-2]["delta"]["stop_reason"] == "pause_turn"


@pytest.mark.parametrize(
    ("ended", "reason", "sequence"),
    [
        (ChoiceFinished("stop"), "end_turn", None),
        (ChoiceFinished("stop", detail="STOP"), "stop_sequence", "STOP"),
        (ChoiceFinished("stop", detail="128001"), "end_turn", None),
        (ChoiceFinished("length"), "max_tokens", None),
        (ChoiceFinished("length", detail="model_context_window_exceeded"), "model_context_window_exceeded", None),
        (ChoiceFinished("tool_calls"), "tool_use", None),
        (ChoiceFinished("content_filter"), "refusal", None),
        (ChoiceFinished("other", detail="load"), "end_turn", None),
    ],
)
def test_why_an_answer_ended(ended: ChoiceFinished, reason: str, sequence: str | None) -> None:
    """Each reason has Anthropic's word, and a stop of the caller's own is named; a vendor's token is none."""
    told = frames(stream([STARTED, TextGrew("x"), ended, Finished()]))[-2]["delta"]

    assert told == {"stop_reason": reason, "stop_sequence": sequence}


def test_a_refusal_is_text_that_ends_as_one() -> None:
    """A model's no is told as text, with `refusal` as the end, whole and streamed."""
    events: list[Event] = [STARTED, RefusalGrew("No."), ChoiceFinished("stop"), Finished()]
    whole = msgspec.json.decode(SERVER.encode_response(fold(events), REQUEST, "public"))

    assert (whole["content"], whole["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")
    assert frames(stream(events))[-2]["delta"]["stop_reason"] == "refusal"


"""Machines that do much else are slow."""
PIECES = st.text(min_size=1, max_size=6)
OBJECTS = st.dictionaries(PIECES, st.integers(-(2**70), 2**70) | PIECES | st.floats(0, 1), max_size=2)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Thoughts, words and calls, the calls' pieces in any mixture."""
    events: list[Event] = [STARTED]
    events += [ReasoningGrew(text, signature=draw(st.none() | PIECES)) for text in draw(st.lists(PIECES, max_size=2))]
    events += [TextGrew(text) for text in draw(st.lists(PIECES, max_size=3))]
    tracks: list[list[Event]] = []
    for index, called in enumerate(draw(st.lists(OBJECTS, max_size=3))):
        written = msgspec.json.encode(called).decode()
        at = draw(st.integers(0, len(written)))
        pieces = [CallGrew(index, piece) for piece in (written[:at], written[at:]) if piece]
        tracks.append([CallOpened(index, f"call_{index}", "f"), *pieces])
    while tracks:
        track = draw(st.sampled_from(tracks))
        events.append(track.pop(0))
        tracks = [one for one in tracks if one]
    return [*events, ChoiceFinished("stop"), COUNTS, Finished()]


def spoken(answer: Response) -> Any:
    choice = answer.choices[0]
    calls = sorted((call.id, call.name, call.arguments) for call in choice.calls)
    return choice.text, choice.reasoning, calls, choice.reason, answer.usage


@given(answers(), st.integers(1, 40))
def test_what_goes_out_comes_in_again(events: list[Event], size: int) -> None:
    """A stream that is told and heard again is the same answer, however it is cut, with each call whole and apart."""
    data = stream(events)
    blocks(data)

    assert spoken(fold(heard(data, size))) == spoken(fold(events))
    whole = SERVER.encode_response(fold(events), REQUEST, "public")
    assert spoken(CLIENT.decode_response(Reply(200, (), whole))) == spoken(fold(events))


@given(answers(), st.integers(1, 40))
def test_what_passes_is_counted_and_renamed(events: list[Event], size: int) -> None:
    """Passed on, a stream has the public name, says the same, and its counts and its content are known."""
    data = stream(events)
    road = RELAY.stream(Ask(Operation.CHAT, "other", stream=True))
    passed = b"".join(road.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert b"message_stop" not in passed
    passed += road.close()
    whole, tally = RELAY.whole(
        Reply(200, (), SERVER.encode_response(fold(events), REQUEST, "public")), Ask(Operation.CHAT, "other")
    )

    assert frames(passed)[0]["message"]["model"] == msgspec.json.decode(whole)["model"] == "other"
    assert frames(passed)[1:] == frames(data)[1:]
    assert road.tally.usage == tally.usage == COUNTS.usage
    assert road.tally.content == sum(
        len(event.text) if isinstance(event, TextGrew | ReasoningGrew) else len(event.arguments)
        for event in events
        if isinstance(event, TextGrew | ReasoningGrew | CallGrew)
    ) + sum(len(event.name) for event in events if isinstance(event, CallOpened))


@given(answers(), st.data())
def test_a_stream_that_is_cut_never_ends_well(events: list[Event], data: st.DataObject) -> None:
    """Cut anywhere before its last frame, a stream is Cut or Garbled, heard or passed on."""
    written = stream(events)
    end = data.draw(st.integers(0, written.index(b"event: message_stop")))
    road = RELAY.stream(Ask(Operation.CHAT, "other", stream=True))
    for read in (lambda: heard(written[:end]), lambda: (road.feed(written[:end]), road.close())):
        with pytest.raises((Cut, Garbled)):
            read()


@given(st.binary(max_size=200) | answers().map(stream), st.binary(max_size=20), st.integers(0, 400))
def test_hostile_bytes_are_faults(data: bytes, junk: bytes, at: int) -> None:
    """Whatever an upstream sends is an answer or a fault, and nothing else is raised."""
    broken = data[:at] + junk + data[at:]
    road = RELAY.stream(Ask(Operation.CHAT, "other", stream=True))
    for read in (
        lambda: heard(broken),
        lambda: (road.feed(broken), road.close()),
        lambda: CLIENT.decode_response(Reply(200, (), broken)),
        lambda: RELAY.whole(Reply(200, (), broken), Ask(Operation.CHAT, "other")),
    ):
        try:
            read()
        except Fault as fault:
            assert isinstance(fault, Cut | Garbled)  # noqa: PT017 - an answer is as good as a fault


def test_a_verbatim_block_of_another_dialect_is_left_out() -> None:
    """What only another dialect has a word for is not said here."""
    events: list[Event] = [STARTED, VendorSaid("openai", {"audio": Raw(b"{}")}), ChoiceFinished("stop"), Finished()]

    assert blocks(stream(events)) == []


def test_the_count_of_a_beginning_is_none() -> None:
    """What an upstream counts at the start of a stream says what went in; what was made is unknown until the end."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 3, "output_tokens": 1}
    start = {"type": "message_start", "message": {"id": "m", "model": "up", "content": [], "usage": usage}}
    road = RELAY.stream(Ask(Operation.CHAT, "other", stream=True))
    road.feed(sse.encode(msgspec.json.encode(start), b"message_start"))

    assert road.tally.usage == Usage(input=13, cached=3)
