"""OpenAI's Responses, whole: what most answers are is told at once, and is what its stream comes to."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.event import TokenLogprob
from foz.canon.response import Choice, ReasoningBlock, Response, unfold
from foz.canon.usage import Usage
from foz.dialects.openai.responses.server import NO_THREAD, ResponsesServer, Thread
from foz.wire.sse import Decoder
from tests.contract.test_openai_responses import ID, SLOW, THREAD, body, heard
from tests.strategies import CALLS, COUNTS, NAMES, WORDS

_LAST = msgspec.json.Decoder(dict[str, Raw])
THOUGHTS = st.builds(ReasoningBlock, WORDS, st.none() | NAMES)
CHOICES = st.builds(
    Choice,
    WORDS | st.text('\ud7ff\u2028\x00a"\\') | st.none(),
    refusal=st.sampled_from([None, "", None, "no"]),
    reasoning=st.just(()) | THOUGHTS.map(lambda block: (block,)),
    calls=st.just(()) | CALLS.map(lambda call: (call,)),
    reason=st.sampled_from([None, "stop", "length", "content_filter", "tool_calls", "other"]),
    detail=st.none() | WORDS,
    logprobs=st.just(()) | st.just((TokenLogprob("a", -0.5),)),
)


@SLOW
@given(
    CHOICES,
    st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS) | st.builds(Usage, *[st.integers(0, 99)] * 5),
    st.sampled_from([THREAD, Thread('resp_odd "id'), NO_THREAD]),
    NAMES,
)
def test_a_whole_answer_has_the_bytes_of_its_stream(
    choice: Choice, usage: Usage | None, thread: Thread, id: str
) -> None:
    """The body of any answer is, byte for byte, the response that its events end with; and what is kept is the same."""
    answer = Response(id, "m", 5, (choice, Choice("another")), usage)
    whole, streamed = ResponsesServer(thread), ResponsesServer(thread)
    request = whole.decode_request(body(metadata={id[:64]: id}))
    encoder = streamed.encoder(request, id)
    told = Decoder().feed(b"".join(map(encoder.feed, unfold(answer))) + encoder.close())

    assert whole.encode_response(answer, request, id) == bytes(_LAST.decode(told[-1].data)["response"])
    assert whole.kept() == streamed.kept()


def test_what_was_asked_is_said_again() -> None:
    """An answer repeats what was asked, in OpenAI's order, and OpenAI's defaults for what was not said."""
    plain: dict[str, object] = {
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "auto",
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "metadata": {},
    }
    said: dict[str, object] = {
        "background": False,
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "previous_response_id": ID,
        "prompt_cache_key": "cached",
        "reasoning": {"effort": "low", "summary": "concise"},
        "safety_identifier": "safe",
        "service_tier": "flex",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "function", "name": "f"}],
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "me",
        "metadata": {"a": "b"},
    }

    assert bytes(heard().vendor["responses"]["echo"]) == msgspec.json.encode(plain)
    assert bytes(heard(**said).vendor["responses"]["echo"]) == msgspec.json.encode(said)
