"""
Ollama's own SDK as a program: `python ollama_sdk.py URL [SURFACE...]`.

Run with the SDK that setting up puts beside the environment first on the path. Each surface gives facts, and all
facts are printed as one JSON object; the tests that start it say what they must be.
"""

import sys
from importlib.metadata import version
from typing import Any

import msgspec
import ollama
from ollama._client import _parse_host

MODEL = "simulated"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "of a place",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
PIXEL = bytes.fromhex("89504e470d0a1a0a")


def says(text: str) -> Any:
    """A conversation of one turn."""
    return [{"role": "user", "content": text}]


class Session:
    """One client."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = ollama.Client(host=url, timeout=20)

    def mischief(self, **asked: object) -> Any:
        """A client whose calls go wrong."""
        headers = {f"x-simulate-{name.replace('_', '-')}": str(value) for name, value in asked.items()}
        return ollama.Client(host=self.url, timeout=20, headers=headers)

    def chat(self) -> dict[str, Any]:
        """A whole answer."""
        answer = self.client.chat(MODEL, says("Hello there"), options={"seed": 7, "temperature": 0.5})
        return dict(answer.model_dump())

    def stream(self) -> dict[str, Any]:
        """The same in pieces."""
        chunks = list(self.client.chat(MODEL, says("Hello 🌊 👩‍👩‍👧 Fluß"), stream=True))
        return {"pieces": [chunk.message.content for chunk in chunks], "last": chunks[-1].model_dump()}

    def fragments(self) -> dict[str, Any]:
        """The same a byte at a time, so that no character comes whole."""
        chunks = list(self.mischief(fragment=1).chat(MODEL, says("Hello 🌊 👩‍👩‍👧 Fluß"), stream=True))
        return {"pieces": [chunk.message.content for chunk in chunks]}

    def tools(self) -> dict[str, Any]:
        """Calls, and the answer to their results."""
        messages: list[Any] = says("Weather in Paris and Tokyo?")
        first = self.client.chat(MODEL, messages, tools=[WEATHER])
        calls = first.message.tool_calls or []
        messages.append(first.message)
        messages += [{"role": "tool", "tool_name": call.function.name, "content": "22 degrees"} for call in calls]
        last = self.client.chat(MODEL, messages, tools=[WEATHER])
        streamed = [
            call.function.arguments
            for chunk in self.client.chat(MODEL, messages[:1], tools=[WEATHER], stream=True)
            for call in chunk.message.tool_calls or []
        ]
        return {
            "reason": first.done_reason,
            "names": [call.function.name for call in calls],
            "arguments": [call.function.arguments for call in calls],
            "streamed": streamed,
            "text": last.message.content,
        }

    def thinking(self) -> dict[str, Any]:
        """Thoughts: on, at a level, off, streamed."""
        on, low, off = (self.client.chat(MODEL, says("Hello"), think=think) for think in (True, "low", False))
        streamed = [chunk.message for chunk in self.client.chat(MODEL, says("Hello"), think=True, stream=True)]
        return {
            "on": on.message.thinking,
            "low": low.message.thinking,
            "off": off.message.thinking,
            "streamed": "".join(message.thinking or "" for message in streamed),
            "text": on.message.content == "".join(message.content or "" for message in streamed),
        }

    def forms(self) -> dict[str, Any]:
        """JSON, a schema, logprobs, a limit."""
        loose = self.client.chat(MODEL, says("Meet Ada"), format="json").message.content
        strict = self.client.chat(MODEL, says("Meet Ada, 36 years old"), format=PERSON).message.content
        likely = self.client.chat(MODEL, says("Hello"), logprobs=True, top_logprobs=2)
        short = self.client.chat(MODEL, says("Hello"), options={"num_predict": 3})
        return {
            "loose": isinstance(msgspec.json.decode(loose), dict),
            "strict": msgspec.json.decode(strict),
            "tokens": "".join(token.token for token in likely.logprobs or []) == likely.message.content,
            "top": {len(token.top_logprobs or []) for token in likely.logprobs or []} == {2},
            "short": [short.done_reason, short.eval_count],
        }

    def images(self) -> dict[str, Any]:
        """A picture, as bytes."""
        turn = {"role": "user", "content": "What is this?", "images": [PIXEL]}
        return {"text": self.client.chat(MODEL, [turn]).message.content}

    def generate(self) -> dict[str, Any]:
        """A text to continue, whole and in pieces."""
        whole = self.client.generate(MODEL, "Once upon a time")
        pieces = list(self.client.generate(MODEL, "Once upon a time", stream=True))
        return {
            "same": whole.response == "".join(piece.response or "" for piece in pieces),
            "done": [whole.done, pieces[-1].done, pieces[0].done],
            "counts": [whole.eval_count, pieces[-1].eval_count],
            "context": whole.context,
        }

    def embed(self) -> dict[str, Any]:
        """Vectors."""
        many = self.client.embed("simulated-embed", ["a river", "a tax"], dimensions=8)
        one = self.client.embed("simulated-embed", "a river", dimensions=8)
        return {
            "sizes": [len(vector) for vector in many.embeddings],
            "same": list(many.embeddings[0]) == list(one.embeddings[0]),
            "counted": many.prompt_eval_count,
        }

    def models(self) -> dict[str, Any]:
        """What it has."""
        listed = self.client.list().models
        return {
            "listed": [each.model for each in listed],
            "sizes": [each.details.quantization_level for each in listed if each.details],
            "running": [each.model for each in self.client.ps().models],
            "shown": self.client.show(MODEL).capabilities,
        }

    def errors(self) -> dict[str, Any]:
        """What the SDK raises."""
        ask: Any = {"model": MODEL, "messages": says("Hello")}
        tried: dict[str, tuple[Any, dict[str, Any]]] = {
            "unknown": (self.client, {**ask, "model": "nobody"}),
            "wrong level": (self.client, {**ask, "think": "much"}),
            "cannot think": (self.client, {**ask, "model": "simulated-plain", "think": True}),
            "cannot call": (self.client, {**ask, "model": "simulated-plain", "tools": [WEATHER]}),
            "cannot chat": (self.client, {**ask, "model": "simulated-embed"}),
        }
        tried |= {str(status): (self.mischief(status=status), ask) for status in (400, 401, 404, 429, 500)}
        tried["429 in a stream"] = (self.mischief(status=429), {**ask, "stream": True})
        tried["breaks off"] = (self.mischief(error=2), {**ask, "stream": True})
        found = {}
        for name, (client, asked) in tried.items():
            pieces = 0
            try:
                answer = client.chat(**asked)
                for _ in answer if asked.get("stream") else ():
                    pieces += 1
                found[name] = ["no error", "", pieces]
            except ollama.ResponseError as error:
                found[name] = [error.status_code, error.error, pieces]
        return found

    def cut(self) -> dict[str, Any]:
        """A stream whose connection ends early, and one that says nothing."""
        pieces = []
        try:
            for chunk in self.mischief(cut=3).chat(MODEL, says("Hello"), stream=True):
                pieces += [chunk.done]
        except Exception as error:  # noqa: BLE001 - whichever the SDK's transport raises is told by its name
            pieces.append(type(error).__name__)
        silent = self.mischief(words=0).chat(MODEL, says("Hello"))
        return {"pieces": pieces, "silent": [silent.message.content, silent.done, silent.eval_count]}


def hosts(*said: str) -> dict[str, str]:
    """What the SDK makes of each form of `OLLAMA_HOST`."""
    return {each: _parse_host(each) for each in said}


SURFACES = (
    "chat", "stream", "fragments", "tools", "thinking", "forms", "images", "generate", "embed", "models", "errors",
    "cut",
)  # fmt: skip


def main(url: str, *wanted: str) -> None:
    """Prints the facts of all surfaces; or, where the URL is `hosts`, what the SDK makes of the forms that follow."""
    if url == "hosts":
        facts: dict[str, Any] = hosts(*wanted)
    else:
        session = Session(url)
        facts = {name: getattr(session, name)() for name in wanted or SURFACES}
    sys.stdout.buffer.write(msgspec.json.encode({"version": version("ollama"), **facts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
