"""What a wrong body gets: OpenAI's words, with the field."""

from contextlib import suppress
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct

from foz.canon.fault import BadRequest
from foz.dialects.openai.fields import MOST, Whole, decode, extras


class Turn(Struct):
    role: Literal["user", "system"]
    content: str | list[str] | None = None


class Body(Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=3)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    bias: dict[str, Annotated[float, Meta(ge=-100)]] | None = None
    seed: Whole | None = None
    most: Annotated[int, Meta(le=MOST)] | None = None


DECODER = msgspec.json.Decoder(Body)
WORDS = {"messages[].role": ("user", "system")}
HEAD = b'{"model":"m","messages":[{"role":"user"}]'


@pytest.mark.parametrize(
    ("body", "field", "code", "said"),
    [
        (b"{}", "model", "missing_required_parameter", "Missing required parameter: 'model'."),
        (b'{"model":""}', "model", "empty_string", "empty string"),
        (b'{"model":null}', "model", "invalid_type", "expected a string, but got null instead"),
        (b'{"model":"m","messages":[]}', "messages", "empty_array", "empty array"),
        (b'{"model":"m","messages":[{}]}', "messages[0].role", "missing_required_parameter", "messages[0].role"),
        (
            b'{"model":"m","messages":[{"role":"user"},{"role":"boss"}]}',
            "messages[1].role",
            "invalid_value",
            "Supported values are: 'user', 'system'.",
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":7}]}',
            "messages[0].content",
            "invalid_type",
            "expected a string or an array, but got an integer instead",
        ),
        (HEAD + b',"temperature":3}', "temperature", "decimal_above_max_value", "Expected a value <= 2."),
        (HEAD + b',"temperature":-0.5}', "temperature", "decimal_below_min_value", "Expected a value >= 0."),
        (HEAD + b',"temperature":1e999}', "temperature", "invalid_value", "out of range"),
        (HEAD + b',"n":0}', "n", "integer_below_min_value", "Expected a value >= 1."),
        (HEAD + b',"n":1.5}', "n", "invalid_type", "expected an integer, but got a number instead"),
        (HEAD + b',"most":1' + b"0" * 400 + b"}", "most", "integer_above_max_value", "Expected a value <= 2147483647."),
        (HEAD + b',"seed":9223372036854775808}', "seed", "integer_above_max_value", "<= 9223372036854775807."),
        (HEAD + b',"bias":{"5":-101}}', "bias", "decimal_below_min_value", "-100"),
        (b'{"model":"m","messages":[1,2,3,4]}', "messages[0]", "invalid_type", "an object"),
    ],
)
def test_a_wrong_field_is_named_as_openai_names_it(body: bytes, field: str, code: str, said: str) -> None:
    """A body that breaks its schema is refused with OpenAI's param, code and sentence."""
    with pytest.raises(BadRequest) as caught:
        decode(DECODER, body, WORDS)

    assert (caught.value.field, caught.value.vendor_code, caught.value.status) == (field, code, 400)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"hello",
        HEAD + b"} x",
        b'\xef\xbb\xbf{"model":"m"}',
        b'{"model":"\xff"}',
        HEAD + b',"unknown":"\xff"}',
        HEAD + b',"unknown":[1,,]}',
        HEAD + b',"temperature":NaN}',
    ],
)
def test_what_is_no_json_is_refused_without_a_field(body: bytes) -> None:
    """Broken JSON, also inside fields that nobody reads, is a BadRequest that says it could not be parsed."""
    with pytest.raises(BadRequest, match="could not parse the JSON body") as caught:
        decode(DECODER, body)

    assert caught.value.field is None


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_empty_body_is_told_as_that(body: bytes) -> None:
    """Nothing, and nothing but white space, is refused as empty."""
    with pytest.raises(BadRequest, match=r"The body is empty\. The API expects a JSON object"):
        decode(DECODER, body)


@pytest.mark.parametrize(
    ("text", "lone"),
    [
        (rb"\ud800x", r"\ud800"),
        (rb"\uDC00", r"\uDC00"),
        (rb"\ud800A", r"\ud800"),
        (rb"\\\ud83d", r"\ud83d"),
        (rb"\ud83d\ude00\ude00", r"\ude00"),
        (rb"\\ud800\x", None),
        (rb"\ud83d\ude00\x", None),
    ],
)
def test_half_of_a_surrogate_pair_is_named(text: bytes, lone: str | None) -> None:
    """An escape without its other half is told by itself; a pair, or an escaped backslash, is not taken for one."""
    with pytest.raises(BadRequest, match="could not parse the JSON body") as caught:
        decode(DECODER, HEAD + b',"unknown":"' + text + b'"}')

    assert (f"{lone} is half of a surrogate pair" in caught.value.message) == (lone is not None)


@pytest.mark.parametrize("depth", [200, 100_000])
def test_json_beyond_the_depth_limit_is_refused(depth: int) -> None:
    """Brackets nested beyond the limit are refused by saying so, in a field that nobody reads too."""
    with pytest.raises(BadRequest, match="nested too deeply"):
        decode(DECODER, HEAD + b',"unknown":' + b"[" * depth + b"]" * depth + b"}")


def test_the_body_must_be_an_object() -> None:
    """A top-level array is refused by saying that an object is expected."""
    with pytest.raises(BadRequest, match="must be a JSON object"):
        decode(DECODER, b"[]")


def test_extras_are_verbatim_and_only_the_unknown() -> None:
    """What is captured is exactly the unknown top-level fields, byte for byte."""
    found = extras(HEAD + b', "top_a" :  {"x": [1.50]} , "seed": 3}', frozenset({"model", "messages", "seed"}))

    assert found == {"top_a": Raw(b'{"x": [1.50]}')}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_bad_request(body: bytes) -> None:
    """No bytes raise anything but BadRequest."""
    with suppress(BadRequest):
        assert decode(DECODER, body).messages
