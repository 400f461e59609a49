"""
A text to continue, where the target only chats: the prompt becomes one user turn, and what is answered is the text.

It is asked so where the model's profile or the provider's dialect has no completions. One prompt, in words; what a
conversation has no place for (a suffix, an echo, the best of several) is Unsupported and says so.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from msgspec import structs

from foz.canon.content import Message, Text
from foz.canon.fault import Unsupported
from foz.canon.model import Capability, Target
from foz.canon.request import ChatRequest, CompleteRequest, Operation, Request
from foz.ports.codec import ClientCodec, Speech
from foz.ports.line import Line


def can_do(operations: AbstractSet[Operation], wanted: Operation) -> bool:
    """Whether what can do these can be asked for that."""
    return wanted in operations or (wanted is Operation.COMPLETE and Operation.CHAT in operations)


def as_chat(request: Request) -> Request:
    """The same as a conversation. Raises Unsupported, naming the field."""
    if not isinstance(request, CompleteRequest):
        return request
    if len(request.prompts) != 1 or not isinstance(request.prompts[0], str):
        raise _unsupported("prompt", "it takes one prompt, as text")
    if request.suffix:
        raise _unsupported("suffix", "it cannot write what stands before a given text")
    if request.echo:
        raise _unsupported("echo", "it does not repeat the prompt")
    if request.best_of is not None and request.best_of > request.choices:
        raise _unsupported("best_of", "it does not choose the best of several")
    return ChatRequest(
        model=request.model,
        messages=(Message("user", (Text(request.prompts[0]),)),),
        sampling=request.sampling,
        max_output=request.max_output,
        choices=request.choices,
        stop=request.stop,
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs or None,
        stream=request.stream,
        wants_usage=request.wants_usage,
        user=request.user,
        vendor=request.vendor,
    )


def _unsupported(field: str, why: str) -> Unsupported:
    return Unsupported(f"The model only chats, so '{field}' is not supported: {why}.", field=field)


def unthinking(request: Request) -> Request:
    """The same without the wish that it shall not think: who cannot need not be told, and may know no word for it."""
    wish = request.reasoning if isinstance(request, ChatRequest) else None
    if wish is None or not (wish.enabled is False or wish.effort == "none" or wish.budget == 0):
        return request
    return structs.replace(request, reasoning=None)


def as_it_is(request: Request) -> Request:
    """The same."""
    return request


class Spoken(NamedTuple):
    """How a target is asked for an operation."""

    speech: Speech
    client: ClientCodec
    asked: Callable[[Request], Request] = as_it_is
    """What is asked instead of the request."""


def spoken(line: Line, target: Target, operation: Operation) -> Spoken:
    """How to ask this target for it. Raises Unsupported."""
    speech = _said(line, target, operation)
    if speech is not None and speech.client is not None and operation in target.profile.operations:
        thinks = Capability.REASONING not in target.profile.lacks
        return Spoken(speech, speech.client, as_it_is if thinks else unthinking)
    chat = _said(line, target, Operation.CHAT) if operation is Operation.COMPLETE else None
    if chat is not None and chat.client is not None:
        return Spoken(Speech(chat.dialect, client=chat.client, by_request=chat.by_request), chat.client, as_chat)
    raise Unsupported(f"{target.name} has no {operation} operation")


def _said(line: Line, target: Target, operation: Operation) -> Speech | None:
    speech = line.speech.get(operation)
    return None if speech is None else speech.about(target.model)
