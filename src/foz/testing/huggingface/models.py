"""
The models that the fake has, by what serves them: TGI, plain transformers, an embedding server, or the router's chat.

What a server refuses of its parameters is written here by hand, not taken from what our dialect believes.
"""

from typing import Literal

from msgspec import Struct

Engine = Literal["tgi", "transformers", "embeddings", "tokens", "router"]


class Served(Struct, frozen=True):
    """What a model does, and what serves it."""

    task: str
    engine: Engine


GENERATION, FROM_TEXT, FEATURES = "text-generation", "text2text-generation", "feature-extraction"
MODELS = {
    "microsoft/DialoGPT-medium": Served(GENERATION, "transformers"),
    "microsoft/DialoGPT-large": Served(GENERATION, "transformers"),
    "facebook/blenderbot-400M-distill": Served(FROM_TEXT, "transformers"),
    "google/flan-t5-base": Served(FROM_TEXT, "transformers"),
    "EleutherAI/gpt-neo-2.7B": Served(GENERATION, "tgi"),
    "bigscience/bloom-560m": Served(GENERATION, "tgi"),
    "BAAI/bge-small-en-v1.5": Served(FEATURES, "embeddings"),
    "sentence-transformers/all-MiniLM-L6-v2": Served(FEATURES, "embeddings"),
    "google-bert/bert-base-uncased": Served(FEATURES, "tokens"),
    "meta-llama/Llama-3.1-8B-Instruct": Served("conversational", "router"),
    "Qwen/Qwen3-8B": Served("conversational", "router"),
    "openai/gpt-oss-20b": Served("conversational", "router"),
}
PROVIDERS = ("together", "novita", "fireworks-ai", "featherless-ai", "hf-inference")
POLICIES = ("fastest", "cheapest", "preferred")
"""What may stand behind a model's name, after a colon."""
_GENERATE = {
    "max_new_tokens", "min_length", "max_length", "temperature", "top_k", "top_p", "repetition_penalty", "do_sample",
    "max_time", "num_return_sequences", "typical_p",
}  # fmt: skip
TRANSFORMERS = {GENERATION: frozenset({*_GENERATE, "return_full_text"}), FROM_TEXT: frozenset(_GENERATE)}
"""What `generate` takes; anything else it refuses by name."""
