"""
Hugging Face's own client as a program: `python huggingface_sdk.py URL`, with the client first on the path and the
environment's `HF_ENDPOINT` set to the same URL. Facts are printed as one JSON object; the test says what they must be.
"""

import sys
from typing import Any

import huggingface_hub
import msgspec
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

URL = sys.argv[1]
constants.INFERENCE_PROXY_TEMPLATE = f"{URL}/{{provider}}"  # the client has no other way to say where the router is
from huggingface_hub import InferenceClient  # noqa: E402 - it reads the template as it is loaded
from huggingface_hub.errors import (  # noqa: E402 - as above
    GenerationError,
    IncompleteGenerationError,
    OverloadedError,
    ValidationError,
)

NEO, DIALOG = "EleutherAI/gpt-neo-2.7B", "microsoft/DialoGPT-medium"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
HELLO: Any = [{"role": "user", "content": "Hello there 🌊"}]


def client(**headers: str) -> InferenceClient:
    """`hf-inference`, by the model's own path."""
    return InferenceClient(provider="hf-inference", api_key="hf_test", headers=headers, timeout=20)


def router(**headers: str) -> InferenceClient:
    """The router's chat."""
    return InferenceClient(base_url=URL, api_key="hf_test", headers=headers, timeout=20)


def chat() -> dict[str, Any]:
    """Whole."""
    answer = router().chat_completion(HELLO, model=f"{LLAMA}:together", max_tokens=50)
    return {
        "text": answer.choices[0].message.content,
        "reason": answer.choices[0].finish_reason,
        "model": answer.model,
        "usage": answer.usage.total_tokens,
    }


def chat_stream() -> dict[str, Any]:
    """In pieces, each byte on its own."""
    pieces = []
    usage = None
    asked = router(**{"x-simulate-fragment": "1"})
    for chunk in asked.chat_completion(HELLO, model=LLAMA, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        pieces += [choice.delta.content or "" for choice in chunk.choices]
    return {"pieces": pieces, "usage": usage and usage.total_tokens}


def generation() -> dict[str, Any]:
    """Whole, with all that TGI tells."""
    answer = client().text_generation(
        "The river",
        model=NEO,
        details=True,
        max_new_tokens=8,
        temperature=0.5,
        stop=["simulated"],
        top_n_tokens=2,
        return_full_text=False,
    )
    return {
        "text": answer.generated_text,
        "reason": answer.details.finish_reason,
        "tokens": answer.details.generated_tokens,
        "told": "".join(token.text for token in answer.details.tokens if not token.special),
        "repeated": str(client().text_generation("a", model=DIALOG, details=True)),
        "plain": client().text_generation("The river", model=DIALOG, max_new_tokens=4, return_full_text=False),
    }


def generation_stream() -> dict[str, Any]:
    """Token by token."""
    asked = client(**{"x-simulate-fragment": "1"})
    told = list(asked.text_generation("Rivers 🌊", model=NEO, stream=True, details=True, max_new_tokens=6))
    end = told[-1]
    return {
        "pieces": [one.token.text for one in told if not one.token.special],
        "text": end.generated_text,
        "reason": end.details and end.details.finish_reason,
        "tokens": end.details and end.details.generated_tokens,
    }


def features() -> dict[str, Any]:
    """Vectors of every depth."""
    pooled, wide = "BAAI/bge-small-en-v1.5", "google-bert/bert-base-uncased"
    return {
        "one": list(client().feature_extraction("a river", model=pooled, normalize=True).shape),
        "tokens": list(client().feature_extraction("a long river", model=wide).shape),
    }


def told_of(call: Any) -> list[Any]:
    """What the client raises."""
    try:
        call()
    except HfHubHTTPError as error:
        return [type(error).__name__, error.response.status_code, str(error)]
    except (GenerationError, IncompleteGenerationError, OverloadedError, ValidationError) as error:
        return [type(error).__name__, None, str(error)]
    return ["nothing was raised", None, ""]


def failures() -> dict[str, Any]:
    """Each refusal as the client takes it."""

    def asked(**headers: str) -> Any:
        return lambda: client(**headers).text_generation("a", model=NEO)

    def streamed() -> None:
        kept = client(**{"x-simulate-error": "2"})  # it closes its streams when it is forgotten
        for _ in kept.text_generation("a", model=NEO, stream=True):
            pass

    return {
        "400": told_of(asked(**{"x-simulate-status": "400"})),
        "422": told_of(lambda: client().text_generation("a", model=NEO, top_p=1.0)),
        "404": told_of(
            lambda: InferenceClient(base_url=f"{URL}/hf-inference/models/acme/none", api_key="hf_test").text_generation(
                "a"
            )
        ),
        "hub": told_of(lambda: client().text_generation("a", model="acme/none")),
        "429": told_of(asked(**{"x-simulate-status": "429"})),
        "500": told_of(asked(**{"x-simulate-status": "500"})),
        "loading": told_of(asked(**{"x-simulate-status": "503", "x-simulate-retry-after": "20"})),
        "stream": told_of(streamed),
        "key": told_of(
            lambda: InferenceClient(provider="hf-inference", api_key="hf_wrong").text_generation("a", model=NEO)
        ),
        "router": told_of(lambda: router().chat_completion(HELLO, model="acme/nothing")),
    }


def main() -> None:
    """All of it."""
    facts: dict[str, Any] = {"version": huggingface_hub.__version__}
    for surface in (chat, chat_stream, generation, generation_stream, features, failures):
        facts[surface.__name__] = surface()
    sys.stdout.buffer.write(msgspec.json.encode(facts))


if __name__ == "__main__":
    main()
