"""Which names a provider knows as its own."""

import pytest

from foz.providers.catalog import catalog
from foz.providers.naming import known

LISTED = frozenset({"llama3:latest", "qwen3:8b", "odd name"})


@pytest.mark.parametrize(
    ("provider", "name", "found"),
    [
        ("huggingface", "microsoft/DialoGPT-medium", "microsoft/DialoGPT-medium"),
        ("huggingface", "openai/gpt-oss-20b:fastest", "openai/gpt-oss-20b:fastest"),
        ("huggingface", "gpt2", None),
        ("huggingface", "a/b/c", None),
        ("huggingface", "../etc", None),
        ("huggingface", "a/b\n", None),
        ("ollama", "llama3", "llama3:latest"),
        ("ollama", "llama3:latest", "llama3:latest"),
        ("ollama", "qwen3", None),
        ("ollama", "odd name", "odd name"),
        ("ollama", "org/name", None),
        ("openai", "odd name", "odd name"),
        ("openai", "llama3", None),
    ],
)
def test_a_provider_knows_its_own(provider: str, name: str, found: str | None) -> None:
    """What is listed is known as it is; Hugging Face knows any id of its form, Ollama a listed one without `latest`."""
    assert known(catalog()[provider], name, LISTED) == found
