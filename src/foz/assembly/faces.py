"""
Every skin of a process, made from its settings, and the endpoints that it has beside inference.

A skin is one line here; so are its endpoints: a router made by a module of `serve/http/faces/`.
"""

from collections.abc import Callable

from fastapi import APIRouter
from msgspec import Struct

from foz.config.settings import Settings
from foz.ports.skin import Skin
from foz.serve.http.desk import Desk
from foz.serve.http.faces import anthropic, model_api, nemotron, oci_proxy, ollama, ollama_host, openai
from foz.skins.anthropic import AnthropicSkin
from foz.skins.hf_chat.skin import HfChatSkin
from foz.skins.model_api.skin import ModelApiSkin
from foz.skins.nemotron.skin import NemotronSkin
from foz.skins.oci_proxy.names import AnyName, Names
from foz.skins.oci_proxy.skin import OciProxySkin
from foz.skins.ollama.skin import OllamaSkin
from foz.skins.ollama_host.skin import OllamaHostSkin
from foz.skins.openai import OpenAISkin


class Face(Struct, frozen=True):
    """A skin, and what it has on the control plane."""

    skin: Skin
    router: Callable[[Desk], APIRouter] | None = None


def _nemotron(model: str) -> Face:
    return Face(NemotronSkin(model), lambda desk: nemotron.router(desk, model))


FACES: tuple[Callable[[Settings], Face], ...] = (
    lambda _: Face(OpenAISkin(), openai.router),
    lambda _: Face(AnthropicSkin(), anthropic.router),
    lambda _: Face(ModelApiSkin(), model_api.router),
    lambda _: Face(HfChatSkin()),
    lambda _: Face(OllamaSkin(), ollama.router),
    lambda _: Face(OllamaHostSkin(), ollama_host.router),
    lambda settings: _nemotron(settings.nemotron.model),
)
"""All skins. The first one's words are the house's own, for paths that are nobody's."""


def faces(settings: Settings, names: Names | None = None) -> tuple[Face, ...]:
    """The faces of a process with these settings. `names` says what the names of `/genai/{model}` are."""
    named = names or AnyName()
    genai = Face(OciProxySkin(named), lambda desk: oci_proxy.router(desk, named))
    return (*(make(settings) for make in FACES), genai)
