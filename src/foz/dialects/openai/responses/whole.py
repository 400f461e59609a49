"""
A whole answer that is one text, as most are, told at once. Its bytes are those that the encoder's own way comes to
(`stream.ResponseEncoder`); every other answer goes that way.
"""

from msgspec import Raw

from foz.canon.response import Response
from foz.dialects.openai.responses.saying import incomplete, say_usage
from foz.dialects.openai.responses.stream import LONGEST
from foz.wire import json

_TOLD = (
    b'{"id":"resp_%b","object":"response","created_at":%d,"status":"%b","model":%b,"error":null,'
    b'"incomplete_details":%b,"output":[{"id":"msg_%b0000","type":"message","status":"%b","role":"assistant",'
    b'"content":[{"type":"output_text","text":%b,"annotations":[],"logprobs":[]}]}],"usage":%b,%b'
)


def one_text(answer: Response, name: str, created: int, model: str, echo: Raw) -> bytes | None:
    """
    The body of an answer that is one text; None where it is not. Its id is `resp_` and the name: that and `created` are
    else the target's own.
    """
    if not answer.choices:
        return None
    choice = answer.choices[0]
    text = choice.text
    if not text or len(text) > LONGEST or choice.reasoning or choice.calls or choice.refusal or choice.logprobs:
        return None
    called = json.encode(name or answer.id)[1:-1]
    details = incomplete(choice.reason)
    status = b"completed" if details is None else b"incomplete"
    return _TOLD % (
        called,
        created or answer.created,
        status,
        json.encode(model),
        b"null" if details is None else json.encode(details),
        called,
        status,
        json.encode(text),
        b"null" if answer.usage is None else json.encode(say_usage(answer.usage)),
        bytes(echo)[1:],
    )
