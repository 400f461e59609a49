"""What the simulated model says, as canonical events."""

import itertools
import math
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.event import Event, Finished, Measured, ReasoningGrew, Started, TextGrew
from foz.canon.fault import BadRequest
from foz.canon.request import (
    ChatRequest,
    CompleteRequest,
    EmbedRequest,
    ReasoningWish,
    ResponseFormat,
    Sampling,
)
from foz.canon.response import Choice, Response, fold
from foz.canon.tool import ToolChoice, ToolSpec
from foz.canon.usage import Usage
from foz.testing.simulated import words
from foz.testing.simulated.answer import answer
from foz.testing.simulated.embed import embed


def _user(text: str, *media: Media) -> Message:
    return Message("user", (Text(text), *media))


def _chat(text: str = "Tell me about rivers", **more: Any) -> ChatRequest:
    return ChatRequest("simulated", (_user(text),), **more)


def _usage(response: Response) -> Usage:
    assert response.usage is not None
    return response.usage


def _first(request: ChatRequest | CompleteRequest, **more: Any) -> Choice:
    return fold(answer(request, **more)).choices[0]


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


WEATHER = ToolSpec(
    "get_weather",
    schema=_raw(
        {
            "type": "object",
            "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["location"],
            "additionalProperties": False,
        }
    ),
)
ADD = ToolSpec(
    "add",
    schema=_raw(
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        }
    ),
)
REQUESTS = st.builds(
    ChatRequest,
    st.just("simulated"),
    st.lists(st.text(max_size=40).map(_user), min_size=1, max_size=3).map(tuple),
    tools=st.sampled_from([(), (WEATHER,), (ADD, WEATHER)]),
    reasoning=st.sampled_from([None, ReasoningWish(effort="low"), ReasoningWish(enabled=True, budget=4)]),
    response_format=st.sampled_from([None, ResponseFormat("json")]),
    sampling=st.builds(Sampling, seed=st.none() | st.integers(0, 3)),
    max_output=st.none() | st.integers(1, 30),
    choices=st.integers(1, 3),
    stop=st.sampled_from([(), ("model",), ("z", "e")]),
    logprobs=st.booleans(),
)


@given(REQUESTS)
def test_events_come_in_their_order_and_count_what_they_say(request: ChatRequest) -> None:
    """Any chat starts, finishes each choice once, and its usage is the count of what was said, never over the limit."""
    events = list(answer(request))
    response = fold(events)

    assert isinstance(events[0], Started)
    assert isinstance(events[-2], Measured)
    assert isinstance(events[-1], Finished)
    assert len(response.choices) == request.choices
    counts = [_count(choice) for choice in response.choices]
    assert response.usage is not None
    assert response.usage.output == sum(counts)
    if request.max_output is not None:
        assert max(counts) <= request.max_output
        assert all(
            count == request.max_output
            for count, choice in zip(counts, response.choices, strict=True)
            if choice.reason == "length" and not choice.calls
        )


def _count(choice: Choice) -> int:
    said = [block.text for block in choice.reasoning] + [choice.text or ""] + [call.arguments for call in choice.calls]
    return sum(len(words.tokens(text)) for text in said)


@given(REQUESTS)
def test_the_same_request_gets_the_same_answer(request: ChatRequest) -> None:
    """Asked twice, streamed or whole, with or without what only a vendor knows, it says the same."""
    streamed = msgspec.structs.replace(request, stream=True, wants_usage=False, user="u", vendor={"x": {"y": _raw(1)}})

    assert list(answer(request)) == list(answer(request)) == list(answer(streamed))


@given(st.text(max_size=200))
def test_tokens_make_the_text(text: str) -> None:
    """The tokens of any text, joined, are the text; a text of ordinary words has one for each."""
    found = words.tokens(text)

    assert "".join(found) == text
    assert all(found)
    if text.split() and all(len(word) <= 16 for word in text.split()):
        assert len(found) == len(text.split())


def test_it_says_what_it_is_and_what_it_heard() -> None:
    """The answer names the simulated model and repeats the user's last words."""
    text = _first(_chat("How deep is the Amazon?")).text or ""

    assert text.startswith("This is Foz's simulated model.")
    assert "How deep is the Amazon?" in text


