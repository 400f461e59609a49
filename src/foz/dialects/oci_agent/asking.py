"""
A chat as an agent takes it: one message of the user's, for the session remembers what came before.

Where the session is the chat's own it remembers nothing: then the whole conversation is written into the message.
Results of tools are what was done for the agent (`performedActions`).
"""

from collections.abc import Iterable

from foz.canon.content import Media, Message, Opaque, Part, Refusal, Text, ToolResult
from foz.canon.fault import BadRequest, Unsupported
from foz.canon.request import ChatRequest
from foz.dialects.oci_agent.session import Wish

Wire = dict[str, object]
_NAMES = {"user": "User", "assistant": "Assistant"}


def say(request: ChatRequest, wish: Wish) -> Wire:
    """The body, without its session. Raises Unsupported or BadRequest."""
    _refuse(request)
    remembers = wish.session is not None or wish.channel is not None
    results = _last_results(request.messages)
    said: Wire = {"userMessage": _message(request.messages, remembers=remembers), "shouldStream": request.stream}
    if results:
        if not remembers:
            raise BadRequest(
                "An agent takes the result of a tool only in the session that called it: say sessionId, or channel "
                "and cuid.",
                field="messages",
            )
        said["performedActions"] = [_performed(result) for result in results]
    return said


def _refuse(request: ChatRequest) -> None:
    if request.choices != 1:
        raise Unsupported("An agent gives one answer.", field="n")
    if request.logprobs:
        raise Unsupported("An agent tells no logprobs.", field="logprobs")
    if request.response_format is not None and request.response_format.kind != "text":
        raise Unsupported("An agent answers in words: it takes no response format.", field="response_format")


def _words(parts: Iterable[Part]) -> str:
    words = []
    for part in parts:
        if isinstance(part, Text | Refusal):
            words.append(part.text)
        elif isinstance(part, ToolResult):
            words += [inner.text for inner in part.parts if isinstance(inner, Text)]
        elif isinstance(part, Media | Opaque):
            raise Unsupported("An agent takes words only, no pictures or files.", field="messages")
    return "\n".join(words)


def _last_results(messages: tuple[Message, ...]) -> list[ToolResult]:
    results: list[ToolResult] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results = [part for part in message.parts if isinstance(part, ToolResult)] + results
    return results


def _performed(result: ToolResult) -> Wire:
    return {
        "actionId": result.call_id,
        "performedActionType": "FUNCTION_CALLING_PERFORMED_ACTION",
        "functionCallOutput": _words((result,)),
    }


def _message(messages: tuple[Message, ...], *, remembers: bool) -> str:
    talk = [message for message in messages if message.role not in {"system", "developer"}]
    if remembers:
        last: list[str] = []
        for message in reversed(talk):
            if message.role != "user":
                break
            last.insert(0, _words(message.parts))
        return "\n".join(last)
    first = [_words(message.parts) for message in messages if message.role in {"system", "developer"}]
    if len(talk) == 1:
        return "\n\n".join([*first, _words(talk[0].parts)])
    lines = [f"{_NAMES.get(message.role, 'Tool')}: {_words(message.parts)}" for message in talk]
    return "\n\n".join([*first, *lines])
