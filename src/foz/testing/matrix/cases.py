"""
What is asked of every provider through every face: a request in our words, how the upstream misbehaves, and what the
caller must be told. The simulated model answers, so what it says is known.
"""

from msgspec import Raw, Struct

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat
from foz.canon.tool import ToolSpec

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
BEYOND_ASCII = "água 🌊👩\u200d🚀 海"
SAYS = "This is Foz's simulated model."
"""How its answers begin."""
_WEATHER = ToolSpec("weather", "The weather of a city.", Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'))  # fmt: skip


class Case(Struct, frozen=True):
    """One row of the matrix. What is asked is `request`; its model is each provider's own."""

    name: str
    request: ChatRequest
    simulate: tuple[tuple[str, str], ...] = ()
    """How the upstream misbehaves."""
    heard: tuple[str, ...] = ()
    """What the upstream must have been told, in this order."""
    begins: str = ""
    """How the answer begins."""
    holds: str = ""
    """What stands in it."""
    exactly: str | None = None
    """The whole answer, without white space around it."""
    words: int | None = None
    """The most words of the answer."""
    calls: tuple[str, ...] = ()
    """The cities that the calls name."""
    reason: str = "stop"
    keys: tuple[str, ...] = ()
    """The members of the object that the answer is, as JSON."""
    thinks: bool = False
    refused: int | None = None
    """The status of the upstream's refusal; 0 is silence."""
    broken: bool = False
    """The stream breaks after it began."""


def _user(*parts: Text | Media) -> Message:
    return Message("user", parts)


def _asking(text: str, *before: Message, **more: object) -> ChatRequest:
    return ChatRequest("", (*before, _user(Text(text))), **more)  # type: ignore[arg-type]  # each is a field of it


_HELLO = _asking("Where do rivers end?")
_STREAM = _asking("Where do rivers end?", stream=True)
_LONG = _asking("Where do rivers end? " * 10, stream=True)
_CALLED = ToolCall("call_1", "weather", '{"city":"Lisbon"}')
_RESULT = ChatRequest(
    "",
    (
        _user(Text("How is the weather in Lisbon?")),
        Message("assistant", (_CALLED,)),
        Message("tool", (ToolResult("call_1", (Text("eighteen degrees"),), "weather"),)),
    ),
    tools=(_WEATHER,),
)
_TURNS = _asking("And then?", _user(Text("Which is longest?")), Message("assistant", (Text("The Nile."),)))
_PICTURE = ChatRequest("", (_user(Text("What is it?"), Media("image", data=PIXEL, mime="image/png")),))
_SCHEMA = ResponseFormat("schema", "place", schema=Raw(
    b'{"type":"object","properties":{"city":{"type":"string"},"degrees":{"type":"integer"}},'
    b'"required":["city","degrees"],"additionalProperties":false}'))  # fmt: skip
_PLACE = "Lisbon has 18 degrees"
_ASKED = ("Where do rivers end?",)
_WHY, _WHY_STREAM = (_asking("Why?", reasoning=ReasoningWish("high"), stream=stream) for stream in (False, True))
_SHORT, _SHORT_STREAM = (_asking("Where do rivers end?", max_output=3, stream=stream) for stream in (False, True))
_ONE, _TWO = "How is the weather in Lisbon?", "How is the weather in Lisbon and Porto?"


CASES = (
    Case("plain", _HELLO, begins=SAYS, heard=("Where do rivers end?",)),
    Case(
        "system",
        _asking("Where do rivers end?", Message("system", (Text("Answer as a pilot."),))),
        begins=SAYS,
        heard=("Answer as a pilot.", "Where do rivers end?"),
    ),
    Case("turns", _TURNS, begins=SAYS, heard=("Which is longest?", "The Nile.", "And then?")),
    Case("stream", _STREAM, (("pace", "0.003"),), begins=SAYS, heard=("Where do rivers end?",)),
    Case("tools", _asking(_ONE, tools=(_WEATHER,)), heard=(_ONE,), calls=("Lisbon",), reason="tool_calls"),
    Case(
        "tools_stream",
        _asking(_ONE, tools=(_WEATHER,), stream=True),
        heard=(_ONE,),
        calls=("Lisbon",),
        reason="tool_calls",
    ),
    Case(
        "parallel_tools",
        _asking(_TWO, tools=(_WEATHER,)),
        heard=(_TWO,),
        calls=("Lisbon", "Porto"),
        reason="tool_calls",
    ),
    Case(
        "parallel_tools_stream",
        _asking(_TWO, tools=(_WEATHER,), stream=True),
        heard=(_TWO,),
        calls=("Lisbon", "Porto"),
        reason="tool_calls",
    ),
    Case("tool_result", _RESULT, heard=("Lisbon", "eighteen degrees"), holds="eighteen degrees"),
    Case("image", _PICTURE, heard=(PIXEL,), begins=SAYS),
    Case("json_schema", _asking(_PLACE, response_format=_SCHEMA), heard=(_PLACE,), keys=("city", "degrees")),
    Case("reasoning", _WHY, heard=("Why?",), thinks=True),
    Case("reasoning_stream", _WHY_STREAM, heard=("Why?",), thinks=True),
    Case("stop", _asking("Where do rivers end?", stop=("simulated",)), heard=_ASKED, exactly="This is Foz's"),
    Case("length", _SHORT, heard=_ASKED, words=3, reason="length"),
    Case("length_stream", _SHORT_STREAM, heard=_ASKED, words=3, reason="length"),
    Case("empty", _HELLO, (("words", "0"),), heard=_ASKED, exactly=""),
    Case("empty_stream", _STREAM, (("words", "0"),), heard=_ASKED, exactly=""),
    Case("unicode", _asking(BEYOND_ASCII), heard=(BEYOND_ASCII,), holds=BEYOND_ASCII),
    Case(
        "unicode_in_pieces",
        _asking(BEYOND_ASCII, stream=True),
        (("fragment", "1"),),
        heard=(BEYOND_ASCII,),
        holds=BEYOND_ASCII,
    ),
    *(
        Case(f"upstream_{status}{end}", asked, (("status", str(status)),), heard=_ASKED, refused=status)
        for status in (400, 401, 404, 429, 500)
        for end, asked in (("", _HELLO), ("_stream", _STREAM))
    ),
    Case("upstream_timeout", _HELLO, (("hang", "0"),), heard=_ASKED, refused=0),
    Case("upstream_timeout_stream", _STREAM, (("hang", "0"),), heard=_ASKED, refused=0),
    Case("upstream_cut", _HELLO, (("cut", "0"),), heard=_ASKED, refused=502),
    Case("upstream_cut_stream", _LONG, (("cut", "24"),), heard=_ASKED, broken=True),
)  # fmt: skip
"""A case of a name that ends in `_stream` or `_in_pieces` is another way to see what stands before it."""


def feature(case: Case) -> str:
    """What a face or a provider may be unable to say: the case's name without how it is seen."""
    return case.name.removesuffix("_stream").removesuffix("_in_pieces")