def test_another_seed_or_choice_says_something_else() -> None:
    """The same seed repeats an answer; among five seeds, and among five choices, all do not say the same."""
    by_seed = [_first(_chat(sampling=Sampling(seed=seed))).text for seed in (1, 1, 2, 3, 4, 5)]
    by_choice = [choice.text for choice in fold(answer(_chat(choices=5))).choices]

    assert by_seed[0] == by_seed[1]
    assert len(set(by_seed)) > 1
    assert len(set(by_choice)) == 5


def test_media_are_acknowledged() -> None:
    """Pictures, sounds and files are counted by kind."""
    media = [Media("image", url="u"), Media("image", data="d"), Media("audio", data="d"), Media("file", file_id="f")]
    request = ChatRequest("m", (_user("Look", *media),))

    assert "You sent 2 images, 1 sound and 1 file." in (_first(request).text or "")
    assert _usage(fold(answer(request))).input == 1 + 4 * words.PER_MEDIA


def test_it_stops_before_a_stop_string() -> None:
    """The text ends right before the earliest stop string, which it names as the detail, and the reason is stop."""
    whole = _first(_chat()).text or ""
    choice = _first(_chat(stop=("model", "simulated", "never said")))

    assert choice.text == whole[: whole.index("simulated")]
    assert (choice.reason, choice.detail) == ("stop", "simulated")


def test_it_stops_at_the_limit() -> None:
    """With a limit it says exactly so many tokens of the same text, and the reason is length."""
    whole = _first(_chat()).text or ""
    response = fold(answer(_chat(max_output=4)))

    assert response.choices[0].text == "".join(words.tokens(whole)[:4])
    assert response.choices[0].reason == "length"
    assert _usage(response).output == 4


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    """An answer exactly as long as the limit ended by itself."""
    whole = _first(_chat()).text or ""

    assert _first(_chat(max_output=len(words.tokens(whole)))) == _first(_chat())


@pytest.mark.parametrize("number", [0, 1, 7, 500])
def test_a_length_is_kept_to_the_word(number: int) -> None:
    """Asked for so many words it says so many, which are as many tokens."""
    choice = _first(_chat(tools=(WEATHER,)), length=number)

    assert len((choice.text or "").split()) == number
    assert len(words.tokens(choice.text or "")) == number


@pytest.mark.parametrize(
    ("wish", "thinks"),
    [
        (None, False),
        (ReasoningWish(), False),
        (ReasoningWish(effort="none"), False),
        (ReasoningWish(enabled=False, effort="high"), False),
        (ReasoningWish(enabled=True), True),
        (ReasoningWish(effort="low"), True),
        (ReasoningWish(budget=3), True),
    ],
)
def test_it_thinks_when_asked(wish: ReasoningWish | None, thinks: bool) -> None:
    """Reasoning comes before the text and is counted, only where it is wanted, within its budget."""
    events = list(answer(_chat(reasoning=wish)))
    thoughts = [event for event in events if isinstance(event, ReasoningGrew)]
    usage = _usage(fold(events))

    assert bool(thoughts) == thinks
    assert usage.reasoning == len(thoughts)
    if wish is not None and wish.budget is not None:
        assert len(thoughts) == wish.budget
    if thinks:
        assert events.index(thoughts[-1]) < next(at for at, event in enumerate(events) if isinstance(event, TextGrew))


def test_a_higher_effort_thinks_longer() -> None:
    """Each level of effort takes more tokens than the one below."""
    counts = [
        _usage(fold(answer(_chat(reasoning=ReasoningWish(effort=effort))))).reasoning or 0
        for effort in ("minimal", "low", "medium", "high")
    ]

    assert counts == sorted(set(counts))


def test_logprobs_come_when_asked() -> None:
    """Each token has its own bytes, a logprob that is no surer than certain, and as many alternatives as asked."""
    choice = _first(_chat(logprobs=True, top_logprobs=3))

    assert "".join(each.token for each in choice.logprobs) == choice.text
    for each in choice.logprobs:
        assert bytes(each.bytes or ()).decode() == each.token
        assert each.logprob is not None
        assert each.logprob <= 0
        assert len({top.token for top in each.top}) == 3
        assert each.top[0].token == each.token
        assert [top.logprob or 0 for top in each.top] == sorted((top.logprob or 0 for top in each.top), reverse=True)
    assert _first(_chat()).logprobs == ()
    assert all(each.top == () for each in _first(_chat(logprobs=True)).logprobs)


