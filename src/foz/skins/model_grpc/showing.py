"""What is told as JSON elsewhere, as messages: the same names, null left out."""

from collections.abc import Mapping, Sequence

from google.protobuf.json_format import ParseDict

from foz.skins.model_grpc import model_pb2 as pb

Card = Mapping[str, object]


def models(cards: Sequence[Card]) -> bytes:
    """The list."""
    return ParseDict({"models": list(cards)}, pb.ListModelsResponse(), ignore_unknown_fields=True).SerializeToString()


def model(card: Card) -> bytes:
    """One model, whole."""
    return ParseDict(dict(card), pb.GetModelResponse(), ignore_unknown_fields=True).SerializeToString()
