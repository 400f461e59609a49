"""Completions of models that only chat: what is asked instead, and what the caller gets."""

import msgspec
import pytest

from foz.canon.content import Message, Text
from foz.canon.fault import Unsupported
from foz.canon.model import Profile, Target
from foz.canon.request import ChatRequest, CompleteRequest, Operation, Sampling
from foz.gateway.completing import as_chat
from foz.gateway.services import Policy
from foz.testing.upstream import Scripted
from tests.core import PUBLIC, STREAM, WHOLE, Core, body, run

CHATS = Target("one", "up-1", profile=Profile(operations=frozenset({Operation.CHAT})))
ASKED = {"model": PUBLIC, "prompt": "Where do rivers end?", "max_tokens": 5, "stop": ["\n"]}


def test_a_prompt_is_one_turn_of_a_user() -> None:
    """What a completion says of sampling, limits and choices is said of the conversation."""
    asked = CompleteRequest("m", ("Once",), sampling=Sampling(temperature=0.5), max_output=7, choices=2, logprobs=3)

    assert as_chat(asked) == ChatRequest(
        "m",
        (Message("user", (Text("Once"),)),),
        sampling=Sampling(temperature=0.5),
        max_output=7,
        choices=2,
        logprobs=True,
        top_logprobs=3,
    )


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (CompleteRequest("m", ("a", "b")), "prompt"),
        (CompleteRequest("m", ((1, 2),)), "prompt"),
        (CompleteRequest("m", ("a",), suffix="z"), "suffix"),
        (CompleteRequest("m", ("a",), echo=True), "echo"),
        (CompleteRequest("m", ("a",), best_of=3), "best_of"),
    ],
)
def test_what_a_conversation_cannot_say_is_refused(asked: CompleteRequest, field: str) -> None:
    """Several prompts, tokens, a suffix, an echo and the best of several are Unsupported, and the field is named."""
    with pytest.raises(Unsupported) as caught:
        as_chat(asked)

    assert caught.value.field == field


def test_a_model_that_only_chats_completes() -> None:
    """The target is asked on its chat path, and the caller gets a text completion, whole and accounted for."""

    async def ask() -> None:
        core = Core(Scripted(WHOLE), targets=(CHATS,))
        assert await core.serve(ASKED, Operation.COMPLETE) is None
        (call,) = core.upstream.calls
        said = msgspec.json.decode(call.body)
        assert call.path == "/chat/completions"
        assert said["messages"] == [{"role": "user", "content": "Where do rivers end?"}]
        assert (said["stop"], said["model"]) == (["\n"], "up-1")
        answer = msgspec.json.decode(core.caller.body)
        assert (answer["object"], answer["model"]) == ("text_completion", PUBLIC)
        assert [choice["text"] for choice in answer["choices"]] == ["Into the sea"]
        assert (core.end.usage.input, core.end.usage.output) == (7, 3)
        (entry,) = core.ledger.entries.values()
        assert entry.operation == "complete"

    run(ask())


def test_a_model_that_only_chats_streams_a_completion() -> None:
    """Each piece of the conversation is a piece of the text, and the end is the dialect's own."""

    async def ask() -> None:
        core = Core(Scripted(*STREAM), targets=(CHATS,))
        assert await core.serve({**ASKED, "stream": True}, Operation.COMPLETE) is None
        frames = core.caller.body.decode().split("\n\n")
        chunks = [msgspec.json.decode(frame.removeprefix("data: ")) for frame in frames if frame.startswith("data: {")]
        assert {chunk["object"] for chunk in chunks} == {"text_completion"}
        assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "Into the sea"
        assert core.caller.body.endswith(b"data: [DONE]\n\n")

    run(ask())


def test_a_refusal_sends_nothing() -> None:
    """What cannot be asked of a model that only chats never reaches it."""

    async def ask() -> None:
        core = Core(targets=(CHATS,))
        assert isinstance(await core.serve({**ASKED, "prompt": ["a", "b"]}, Operation.COMPLETE), Unsupported)
        assert core.upstream.calls == []

    run(ask())


def test_a_model_that_completes_is_asked_to() -> None:
    """A target without such a limit is asked on its own path of completions."""

    async def ask() -> None:
        text = {"text": "the sea", "index": 0, "logprobs": None, "finish_reason": "stop"}
        core = Core(Scripted(body({"id": "c", "object": "text_completion", "choices": [text]})))
        assert await core.serve(ASKED, Operation.COMPLETE) is None
        assert [call.path for call in core.upstream.calls] == ["/completions"]

    run(ask())


@pytest.mark.parametrize(
    ("lacks", "told"), [(frozenset[str](), {"reasoning_effort": "none"}), (frozenset({"reasoning"}), {})]
)
def test_who_cannot_think_is_not_told_not_to(lacks: frozenset[str], told: dict[str, str]) -> None:
    """The wish that a model shall not think reaches those who can; others are asked without it, and answer."""

    async def asked() -> None:
        core = Core(
            Scripted(WHOLE), targets=(Target("one", "up-1", profile=Profile(lacks=lacks)),), policy=Policy(relay=False)
        )
        said = {"model": PUBLIC, "messages": [{"role": "user", "content": "?"}], "reasoning_effort": "none"}
        assert await core.serve(said) is None
        (call,) = core.upstream.calls
        sent = msgspec.json.decode(call.body)
        assert {name: value for name, value in sent.items() if name == "reasoning_effort"} == told

    run(asked())