def test_choices_are_told_in_turn() -> None:
    """The events of several choices are mixed, as vendors mix them, and each folds to its own text."""
    events = [event for event in answer(_chat(choices=3)) if isinstance(event, TextGrew)]

    assert [event.choice for event in events[:6]] == [0, 1, 2, 0, 1, 2]


# Tools.


def _calls(text: str, *tools: ToolSpec, **more: Any) -> list[tuple[str, Any]]:
    choice = _first(_chat(text, tools=tools, **more))
    assert (choice.reason == "tool_calls") == bool(choice.calls)
    return [(call.name, msgspec.json.decode(call.arguments)) for call in choice.calls]


def test_the_first_tool_is_called() -> None:
    """With tools offered and nothing named, the first is called with what the prompt gives."""
    assert _calls("What's the weather in Paris?", WEATHER, ADD) == [("get_weather", {"location": "Paris"})]


def test_the_tool_that_the_prompt_names_is_called() -> None:
    """A tool whose name is in the prompt goes before the first; several names get several calls."""
    assert _calls("Please add 2 and 3", WEATHER, ADD) == [("add", {"a": 2, "b": 3})]
    assert _calls("Use get_weather for Oslo, then add 1 and 2", ADD, WEATHER) == [
        ("add", {"a": 1, "b": 2}),
        ("get_weather", {"location": "Oslo"}),
    ]


def test_several_values_get_several_calls() -> None:
    """A list of values that one call cannot hold gets a call for each; forbidden to call in parallel, only one."""
    text = "Weather in Paris, New York and Tokyo, in celsius"

    assert _calls(text, WEATHER) == [
        ("get_weather", {"location": place, "unit": "celsius"}) for place in ("Paris", "New York", "Tokyo")
    ]
    assert len(_calls(text, WEATHER, parallel_tools=False)) == 1


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        (ToolChoice("none"), []),
        (ToolChoice("auto"), ["get_weather"]),
        (ToolChoice("required"), ["get_weather"]),
        (ToolChoice("named", name="add"), ["add"]),
        (ToolChoice("auto", allowed=("add",)), ["add"]),
        (ToolChoice("required", allowed=("add",)), ["add"]),
    ],
)
def test_the_choice_of_tools_is_obeyed(choice: ToolChoice, called: list[str]) -> None:
    """None calls nothing, a named tool is called, and only allowed tools are."""
    assert [name for name, _ in _calls("Hello", WEATHER, ADD, tool_choice=choice)] == called


def test_a_result_is_answered_in_text() -> None:
    """After a tool's result it answers in words that hold the result and name the tool, even if a call is required."""
    conversation = (
        _user("Weather in Paris?"),
        Message("assistant", (ToolCall("call_1", "get_weather", '{"location": "Paris"}'),)),
        Message("tool", (ToolResult("call_1", (Text("22 degrees, sunny"),)),)),
    )
    request = ChatRequest("m", conversation, tools=(WEATHER,), tool_choice=ToolChoice("required"))
    choice = _first(request)

    assert choice.calls == ()
    assert "The tool get_weather answered: 22 degrees, sunny" in (choice.text or "")


def test_all_results_of_a_turn_are_told() -> None:
    """Results of parallel calls are all repeated, a failed one as failed."""
    results = (
        Message("tool", (ToolResult("a", (Text("one"),), name="first"),)),
        Message("tool", (ToolResult("b", (Text("two"),), name="second", failed=True),)),
    )
    text = _first(ChatRequest("m", (_user("go"), *results), tools=(WEATHER,))).text or ""

    assert "The tool first answered: one" in text
    assert "The tool second answered: it failed: two" in text


def test_ids_of_calls_are_their_own() -> None:
    """Every call of every choice has another id."""
    response = fold(answer(_chat("Paris and Tokyo", tools=(WEATHER,), choices=3)))
    ids = [call.id for choice in response.choices for call in choice.calls]

    assert len(set(ids)) == len(ids) == 6


def test_a_tool_without_a_schema_gets_an_object() -> None:
    """Arguments are an object even where no schema, or one that is not an object's, was given."""
    assert _calls("hello", ToolSpec("ping")) == [("ping", {})]
    assert _calls("hello", ToolSpec("ping", schema=_raw({"type": "string"}))) == [("ping", {})]


