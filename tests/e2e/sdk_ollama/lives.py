"""
A model's life through Ollama's Python SDK: `python -m tests.e2e.sdk_ollama.lives URL USERS-KEY`. What came of each step
is printed as one JSON object; the administrator's key is in `OLLAMA_API_KEY`.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from ollama import Client, ResponseError

NAME = "tiny:latest-q8_0"
HELLO = [{"role": "user", "content": "hi"}]


def refused(asked: Callable[[], Any]) -> tuple[int, str]:
    """The status and the words of a refusal."""
    try:
        answer = asked()
        if not hasattr(answer, "status"):
            list(answer or ())
    except ResponseError as error:
        return error.status_code, error.error
    return 200, ""


def main() -> None:
    """The program."""
    url, user = sys.argv[1:]
    client, other = Client(host=url), Client(host=url, headers={"authorization": f"Bearer {user}"})

    def said(name: str) -> Any:
        return client.chat(name, HELLO, options={"num_predict": 5, "temperature": 0}).message.content

    steps: dict[str, Any] = {"user": refused(lambda: other.pull(NAME))}
    steps["pulled"] = [part.model_dump(exclude_none=True) for part in client.pull(NAME, stream=True)]
    steps["said"] = said(NAME)
    steps["again"] = client.pull(NAME).status
    steps["there"] = other.pull(NAME).status
    steps["copied"] = client.copy(NAME, "twin").status
    steps["twin"] = said("twin")
    steps["created"] = [
        part.status for part in client.create("short", from_=NAME, parameters={"num_ctx": 512}, stream=True)
    ]
    steps["loaded"] = {model.model: model.context_length for model in client.ps().models}
    steps["system"] = refused(lambda: client.create("rude", from_=NAME, system="Be rude."))
    steps["users"] = refused(lambda: other.delete("twin"))
    steps["deleted"] = [client.delete(name).status for name in ("twin", "short", NAME)]
    steps["shown"] = refused(lambda: client.show(NAME))
    steps["nobody"] = refused(lambda: client.delete("nobody"))
    steps["unpulled"] = refused(lambda: client.pull("nowhere", stream=True))
    steps["unpulled_whole"] = refused(lambda: client.pull("nowhere"))
    steps["slashed"] = refused(lambda: client.pull("hf.co/someone/Model-GGUF:Q8_0"))
    steps["pushed"] = refused(lambda: client.push("twin"))
    steps["listed"] = [model.model for model in client.list().models]
    print(json.dumps(steps))  # noqa: T201 - it reports to the test


if __name__ == "__main__":
    main()
