"""Requests of the `anthropic` dialect: bodies in our words, our words as bodies, and what of both survives."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from foz.canon.content import Media, Message, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.fault import BadRequest, Fault, Unsupported
from foz.canon.model import Capability
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.anthropic import schema
from foz.dialects.anthropic.asking import Manner, say
from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.faults import encode_fault
from foz.dialects.anthropic.relay import MessagesRelay
from foz.dialects.anthropic.server import MessagesServer

SERVER, CLIENT, RELAY = MessagesServer(), MessagesClient(), MessagesRelay()
BUDGETS = Manner(64_000, budgets=True)
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
HI = {"role": "user", "content": "Hi"}
CALLED = ToolCall("call_1", "f", '{"n": 12345678901234567890}')
ASKED = Message("user", (Text("Hi"),))


def body(*messages: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "max_tokens": 9000, "messages": messages or [HI], **more})


def heard(*messages: Any, **more: Any) -> ChatRequest:
    return SERVER.decode_request(body(*messages, **more))


def said(request: ChatRequest, manner: Manner | None = None) -> Any:
    client = CLIENT if manner is None else MessagesClient(manner)
    return msgspec.json.decode(client.encode_request(request, "up").body)


def chat(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (ASKED,), **more)


# In.


def test_results_and_what_follows_are_two_messages() -> None:
    """Results of tools are a message of role `tool`, and what the user says beside them another."""
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [PIXEL, {"type": "text", "text": "42"}]}
    failed = {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True}
    request = heard({"role": "user", "content": [result, failed, {"type": "text", "text": "And?"}]})

    assert request.messages == (
        Message(
            "tool",
            (
                ToolResult("t1", (Media("image", data="iVBORw0=", mime="image/png"), Text("42"))),
                ToolResult("t2", (Text("no"),), failed=True),
            ),
        ),
        Message("user", (Text("And?"),)),
    )


def test_a_calls_arguments_are_text_as_they_were_written() -> None:
    """Integers beyond what floats hold, and the order of members, survive."""
    block = b'{"type":"tool_use","id":"t","name":"f","input":{"z": 12345678901234567890, "a": 1.10}}'
    raw = b'{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[%b]}]}' % block
    (message,) = SERVER.decode_request(raw).messages

    assert message.parts == (ToolCall("t", "f", '{"z": 12345678901234567890, "a": 1.10}'),)
    assert b'"input":{"z": 12345678901234567890, "a": 1.10}' in CLIENT.encode_request(chat(message), "up").body


@pytest.mark.parametrize(
    ("more", "wish"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, ReasoningWish(None, 2000, enabled=True)),
        ({"thinking": {"type": "disabled"}}, ReasoningWish(enabled=False)),
        ({"thinking": {"type": "adaptive"}}, ReasoningWish(enabled=True)),
        ({"output_config": {"effort": "low"}}, ReasoningWish("low")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ReasoningWish("max", enabled=True),
        ),
        ({}, None),
    ],
)
def test_how_much_to_think(more: dict[str, Any], wish: ReasoningWish | None) -> None:
    """Each way to ask for thoughts is one wish of ours, and is said again as it was."""
    request = heard(**more)

    assert request.reasoning == wish
    assert {name: said(request)[name] for name in more} == more


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({"messages": [{"role": "user", "content": [PIXEL]}]}, {Capability.IMAGES}),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [PIXEL]}]}
                ]
            },
            {Capability.IMAGES},
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "x"}}]}]},
            {Capability.FILES, Capability.LINKS},
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]}
                ]
            },
            set(),
        ),
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, {Capability.TOOLS}),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {Capability.REASONING}),
        ({"thinking": {"type": "adaptive"}}, set()),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {Capability.JSON_SCHEMA}),
    ],
)
def test_what_a_request_needs(more: dict[str, Any], needs: set[str]) -> None:
    """Pictures, documents, links, tools, schemas and demanded thoughts are needs; what a model may skip is none."""
    assert SERVER.read(body(**more)).needs == needs


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [HI, {"role": "user", "content": [{"text": "x"}]}]}, "messages.1.content.0.type"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0"),
        ({"system": [{"type": "text", "text": 3}]}, "system.0.text"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type"),
    ],
)
def test_a_wrong_body_names_its_field(more: dict[str, Any], field: str) -> None:
    """What is not as it must be is BadRequest in both lanes, with the path as Anthropic writes it."""
    for read in (SERVER.read, SERVER.decode_request):
        with pytest.raises(BadRequest) as caught:
            read(body(**more))
        assert caught.value.field is not None
        assert caught.value.field.startswith(field)
        assert caught.value.message.startswith(field)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"model":"\xff"}', b'{"a":' * 200 + b"1" + b"}" * 200])
def test_no_json_is_a_bad_request(raw: bytes) -> None:
    """Empty, broken, foreign and deep bodies are BadRequest."""
    with pytest.raises(BadRequest):
        SERVER.read(raw)


def test_threads_are_refused_as_the_sdks_understand() -> None:
    """A conversation that servers shall hold is Unsupported, with the code on which an SDK sends it whole."""
    with pytest.raises(Unsupported) as caught:
        SERVER.read(body(thread={"type": "create"}))
    told = msgspec.json.decode(encode_fault(caught.value, "r").body)

    assert told["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert SERVER.read(body(thread=None)).model == "m"


# Out.


def test_system_stands_before_all_turns() -> None:
    """What system and developer say is one field: text where it is one, blocks where there are several."""
    one = said(chat(Message("system", (Text("Be brief."),)), ASKED))
    two = said(chat(Message("system", (Text("Be brief."),)), ASKED, Message("developer", (Text("And kind."),))))

    assert (one["system"], one["messages"]) == ("Be brief.", [HI])
    assert two["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "And kind."}]
    assert two["messages"] == [HI]


def test_results_of_several_messages_are_one() -> None:
    """Results that came one by one, and the words behind them, are one user's message, the results first."""
    request = chat(
        ASKED,
        Message("assistant", (CALLED, ToolCall("call_2", "g", ""))),
        Message("tool", (ToolResult("call_1", (Text("one"),)),)),
        Message("tool", (ToolResult("call_2", (), failed=True),)),
        Message("user", (Text("So?"),)),
        Message("user", (Text("Well?"),)),
    )
    turns = said(request)["messages"]

    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "user"]
    assert turns[1]["content"][1] == {"type": "tool_use", "id": "call_2", "name": "g", "input": {}}
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
        {"type": "text", "text": "So?"},
    ]


