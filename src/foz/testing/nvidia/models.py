"""
The models that the fake has, and what each does about thinking, as NVIDIA's documents have it: written here by hand,
not taken from what our profiles believe.
"""

from typing import Literal

from msgspec import Struct

Form = Literal["none", "tags", "closing", "reasoning_content", "reasoning"]
"""How thoughts come: not at all, in the text with both tags or only the closing one, or in a field."""
Switch = Literal["none", "detailed", "slash", "template"]
"""What is heard: words of the system's message, or fields for the chat template."""


class Chats(Struct, frozen=True):
    """A model that talks. `thinks` is what it does where nobody says."""

    form: Form = "none"
    switch: Switch = "none"
    thinks: bool = False
    put_off: int = 0
    """How often its calls are put off (202) before they are answered."""


class Embeds(Struct, frozen=True):
    """A model that places texts."""

    asymmetric: bool = True


CHATS = {
    "meta/llama-3.1-8b-instruct": Chats(),
    "nvidia/llama-3.3-nemotron-super-49b-v1": Chats("tags", "detailed"),
    "nvidia/llama-3.3-nemotron-super-49b-v1.5": Chats("tags", "slash", thinks=True),
    "nvidia/nvidia-nemotron-nano-9b-v2": Chats("closing", "slash", thinks=True),
    "nvidia/nemotron-3-nano-30b-a3b": Chats("reasoning_content", "template", thinks=True),
    "nvidia/nemotron-3-super-120b-a12b": Chats("reasoning", "template", thinks=True),
    "mistralai/mixtral-8x22b-instruct-v0.1": Chats(put_off=2),
}
EMBEDS = {
    "nvidia/nv-embedqa-e5-v5": Embeds(),
    "nvidia/llama-3.2-nv-embedqa-1b-v2": Embeds(),
    "baai/bge-m3": Embeds(asymmetric=False),
}
