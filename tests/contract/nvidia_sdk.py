"""
The OpenAI SDK as NVIDIA's documents have it used: `python nvidia_sdk.py URL`, with the SDK first on the path. Facts are
printed as one JSON object; the test says what they must be.
"""

import sys
from typing import Any

import msgspec
import openai

URL = sys.argv[1]
CLIENT = openai.OpenAI(base_url=f"{URL}/v1", api_key="nvapi-test", max_retries=0, timeout=20)
V1, V15 = "nvidia/llama-3.3-nemotron-super-49b-v1", "nvidia/llama-3.3-nemotron-super-49b-v1.5"
NANO, THREE, SUPER = (
    "nvidia/nvidia-nemotron-nano-9b-v2",
    "nvidia/nemotron-3-nano-30b-a3b",
    "nvidia/nemotron-3-super-120b-a12b",
)
LLAMA = "meta/llama-3.1-8b-instruct"


def asked(model: str, system: str | None = None, **more: Any) -> dict[str, Any]:
    """What a model says of a question, whole: its text and what it thought."""
    messages: list[Any] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": "Rivers? 🌊"})
    message = CLIENT.chat.completions.create(model=model, messages=messages, extra_body=more).choices[0].message
    fields = message.model_dump()
    return {"text": message.content, "thoughts": fields.get("reasoning_content") or fields.get("reasoning")}


def streamed(model: str, **headers: str) -> dict[str, Any]:
    """The same in pieces."""
    text, thoughts, usage = "", "", None
    with CLIENT.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Rivers? 🌊"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=headers,
    ) as chunks:
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                fields = choice.delta.model_dump()
                text += choice.delta.content or ""
                thoughts += fields.get("reasoning_content") or fields.get("reasoning") or ""
    return {"text": text, "thoughts": thoughts, "usage": usage and usage.completion_tokens}


def told_of(call: Any) -> list[Any]:
    """What the SDK raises."""
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.body if isinstance(error.body, str) else str(error.body)]
    except openai.APIError as error:
        return [type(error).__name__, str(error)]
    return ["nothing was raised", ""]


def failures() -> dict[str, Any]:
    """Each refusal as the SDK takes it."""

    def status(number: int) -> Any:
        headers = {"x-simulate-status": str(number)}
        return lambda: CLIENT.chat.completions.create(
            model=LLAMA, messages=[{"role": "user", "content": "x"}], extra_headers=headers
        )

    found = {str(number): told_of(status(number)) for number in (400, 401, 402, 404, 429, 500)}
    found["key"] = told_of(CLIENT.with_options(api_key="nvapi-wrong").models.list)
    found["stream"] = told_of(lambda: streamed(LLAMA, **{"x-simulate-error": "2"}))
    found["side"] = told_of(lambda: CLIENT.embeddings.create(model="nvidia/nv-embedqa-e5-v5", input="a"))
    return found


def embeddings() -> dict[str, Any]:
    """A question and a passage of one text, by the field and by the model's name."""

    def place(model: str, side: str | None) -> list[float]:
        more: Any = {} if side is None else {"extra_body": {"input_type": side}}
        found: list[float] = CLIENT.embeddings.create(model=model, input="a river", **more).data[0].embedding
        return found

    query, passage = place("nvidia/nv-embedqa-e5-v5", "query"), place("nvidia/nv-embedqa-e5-v5", "passage")
    return {
        "differ": query != passage,
        "named": place("nvidia/nv-embedqa-e5-v5-query", None) == query,
        "symmetric": len(place("baai/bge-m3", None)),
    }


def main() -> None:
    """All of it."""
    facts = {
        "version": openai.__version__,
        "models": [model.id for model in CLIENT.models.list()],
        "plain": asked(LLAMA),
        "detailed": asked(V1, "detailed thinking on"),
        "detailed off": asked(V1, "detailed thinking off"),
        "slash": asked(V15, "/think"),
        "slash off": asked(V15, "/no_think"),
        "closing": asked(NANO),
        "template": asked(THREE),
        "template off": asked(THREE, chat_template_kwargs={"enable_thinking": False}),
        "super": asked(SUPER),
        "streamed": streamed(THREE, **{"x-simulate-fragment": "1"}),
        "streamed super": streamed(SUPER),
        "streamed closing": streamed(NANO),
        "embeddings": embeddings(),
        "failures": failures(),
    }
    sys.stdout.buffer.write(msgspec.json.encode(facts))


if __name__ == "__main__":
    main()
