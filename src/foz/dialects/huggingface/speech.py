"""The operations of this dialect. Nobody calls us in it, so it has the client's role only."""

from collections.abc import Callable

from foz.canon.request import Operation
from foz.dialects.huggingface.features import FeatureClient
from foz.dialects.huggingface.frames import DIALECT
from foz.dialects.huggingface.generation import GenerationClient
from foz.dialects.huggingface.kind import PLAIN, Kind
from foz.ports.codec import Speech


def _generation(kind: Kind, *, dedicated: bool) -> Speech:
    client = GenerationClient(kind, dedicated=dedicated)
    return Speech(DIALECT, client=client, by_request=lambda request, _: client.asking(request))


def speech(
    kind: Callable[[str], Kind | None], chat: Speech | None = None, *, dedicated: bool = False
) -> dict[Operation, Speech]:
    """
    How Hugging Face is spoken to. Models whose family has a `kind` are asked at their task endpoint, all others chat
    by `chat`, another dialect's, and have no texts to go on with. `dedicated` is an endpoint of its own: one model,
    asked where the URL leads.
    """
    features = FeatureClient(dedicated=dedicated)

    def about(model: str) -> Speech:
        found = kind(model)
        return _generation(found or PLAIN, dedicated=dedicated) if found is not None or chat is None else chat

    plain = _generation(PLAIN, dedicated=dedicated)
    nothing = Speech(DIALECT)

    def going_on(model: str) -> Speech:
        found = kind(model)
        if found is None and chat is not None and not dedicated:
            return nothing
        return _generation(found or PLAIN, dedicated=dedicated)

    return {
        Operation.CHAT: Speech(DIALECT, client=plain.client, by_model=about),
        Operation.COMPLETE: Speech(DIALECT, client=plain.client, by_model=going_on),
        Operation.EMBED: Speech(DIALECT, client=features, by_request=features.asking),
    }
