"""Whole chats told without the detour: the same message as with it, or none."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import Garbled
from foz.canon.request import Operation
from foz.canon.usage import Usage
from foz.dialects.openai.speech import SPEECH
from foz.gateway.lane import tallied
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.codec import MessageCodec
from foz.wire.http import Reply
from tests.strategies import COUNTS, JSON, WORDS

ASKED = pb.ChatCompletionRequest(model_id="public", messages=[pb.Message(role="user", content="Hello")])
USUAL: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "upstream",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | WORDS},
    optional={
        "reasoning_content": st.none() | WORDS,
        "refusal": st.none() | st.just("") | WORDS,
        "tool_calls": st.none() | st.just([]),
        "annotations": st.none() | st.just([]),
        "x_more": JSON,
    },
)
CHOICES = st.fixed_dictionaries(
    {"message": MESSAGES, "finish_reason": st.sampled_from(["stop", "length", "content_filter", "tool_calls", "eos"])},
    optional={"index": st.integers(0, 2), "logprobs": st.none(), "stop_reason": st.none() | WORDS | st.integers(0, 9)},
)
DETAILS = st.none() | st.fixed_dictionaries({"cached_tokens": COUNTS}, optional={"audio_tokens": COUNTS})
USAGES = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS},
    optional={"prompt_tokens_details": DETAILS, "cost": JSON},
)
ANSWERS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["", "chatcmpl-1"]) | WORDS,
        "object": st.just("chat.completion"),
        "created": st.sampled_from([0, 1_700_000_000, 1_700_000_000.5]),
        "model": WORDS,
        "choices": st.lists(CHOICES, max_size=2),
    },
    optional={"usage": USAGES, "error": st.none(), "obfuscation": WORDS, "system_fingerprint": JSON, "x_more": JSON},
)


def both(answer: object) -> tuple[tuple[pb.ChatCompletionResponse, Any] | None, MessageCodec, Reply]:
    """What the shortcut makes of it, and what the detour needs."""
    codec = MessageCodec(Operation.CHAT, stream=False)
    ask = codec.read(ASKED.SerializeToString())
    relay = SPEECH[Operation.CHAT].relay
    assert codec.shortcut is not None
    assert relay is not None
    reply = Reply(200, (), msgspec.json.encode(answer))
    passed = codec.shortcut.along(relay).whole(reply, ask)
    return passed and (pb.ChatCompletionResponse.FromString(passed[0]), passed[1]), codec, reply


def by_detour(codec: MessageCodec, reply: Reply) -> tuple[pb.ChatCompletionResponse, Any]:
    client = SPEECH[Operation.CHAT].client
    assert client is not None
    answer = client.decode_response(reply)
    said = codec.encode_response(answer, codec.decode_request(ASKED.SerializeToString()), "public")
    return pb.ChatCompletionResponse.FromString(said), tallied(answer)


def test_the_usual_is_told_at_once() -> None:
    """A plain answer makes no detour, and bears the public name, the words and the counts."""
    passed, _, _ = both({**USUAL, "system_fingerprint": "fp"})
    assert passed is not None
    said, tally = passed
    assert (said.model, said.choices[0].message.content, said.usage.total_tokens) == ("public", "Hi.", 5)
    assert said.extra["system_fingerprint"] == '"fp"'
    assert (tally.usage, tally.content, tally.finished) == (Usage(input=3, output=2), 3, True)


@given(answer=ANSWERS)
def test_the_shortcut_says_what_the_detour_says(answer: dict[str, Any]) -> None:
    """Whatever is told at once is the message and the account that the detour comes to."""
    passed, codec, reply = both(answer)
    if passed is None:
        return
    (said, tally), (expected, account) = passed, by_detour(codec, reply)
    assert said == expected
    facts = ("usage", "content", "finished", "pieces")
    assert [getattr(tally, fact) for fact in facts] == [getattr(account, fact) for fact in facts]


@pytest.mark.parametrize(
    "change",
    [
        {"choices": []},
        {"id": ""},
        {"created": None},
        {"created": 2**63},
        {"error": {"message": "no"}},
        {"object": "error"},
        {"usage": {"prompt_tokens": 2**63, "completion_tokens": 1}},
        {"choices": [{"index": 1, "message": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "tool_calls"}]},
        {"choices": [{"index": 0, "message": {"content": 5}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "message": {"content": "a", "annotations": []}, "finish_reason": "stop"}]},
    ],
)
def test_the_unusual_makes_the_detour(change: dict[str, Any]) -> None:
    """What has more than plain words, or is wrong, is left to the lane that knows it all."""
    assert both({**USUAL, **change})[0] is None


def test_a_number_that_no_field_holds_is_the_upstreams_doing() -> None:
    """A count beyond 64 bits is a garbled answer, and no defect of ours."""
    _, codec, reply = both({**USUAL, "usage": {"prompt_tokens": 2**63, "completion_tokens": 1}})
    with pytest.raises(Garbled):
        by_detour(codec, reply)


def test_streams_and_other_operations_have_no_shortcut() -> None:
    """Only whole chats are told at once."""
    assert MessageCodec(Operation.CHAT, stream=True).shortcut is None
    assert MessageCodec(Operation.EMBED, stream=False).shortcut is None