def test_ids_have_anthropics_signs() -> None:
    """An id with other signs is told with `_` in their place, the same for a call and its result."""
    turns = said(
        chat(
            ASKED,
            Message("assistant", (ToolCall("functions.f:0", "f", "{}"),)),
            Message("tool", (ToolResult("functions.f:0", (Text("1"),)),)),
        )
    )["messages"]

    assert turns[1]["content"][0]["id"] == turns[2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_only_signed_thoughts_go_back() -> None:
    """Thoughts with a mark and sealed ones are given back, others are not; a refusal is text."""
    parts = (Reasoning("a", "sig"), Reasoning(sealed="x"), Reasoning("other's"), Refusal("No."), Text(""))
    (_, turn) = said(chat(ASKED, Message("assistant", parts)))["messages"]

    assert turn["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "No."},
    ]


def test_arguments_that_are_no_object_are_shown() -> None:
    """What another model wrote badly is told as Anthropic advises, not sent as broken JSON."""
    (_, turn) = said(chat(ASKED, Message("assistant", (ToolCall("c", "f", '{"n":'),))))["messages"]

    assert turn["content"][0]["input"] == {"INVALID_JSON": '{"n":'}


@pytest.mark.parametrize(
    "request_",
    [
        chat(choices=2),
        chat(logprobs=True),
        chat(sampling=Sampling(logit_bias={"1": 1.0})),
        chat(response_format=ResponseFormat("json")),
        chat(Message("user", (Media("audio", data="x"),))),
        chat(Message("user", (Media("file", data="x", mime="application/zip"),))),
        chat(Message("user", (Media("image"),))),
        chat(Message("system", (Media("image", url="x"),))),
        chat(Message("assistant", (Media("image", url="x"),))),
        chat(Message("user", (Opaque("openai", Raw(b"{}")),))),
    ],
)
def test_what_cannot_be_said_is_refused(request_: ChatRequest) -> None:
    """What Anthropic cannot do is Unsupported and says so, before anything is sent."""
    with pytest.raises(Unsupported, match="Anthropic"):
        CLIENT.encode_request(request_, "up")


def test_pictures_and_documents() -> None:
    """Pictures, PDFs and texts are blocks with their source; what nobody said the type of is looked at."""
    parts = (
        Media("image", url="https://x/a.png"),
        Media("image", data="/9j/4A=="),
        Media("file", data="JVBERi0=", name="a.pdf"),
        Media("file", data="SGk=", mime="text/markdown"),
        Media("file", file_id="file_1"),
    )
    (turn,) = said(chat(Message("user", parts)))["messages"]

    assert [(block["type"], block["source"]) for block in turn["content"]] == [
        ("image", {"type": "url", "url": "https://x/a.png"}),
        ("image", {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="}),
        ("document", {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}),
        ("document", {"type": "text", "media_type": "text/plain", "data": "Hi"}),
        ("document", {"type": "file", "file_id": "file_1"}),
    ]


TOOLS = (ToolSpec("f", "does it", Raw(b'{"type":"object"}')), ToolSpec("g"))


@pytest.mark.parametrize(
    ("choice", "parallel", "told", "offered"),
    [
        (None, None, None, ["f", "g"]),
        (ToolChoice("auto"), None, {"type": "auto"}, ["f", "g"]),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}, ["f", "g"]),
        (ToolChoice("named", "g"), None, {"type": "tool", "name": "g"}, ["f", "g"]),
        (ToolChoice("none"), True, {"type": "none"}, ["f", "g"]),
        (ToolChoice("auto", allowed=("g",)), None, {"type": "auto"}, ["g"]),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["f", "g"]),
    ],
)
def test_choices_of_tools(choice: ToolChoice | None, parallel: bool | None, told: Any, offered: list[str]) -> None:
    """Each choice has Anthropic's word; a choice among some offers only those."""
    written = said(chat(tools=TOOLS, tool_choice=choice, parallel_tools=parallel))

    assert written.get("tool_choice") == told
    assert [tool["name"] for tool in written["tools"]] == offered
    assert all(tool["input_schema"]["type"] == "object" for tool in written["tools"])


