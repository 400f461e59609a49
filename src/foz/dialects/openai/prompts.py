"""What `prompt` and `input` hold: a text, its tokens, or a list of either."""

from collections.abc import Sequence

from foz.canon.fault import BadRequest
from foz.canon.request import Prompt
from foz.dialects.openai.fields import refusal

MAX_PROMPTS = 2048

Wire = str | list[str | int | list[int]]


def hear(value: Wire, field: str) -> tuple[Prompt, ...]:
    """The prompts in our words. Raises BadRequest where the list is empty, too long, or of several kinds."""
    if isinstance(value, str):
        return (value,)
    if not value:
        raise _empty(field)
    if all(isinstance(item, int) for item in value):
        return (tuple(item for item in value if isinstance(item, int)),)
    if len(value) > MAX_PROMPTS:
        raise refusal(
            f"Invalid '{field}': array too long. Expected an array with maximum length {MAX_PROMPTS}, "
            f"but got an array with length {len(value)} instead.",
            field,
            "array_above_max_length",
        )
    kind = type(value[0])
    prompts: list[Prompt] = []
    for position, item in enumerate(value):
        if isinstance(item, int) or type(item) is not kind:
            raise refusal(
                f"Invalid type for '{field}[{position}]': a list holds texts only, tokens only, "
                "or lists of tokens only.",
                f"{field}[{position}]",
                "invalid_type",
            )
        if item == []:
            raise _empty(f"{field}[{position}]")
        prompts.append(item if isinstance(item, str) else tuple(item))
    return tuple(prompts)


def say(prompts: Sequence[Prompt]) -> Prompt | Sequence[Prompt]:
    """As it is written: one prompt stands alone, since not every server takes lists."""
    return prompts[0] if len(prompts) == 1 else prompts


def _empty(field: str) -> BadRequest:
    return refusal(
        f"Invalid '{field}': empty array. Expected an array with minimum length 1, but got an empty one instead.",
        field,
        "empty_array",
    )
