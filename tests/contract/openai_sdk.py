"""
The official OpenAI SDK's whole surface as a program: `python openai_sdk.py BASE_URL MODEL [SURFACE...]`.

Run with one of the SDKs that setting up puts beside the environment first on the path. Each surface gives facts,
and all facts are printed as one JSON object; the tests that start it say what they must be.
"""

import sys
from typing import Any

import msgspec
import openai
from pydantic import BaseModel

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Person(BaseModel):
    """What is asked of the model in a form."""

    name: str
    age: int


class Session:
    """One client and the model it asks."""

    def __init__(self, base_url: str, model: str) -> None:
        self.client = openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0, timeout=20)
        self.model = model

    def chat(self) -> dict[str, Any]:
        """A whole answer."""
        answer = self.client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": "Hello there"}], n=2, seed=7
        )
        return {
            "texts": [choice.message.content for choice in answer.choices],
            "reasons": [choice.finish_reason for choice in answer.choices],
            "usage": answer.usage and answer.usage.total_tokens,
            "request_id": answer._request_id,
        }

    def stream(self) -> dict[str, Any]:
        """The same in pieces."""
        pieces: list[str] = []
        usage = None
        with self.client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": "Hello there"}],
            stream=True,
            stream_options={"include_usage": True},
        ) as chunks:
            for chunk in chunks:
                usage = chunk.usage or usage
                pieces += [choice.delta.content or "" for choice in chunk.choices]
        return {"pieces": pieces, "usage": usage and usage.total_tokens}

    def tools(self) -> dict[str, Any]:
        """Calls, and the answer to their results."""
        messages: list[Any] = [{"role": "user", "content": "Weather in Paris and Tokyo?"}]
        first = self.client.chat.completions.create(model=self.model, messages=messages, tools=[WEATHER]).choices[0]
        calls = first.message.tool_calls or []
        messages.append(first.message)
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "22 degrees"} for call in calls]
        last = self.client.chat.completions.create(model=self.model, messages=messages, tools=[WEATHER]).choices[0]
        return {
            "reason": first.finish_reason,
            "arguments": [msgspec.json.decode(call.function.arguments) for call in calls],
            "text": last.message.content,
        }

    def streamed_tools(self) -> dict[str, Any]:
        """Calls in pieces, joined by the SDK."""
        with self.client.chat.completions.stream(
            model=self.model, messages=[{"role": "user", "content": "Weather in Paris and Tokyo?"}], tools=[WEATHER]
        ) as stream:
            stream.until_done()
            calls = stream.get_final_completion().choices[0].message.tool_calls or []
        return {"arguments": [msgspec.json.decode(call.function.arguments) for call in calls]}

    def structured(self) -> dict[str, Any]:
        """An answer in a form, parsed by the SDK."""
        answer = self.client.chat.completions.parse(
            model=self.model, messages=[{"role": "user", "content": "Meet Ada, 36 years old"}], response_format=Person
        )
        person = answer.choices[0].message.parsed
        return {"person": person and person.model_dump()}

    def thoughts(self) -> dict[str, Any]:
        """Reasoning and logprobs."""
        answer = self.client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": "Hello"}],
            reasoning_effort="low",
            logprobs=True,
            top_logprobs=2,
        )
        details = answer.usage and answer.usage.completion_tokens_details
        tokens = (answer.choices[0].logprobs and answer.choices[0].logprobs.content) or []
        return {
            "reasoning": details and details.reasoning_tokens,
            "tokens": [token.token for token in tokens],
            "text": answer.choices[0].message.content,
            "top": {len(token.top_logprobs) for token in tokens},
        }

    def embeddings(self) -> dict[str, Any]:
        """Vectors, as the SDK asks for them by itself (base64) and as floats."""
        plain = self.client.embeddings.create(model=self.model, input=["a river", "a tax"])
        floats = self.client.embeddings.create(model=self.model, input=["a river", "a tax"], encoding_format="float")
        small = self.client.embeddings.create(model=self.model, input="x", dimensions=8)
        return {
            "same": [list(row.embedding) for row in plain.data] == [row.embedding for row in floats.data],
            "sizes": [len(row.embedding) for row in (*plain.data, *small.data)],
        }

    def completions(self) -> dict[str, Any]:
        """The legacy operation, whole and in pieces."""
        whole = self.client.completions.create(model=self.model, prompt=["one", "two"], n=2, max_tokens=5, echo=True)
        pieces = self.client.completions.create(model=self.model, prompt="one", stream=True, max_tokens=5)
        return {
            "texts": [choice.text for choice in whole.choices],
            "reasons": [choice.finish_reason for choice in whole.choices],
            "streamed": "".join(chunk.choices[0].text for chunk in pieces if chunk.choices),
        }

    def models(self) -> dict[str, Any]:
        """The list, and one of it."""
        listed = [model.id for model in self.client.models.list()]
        return {"listed": listed, "shown": self.client.models.retrieve(self.model).id}

    def errors(self) -> dict[str, Any]:
        """Which exception the SDK makes of a wrong request."""
        found: dict[str, Any] = {}
        for name, wrong in (("messages", {"messages": []}), ("n", {"n": "many"}), ("temperature", {"temperature": 99})):
            try:
                self.client.post(
                    "/chat/completions",
                    cast_to=object,
                    body={"model": self.model, "messages": [{"role": "user", "content": "x"}], **wrong},
                )
                found[name] = "no error"
            except openai.APIStatusError as error:
                found[name] = [type(error).__name__, error.status_code, getattr(error, "param", None)]
        return found

    def failures(self) -> dict[str, Any]:
        """Which exception the SDK makes of a status, and of an error in a stream; needs test mode."""
        ask: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}]}
        found: dict[str, Any] = {}
        for status in (400, 401, 403, 404, 409, 422, 429, 503):
            try:
                self.client.chat.completions.create(**ask, extra_headers={"x-simulate-status": str(status)})
            except openai.APIStatusError as error:
                found[str(status)] = type(error).__name__
        pieces = 0
        try:
            for _ in self.client.chat.completions.create(**ask, stream=True, extra_headers={"x-simulate-error": "2"}):
                pieces += 1
        except openai.APIError as error:
            found["error in the stream"] = type(error).__name__
        return {**found, "pieces before it": pieces}

    def retries(self) -> dict[str, Any]:
        """A target that fails twice; needs test mode."""
        failing = {"x-simulate-status": "503", "x-simulate-times": "2", "x-simulate-id": f"sdk-{openai.__version__}"}
        answer = self.client.with_options(max_retries=2).chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": "Hello"}],
            extra_headers={**failing, "x-simulate-retry-after": "0.01"},
        )
        return {"text": answer.choices[0].message.content}

    def files(self) -> dict[str, Any]:
        """A file, from its upload to its end; of gateways only."""
        api = self.client.files
        expires: Any = {"anchor": "created_at", "seconds": 3600}
        kept = api.create(file=("nota.txt", b"Rivers end in seas."), purpose="user_data", expires_after=expires)
        listed = [one.id for one in api.list(limit=1)]
        question: Any = [
            {"type": "text", "text": "Where?"},
            {"type": "file", "file": {"file_id": kept.id}},
        ]
        answer = self.client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": question}], max_tokens=500
        )
        found = {
            "listed": listed == [kept.id],
            "shown": api.retrieve(kept.id) == kept,
            "read": api.content(kept.id).read().decode(),
            "name": kept.filename,
            "seconds": (kept.expires_at or 0) - kept.created_at,
            "said": answer.choices[0].message.content,
            "deleted": api.delete(kept.id).deleted,
        }
        try:
            api.retrieve(kept.id)
        except openai.APIStatusError as error:
            found["gone"] = type(error).__name__
        return found


SURFACES = (
    "chat", "stream", "tools", "streamed_tools", "structured", "thoughts", "embeddings", "completions", "models",
    "errors", "failures", "retries",
)  # fmt: skip


def main(base_url: str, model: str, *wanted: str) -> None:
    """Prints the facts of the surfaces that are wanted, or of all."""
    session = Session(base_url, model)
    facts = {name: getattr(session, name)() for name in wanted or SURFACES}
    sys.stdout.write(msgspec.json.encode({"version": openai.__version__, **facts}).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
