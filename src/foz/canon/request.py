"""
What is asked for, in our words.

`Ask` is the handful of facts that routing, admission and the ledger need; both lanes have it.
The requests below are the whole matter; only the translate lane builds them.
`vendor` holds fields that only one dialect knows, verbatim, keyed by dialect and replayed only to it.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Raw, Struct

from foz.canon.content import Message
from foz.canon.tool import ToolChoice, ToolSpec

Vendor = dict[str, dict[str, Raw]]


class Operation(StrEnum):
    """What a caller may want of a model."""

    CHAT = "chat"
    COMPLETE = "complete"
    EMBED = "embed"


class Mode(StrEnum):
    """Where it may run."""

    AUTO = "auto"
    GPU = "gpu"
    API = "api"


class Attribution(Struct, frozen=True):
    """For whose purposes; free words of the caller, for the ledger."""

    project: str | None = None
    process_id: str | None = None
    subprocess_id: str | None = None
    user_key: str | None = None


NOBODY = Attribution()


def over(said: Attribution, otherwise: Attribution) -> Attribution:
    """What is said, and for what is not: what was said otherwise."""
    if said is NOBODY or otherwise is NOBODY:
        return otherwise if said is NOBODY else said
    return Attribution(
        project=said.project if said.project is not None else otherwise.project,
        process_id=said.process_id if said.process_id is not None else otherwise.process_id,
        subprocess_id=said.subprocess_id if said.subprocess_id is not None else otherwise.subprocess_id,
        user_key=said.user_key if said.user_key is not None else otherwise.user_key,
    )


class Ask(Struct, frozen=True):
    """The facts of a request that the core decides on."""

    operation: Operation
    model: str
    stream: bool = False
    needs: frozenset[str] = frozenset()
    """Capabilities the target must have: see `canon.model.Capability`."""
    choices: int = 1
    max_output: int | None = None
    wants_usage: bool = True
    """False where a stream's caller did not ask for usage: it is metered, not shown."""
    attribution: Attribution = NOBODY
    """What the body says; it wins over what headers say."""
    mode: Mode = Mode.AUTO
    files: frozenset[str] = frozenset()
    """Ids of files that were uploaded here and that the request names."""
    translated: bool = False
    """True where its body is not in the dialect that its skin relays."""
    seconds: float | None = None
    """What the caller gives the call, all attempts together; a target's own patience may be shorter."""
    key: str | None = None
    """Where it becomes a job: the caller's name for it, by which the same submission is known again."""
    idle: bool = False
    """Nothing is asked: the caller only wants to know that the model can be. Nobody else is asked either."""


class ResponseFormat(Struct, frozen=True):
    """`json` is any JSON object; `schema` is JSON that satisfies `schema`."""

    kind: Literal["text", "json", "schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ReasoningWish(Struct, frozen=True):
    """How much to think: a level in the vendors' common words, or a budget of tokens, or on and off."""

    effort: str | None = None
    budget: int | None = None
    enabled: bool | None = None


class Sampling(Struct, frozen=True):
    """How the next token is drawn. None leaves it to the target."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None


class ChatRequest(Struct, frozen=True):
    """A conversation to continue."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningWish | None = None
    sampling: Sampling = Sampling()
    max_output: int | None = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int | None = None
    stream: bool = False
    wants_usage: bool = True
    user: str | None = None
    vendor: Vendor = {}


Prompt = str | tuple[int, ...]
"""Text, or the tokens of it."""


class CompleteRequest(Struct, frozen=True):
    """Texts to continue, each `choices` times. Choice index = prompt index * choices + j."""

    model: str
    prompts: tuple[Prompt, ...]
    suffix: str | None = None
    echo: bool = False
    sampling: Sampling = Sampling()
    max_output: int | None = None
    choices: int = 1
    best_of: int | None = None
    logprobs: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    wants_usage: bool = True
    user: str | None = None
    vendor: Vendor = {}


class EmbedRequest(Struct, frozen=True):
    """Texts to place in a space. `encoding` is how the caller wants the numbers written."""

    model: str
    inputs: tuple[Prompt, ...]
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    user: str | None = None
    vendor: Vendor = {}


Request = ChatRequest | CompleteRequest | EmbedRequest
