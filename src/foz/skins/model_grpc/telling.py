"""Whole answers as messages of the ModelService, in the words of the REST API's answers."""

from collections.abc import Mapping, MutableMapping

from msgspec import Raw

from foz.canon.event import ChoiceFinished, TokenLogprob
from foz.canon.response import Choice, EmbedResponse, Response
from foz.canon.usage import Usage
from foz.dialects.openai.chat.stream import say_reason
from foz.dialects.openai.completions import stream as completions
from foz.dialects.openai.embeddings import vectors
from foz.dialects.openai.frames import DIALECT
from foz.skins.model_grpc import model_pb2 as pb

FUNCTION = "function"


def chat(answer: Response, model: str) -> bytes:
    """A chat's answer."""
    said = pb.ChatCompletionResponse(id=answer.id, object="chat.completion", created=answer.created, model=model)
    for index, choice in enumerate(answer.choices):
        one = said.choices.add()
        if index:
            one.index = index
        reason(one, ChoiceFinished(choice.reason or "stop", index, choice.detail))
        _turn(one.message, choice)
        logprobs(one, choice.logprobs, choice.refusal_logprobs)
    if answer.usage is not None:
        counts(said.usage, answer.usage, answer.usage_vendor.get(DIALECT))
    extras(said.extra, answer.vendor.get(DIALECT))
    return said.SerializeToString()


def completion(answer: Response, model: str) -> bytes:
    """A completion's answer. A refusal is said as text: there is no other place for it."""
    said = pb.CompletionResponse(
        id=completions.say_id(answer.id), object="text_completion", created=answer.created, model=model
    )
    for index, choice in enumerate(answer.choices):
        one = said.choices.add(text=(choice.text or "") + (choice.refusal or ""), index=index)
        completion_reason(one, ChoiceFinished(choice.reason or "stop", index, choice.detail))
        logprobs(one, choice.logprobs + choice.refusal_logprobs, ())
        extras(one.extra, choice.vendor.get(DIALECT))
    if answer.usage is not None:
        counts(said.usage, answer.usage, answer.usage_vendor.get(DIALECT))
    extras(said.extra, answer.vendor.get(DIALECT))
    return said.SerializeToString()


def embeddings(answer: EmbedResponse, encoding: str, model: str) -> bytes:
    """Vectors."""
    said = pb.EmbeddingsResponse(object="list", model=model)
    for index, vector in enumerate(answer.vectors):
        one = said.data.add(object="embedding", index=index)
        written = vectors.say(vector, encoding)
        if isinstance(written, str):
            one.base64 = written
        else:
            one.embedding.extend(written)
    if answer.usage is not None and answer.usage.input is not None:
        said.usage.prompt_tokens = said.usage.total_tokens = answer.usage.input
    extras(said.extra, answer.vendor.get(DIALECT))
    return said.SerializeToString()


def _turn(said: pb.Message, choice: Choice) -> None:
    said.role = "assistant"
    if choice.text:
        said.content = choice.text
    if choice.refusal:
        said.refusal = choice.refusal
    if choice.reasoning:
        said.reasoning_content = "".join(block.text for block in choice.reasoning)
    for index, call in enumerate(choice.calls):
        called = pb.FunctionCall(name=call.name, arguments=call.arguments)
        said.tool_calls.add(id=call.id, type=FUNCTION, function=called, index=index)
    if choice.vendor:
        extras(said.extra, choice.vendor.get(DIALECT))


def reason(said: pb.Choice | pb.ChunkChoice, event: ChoiceFinished) -> None:
    """Why a chat's choice ended."""
    _say(said, say_reason(event.reason, event.detail, legacy=False))


def completion_reason(said: pb.CompletionChoice, event: ChoiceFinished) -> None:
    """Why a completion's choice ended."""
    _say(said, completions.say_reason(event))


def _say(said: pb.Choice | pb.ChunkChoice | pb.CompletionChoice, told: Mapping[str, object]) -> None:
    said.finish_reason = str(told["finish_reason"])
    if "stop_reason" in told:
        said.stop_reason = str(told["stop_reason"])


def logprobs(
    said: pb.Choice | pb.ChunkChoice | pb.CompletionChoice,
    text: tuple[TokenLogprob, ...],
    refusal: tuple[TokenLogprob, ...],
) -> None:
    """How likely the tokens were, where that is known."""
    if text:
        said.logprobs.content.extend(map(_token, text))
    if refusal:
        said.logprobs.refusal.extend(map(_token, refusal))


def _token(token: TokenLogprob) -> pb.TokenLogprob:
    said = pb.TokenLogprob(token=token.token, logprob=token.logprob, text_offset=token.offset)
    if token.bytes is not None:
        said.bytes = bytes(token.bytes)
    said.top_logprobs.extend(map(_token, token.top))
    return said


def counts(said: pb.Usage, usage: Usage, vendor: Mapping[str, Raw] | None) -> None:
    """Tokens, as far as they are known."""
    if usage.input is not None:
        said.prompt_tokens = usage.input
    if usage.output is not None:
        said.completion_tokens = usage.output
    if usage.input is not None and usage.output is not None:
        said.total_tokens = usage.input + usage.output
    if usage.cached is not None:
        said.prompt_tokens_details.cached_tokens = usage.cached
    if usage.cache_written is not None:
        said.prompt_tokens_details.cache_write_tokens = usage.cache_written
    if usage.reasoning is not None:
        said.completion_tokens_details.reasoning_tokens = usage.reasoning
    extras(said.extra, vendor)


def extras(said: MutableMapping[str, str], vendor: Mapping[str, Raw] | None) -> None:
    """What the target said beside it, as JSON text."""
    if vendor:
        for name, value in vendor.items():
            said[name] = bytes(value).decode()