@pytest.mark.parametrize(
    ("wish", "limit", "thinking"),
    [
        (ReasoningWish("none"), None, {"type": "disabled"}),
        (ReasoningWish("low"), None, {"type": "enabled", "budget_tokens": 2048}),
        (ReasoningWish("high"), None, {"type": "enabled", "budget_tokens": 16_384}),
        (ReasoningWish(budget=5000), 4000, {"type": "enabled", "budget_tokens": 3999}),
        (ReasoningWish("medium"), 1024, None),
    ],
)
def test_models_that_think_by_a_budget(wish: ReasoningWish, limit: int | None, thinking: Any) -> None:
    """An effort is a budget within `max_tokens`; where that leaves too little nobody is asked to think."""
    written = said(chat(reasoning=wish, max_output=limit, sampling=Sampling(temperature=0.5)), BUDGETS)

    assert written.get("thinking") == thinking
    assert "output_config" not in written
    assert ("temperature" in written) == (thinking is None or thinking["type"] == "disabled")
    assert thinking is None or thinking.get("budget_tokens", 0) < written["max_tokens"]


def test_thoughts_that_are_not_here_are_not_asked_for() -> None:
    """While tools are called a model that thinks by a budget wants its thoughts back; without them it is not asked."""
    turns = (ASKED, Message("assistant", (CALLED,)), Message("tool", (ToolResult("call_1"),)))
    signed = (ASKED, Message("assistant", (Reasoning("a", "sig"), CALLED)), turns[2])
    wish = ReasoningWish("high")

    assert "thinking" not in said(chat(*turns, reasoning=wish), BUDGETS)
    assert said(chat(*signed, reasoning=wish), BUDGETS)["thinking"]["type"] == "enabled"
    assert said(chat(*turns, reasoning=wish))["thinking"]["type"] == "adaptive"


@pytest.mark.parametrize(
    ("wish", "effort"),
    [
        (ReasoningWish("minimal"), "low"),
        (ReasoningWish("xhigh"), "xhigh"),
        (ReasoningWish("ultra"), "max"),
        (ReasoningWish(budget=3000), "medium"),
        (ReasoningWish(enabled=True), None),
    ],
)
def test_newer_models_think_by_an_effort(wish: ReasoningWish, effort: str | None) -> None:
    """A wish is `adaptive` thinking, with the nearest effort."""
    written = said(chat(reasoning=wish))

    assert written["thinking"] == {"type": "adaptive"}
    assert written.get("output_config", {}).get("effort") == effort


def test_a_limit_is_always_said() -> None:
    """`max_tokens` is the caller's, else the family's, else one that all models take; a temperature at most 1."""
    assert said(chat(max_output=7))["max_tokens"] == 7
    assert said(chat(), Manner(8192))["max_tokens"] == 8192
    written = said(chat(sampling=Sampling(temperature=1.7, top_p=0.9, seed=3)))
    assert (written["max_tokens"], written["temperature"], written["top_p"]) == (4096, 1, 0.9)
    assert "seed" not in written


# Both.


def test_what_canon_has_no_word_for_survives() -> None:
    """Marks for caches, citations, titles, servers' tools and their results come out as they went in."""
    mark = {"cache_control": {"type": "ephemeral"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "search_result", "source": "x"}]}
    given_ = {
        "system": [{"type": "text", "text": "Be brief.", **mark}],
        "tools": [
            {"name": "f", "input_schema": {"type": "object"}, **mark},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", **mark}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
        ],
        "service_tier": "auto",
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "low"},
    }
    written = said(SERVER.decode_request(msgspec.json.encode({"model": "m", "max_tokens": 9, **given_})))

    assert {name: written[name] for name in given_} == given_


