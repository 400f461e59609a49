"""Whole answers of the `anthropic` dialect: what is read in a shorter way is what its events fold to."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.fault import Garbled
from foz.canon.response import Choice, Response, fold
from foz.canon.usage import Usage
from foz.dialects.anthropic.answer import REASONS, TOLD_EXACTLY, Message, Reader
from foz.dialects.anthropic.client import MessagesClient
from foz.wire.http import Reply

HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up"}
TEXTS = st.text(max_size=8)
OPTIONAL_TEXTS = st.none() | TEXTS
COUNTS = st.none() | st.integers(0, 2**31 - 1)
WORDS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": TEXTS},
    optional={"citations": st.none() | st.just([{"type": "char_location"}]), "signature": TEXTS},
)
THOUGHTS = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS}, optional={"signature": TEXTS})
CALLS = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": TEXTS, "name": TEXTS},
    optional={"input": st.none() | st.dictionaries(TEXTS, st.integers()), "caller": st.just({"type": "direct"})},
)
OTHERS = st.fixed_dictionaries({"type": st.sampled_from(["server_tool_use", "new", ""]), "text": TEXTS | st.just([1])})
BLOCKS = WORDS | THOUGHTS | CALLS | OTHERS | st.just({"type": "redacted_thinking", "data": "sealed"})
USAGE = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "cache_creation_input_tokens": COUNTS,
        "cache_read_input_tokens": COUNTS,
        "output_tokens_details": st.none() | st.just({"thinking_tokens": 3}),
        "service_tier": st.none() | st.just("standard"),
        "cache_creation": st.just({"ephemeral_5m_input_tokens": 0}),
        "x_nobody_knows": st.just([1]),
    },
)
ANSWERS = st.fixed_dictionaries(
    {"content": st.lists(WORDS, min_size=1, max_size=1) | st.lists(BLOCKS, max_size=3)},
    optional={
        "id": OPTIONAL_TEXTS,
        "type": st.sampled_from([None, "message"]),
        "model": OPTIONAL_TEXTS,
        "stop_reason": st.none() | st.sampled_from([*REASONS, *TOLD_EXACTLY, "new"]),
        "stop_sequence": OPTIONAL_TEXTS,
        "usage": st.none() | USAGE,
        "container": st.none() | st.just({"id": "c"}),
        "stop_details": st.none() | st.just({"type": "refusal"}),
        "x_nobody_knows": st.just([1]),
    },
)


def heard(**said: Any) -> Response:
    return MessagesClient().decode_response(Reply(200, (), msgspec.json.encode({**HEAD, **said})))


@settings(max_examples=300)
@given(ANSWERS)
def test_a_whole_answer_is_the_fold_of_its_events(said: dict[str, Any]) -> None:
    """However a whole answer is read, one text or many blocks, it is the fold of what its blocks say one by one."""
    body = msgspec.json.encode(said)
    message = msgspec.json.decode(body, type=Message)
    one_by_one = fold(Reader().whole(message, message.content or []))

    assert MessagesClient().decode_response(Reply(200, (), body)) == one_by_one


def test_one_text_and_its_count() -> None:
    """The commonest answer is one choice with its text, why it ended, and its counts; a field that is new stays."""
    answer = heard(
        content=[{"type": "text", "text": "Into the sea.", "citations": None}],
        stop_reason="stop_sequence",
        stop_sequence="STOP",
        usage={"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4, "service_tier": "standard"},
        stop_details=None,
    )

    assert answer == Response(
        "msg_1",
        "up",
        0,
        (Choice("Into the sea.", reason="stop", detail="STOP"),),
        Usage(input=7, output=2, cached=4),
        usage_vendor={"anthropic": {"service_tier": Raw(b'"standard"')}},
    )


def test_what_stands_beside_one_text_is_kept() -> None:
    """A container or the details of a stop travel verbatim beside a text that stands alone."""
    answer = heard(content=[{"type": "text", "text": "No."}], stop_reason="refusal", stop_details={"type": "refusal"})

    assert answer.choices == (
        Choice("No.", reason="content_filter", vendor={"anthropic": {"stop_details": Raw(b'{"type":"refusal"}')}}),
    )
    assert answer.usage is None


@pytest.mark.parametrize("wrong", [{"text": None}, {"signature": 5}, {"type": 5}])
def test_a_text_that_is_none_is_garbled(wrong: dict[str, Any]) -> None:
    """A text whose fields are not as they must be is Garbled."""
    with pytest.raises(Garbled):
        heard(content=[{"type": "text", "text": "x", **wrong}])


def test_a_block_of_another_kind_may_have_any_fields() -> None:
    """A block that canon has no word for is kept verbatim, though its fields are of other types than a known one's."""
    block = {"type": "new", "id": [1], "text": None}
    (kept,) = heard(content=[block]).choices[0].vendor["anthropic"].values()

    assert msgspec.json.decode(kept) == block