def test_a_limit_cuts_arguments_short() -> None:
    """Arguments that do not fit the limit are cut, and the reason is length, as vendors do."""
    choice = _first(_chat("Paris", tools=(WEATHER,), max_output=1))

    assert choice.reason == "length"
    assert [call.arguments for call in choice.calls] == ['{"location":']


# Answers in a form.


def test_a_schema_is_obeyed() -> None:
    """A response format with a schema gets JSON that satisfies it, with the prompt's own values."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 1}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = ResponseFormat("schema", name="person", schema=_raw(schema), strict=True)
    value = msgspec.json.decode(_first(_chat("Meet Ada, 36 years old", response_format=wanted)).text or "")

    jsonschema.validate(value, schema)
    assert value == {"name": "Ada", "age": 36}


# Completions.


def _complete(*prompts: Any, **more: Any) -> Response:
    return fold(answer(CompleteRequest("m", prompts, **more)))


def test_completions_are_numbered_by_prompt_and_choice() -> None:
    """Two prompts with three choices each get six, in order, each telling its prompt."""
    response = _complete("the first prompt", "the second prompt", choices=3, max_output=100)

    assert len(response.choices) == 6
    assert all("first" in (choice.text or "") for choice in response.choices[:3])
    assert all("second" in (choice.text or "") for choice in response.choices[3:])


def test_echo_puts_the_prompt_in_front() -> None:
    """With echo the prompt opens the text, costs no output, and its first token has no logprob."""
    plain = _complete("Once upon a time", logprobs=2)
    echoed = _complete("Once upon a time", echo=True, logprobs=2)
    choice = echoed.choices[0]

    assert choice.text == f"Once upon a time{plain.choices[0].text}"
    assert echoed.usage == plain.usage
    assert [each.logprob is None for each in choice.logprobs[:3]] == [True, False, False]
    assert [each.offset for each in choice.logprobs[:4]] == [0, 4, 9, 11]


def test_a_completion_has_sixteen_tokens_unless_told() -> None:
    """As at OpenAI, a completion without a limit ends at 16 tokens."""
    assert _usage(_complete("x")).output == 16


def test_tokens_are_a_prompt_too() -> None:
    """A prompt of numbers is counted by them and written as them."""
    response = _complete((15339, 1917), echo=True)

    assert _usage(response).input == 2
    assert (response.choices[0].text or "").startswith("15339 1917")


def test_a_suffix_is_led_to() -> None:
    """The text knows what comes after it."""
    assert 'leads to "the end"' in (_complete("begin", suffix="the end", max_output=99).choices[0].text or "")


# Embeddings.


def _dot(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


@given(st.lists(st.text(max_size=60) | st.lists(st.integers(0, 9), max_size=5).map(tuple), min_size=1, max_size=3))
def test_embeddings_are_stable_and_normalised(inputs: list[Any]) -> None:
    """Any text, also the empty one, always lies at the same place of the unit sphere."""
    request = EmbedRequest("m", tuple(inputs))
    response = embed(request)

    assert response == embed(request)
    assert len(response.vectors) == len(inputs)
    for vector in response.vectors:
        assert len(vector) == 384
        assert math.isclose(_dot(vector, vector), 1.0, abs_tol=1e-5)


def test_like_texts_lie_near() -> None:
    """Texts about one thing are nearer to each other than to a text about another."""
    cats, kittens, tax = embed(
        EmbedRequest("m", ("the cat sat on the mat", "a cat sits on a mat", "quarterly tax returns are due"))
    ).vectors

    assert _dot(cats, kittens) > _dot(cats, tax) + 0.2


def test_dimensions_are_obeyed() -> None:
    """A vector has as many numbers as asked for; none, or without end, are refused."""
    assert [len(embed(EmbedRequest("m", ("x",), dimensions=size)).vectors[0]) for size in (1, 8, 1536)] == [1, 8, 1536]
    for size in (0, -1, 10**9):
        with pytest.raises(BadRequest, match="1 to 16384 dimensions"):
            embed(EmbedRequest("m", ("x",), dimensions=size))


def test_every_prefix_is_well_formed() -> None:
    """An endless reader may stop anywhere: events are made one by one, not all before the first."""
    events: list[Event] = list(itertools.islice(answer(_chat(), length=1_000_000), 3))

    assert isinstance(events[0], Started)