OWN = sorted({*schema.KnownBody.__struct_fields__} - {*schema.Body.__struct_fields__})


@pytest.mark.parametrize("name", [*OWN, "x_nobody_knows"])
def test_each_of_anthropics_own_fields_survives(name: str) -> None:
    """A field that canon has no word for travels on verbatim, known or new, alone as beside others; null is nothing."""
    told = msgspec.json.encode({"a": [1, 2.50]})
    raw = b'{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"%b":%b,"model":"m"}'
    request = SERVER.decode_request(raw % (name.encode(), told))

    assert request == chat(ASKED, max_output=9, vendor={"anthropic": {name: Raw(told)}})
    assert SERVER.decode_request(raw % (name.encode(), b"null")) == chat(ASKED, max_output=9)


def test_a_relayed_body_keeps_all_but_the_model() -> None:
    """Passed on, a body has the upstream's name and is otherwise what it was; the version is sent along."""
    sent = body(stream=True, x_unknown={"a": [1]})
    call = RELAY.retarget(sent, SERVER.read(sent), "up")

    assert msgspec.json.decode(call.body) == {**msgspec.json.decode(sent), "model": "up"}
    assert call.path == "/v1/messages"
    assert call.header(b"anthropic-version") == b"2023-06-01"


"""Machines that do much else are slow."""
TEXTS = st.text(min_size=1, max_size=8)
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
OBJECTS = st.dictionaries(TEXTS, st.integers(-(2**70), 2**70) | TEXTS, max_size=2)
WORDS = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
MARKED = st.builds(lambda text: {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}, TEXTS)
USES = st.builds(
    lambda mark, name, given_: {"type": "tool_use", "id": mark, "name": name, "input": given_}, IDS, IDS, OBJECTS
)
RESULTS = st.builds(
    lambda mark, inner, bad: {"type": "tool_result", "tool_use_id": mark, "content": inner, "is_error": bad},
    IDS,
    st.lists(WORDS | st.just(PIXEL), min_size=2, max_size=3),
    st.booleans(),
)
THOUGHTS = st.builds(lambda text, mark: {"type": "thinking", "thinking": text, "signature": mark}, TEXTS, TEXTS)
TURNS = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, TEXTS),
    st.builds(
        lambda blocks: {"role": "user", "content": blocks}, st.lists(WORDS | MARKED | st.just(PIXEL), min_size=1)
    ),
    st.builds(
        lambda first, rest: {"role": "user", "content": [*first, *rest]},
        st.lists(RESULTS, min_size=1, max_size=2),
        st.lists(WORDS | MARKED, max_size=2),
    ),
    st.builds(
        lambda blocks: {"role": "assistant", "content": blocks},
        st.lists(THOUGHTS | WORDS | USES, min_size=1, max_size=3),
    ),
)


@given(st.lists(TURNS, min_size=1, max_size=4), st.none() | TEXTS | st.lists(WORDS | MARKED, min_size=1, max_size=2))
def test_what_is_heard_is_said_again(turns: list[Any], system: Any) -> None:
    """A body that is heard, said and heard again is the same conversation, and is said in the same words."""
    more = {} if system is None else {"system": system}
    once = heard(*turns, **more)
    written = msgspec.json.encode(say(once, "m"))
    again = SERVER.decode_request(written)
    first, second = ([(one.role, part) for one in request.messages for part in one.parts] for request in (once, again))

    assert first == second
    assert msgspec.json.encode(say(again, "m")) == written


@given(st.lists(TURNS, min_size=1, max_size=5), st.none() | TEXTS)
def test_what_others_say_beside_a_message_changes_nothing(turns: list[Any], system: Any) -> None:
    """Messages of one text, which are said in a shorter way, are said as those that bear other dialects' fields."""
    request = heard(*turns, **({} if system is None else {"system": system}))
    beside = {"openai": {"x": Raw(b"1")}}
    marked = tuple(structs.replace(one, vendor={**one.vendor, **beside}) for one in request.messages)

    assert msgspec.json.encode(say(structs.replace(request, messages=marked), "up")) == msgspec.json.encode(
        say(request, "up")
    )


MEMBERS = ("type", "text", "role", "content", "source", "data", "id", "input", "name", "tool_use_id", "url")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
)


@given(ANYTHING)
def test_hostile_bodies_are_bad_requests(content: Any) -> None:
    """Whatever stands where content, a system or tools should, the body is taken or refused as a fault."""
    for more in ({"messages": [{"role": "user", "content": content}]}, {"system": content}, {"tools": content}):
        try:
            SERVER.read(body(**more))
            CLIENT.encode_request(SERVER.decode_request(body(**more)), "up")
        except Fault as fault:
            assert isinstance(fault, BadRequest | Unsupported)  # noqa: PT017 - to be taken is as good
