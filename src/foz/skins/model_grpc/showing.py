"""What is told as JSON elsewhere, as messages, and the other way round: the same names, null left out."""

from collections.abc import Mapping, Sequence

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from foz.canon.amount import moment
from foz.canon.deployment import Line
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.asking import extras
from foz.wire import json

Card = Mapping[str, object]


def of(told: Card, message: Message) -> bytes:
    """What was told, as this message; names that it does not have are left out."""
    return ParseDict(dict(told), message, ignore_unknown_fields=True).SerializeToString()


def models(cards: Sequence[Card]) -> bytes:
    """The list."""
    return of({"models": list(cards)}, pb.ListModelsResponse())


def model(card: Card) -> bytes:
    """One model, whole."""
    return of(card, pb.GetModelResponse())


def deploy_body(asked: pb.DeployLocalModelRequest) -> bytes:
    """REST's body of the same wish. Raises BadRequest."""
    said = MessageToDict(asked, preserving_proto_field_name=True)
    said |= extras(said.pop("extra", {}), "extra")
    if "deployment_config" in said:
        config = said["deployment_config"]
        config |= extras(config.pop("extra", {}), "deployment_config.extra")
    return json.encode(said)


def update(stands: Card, lines: Sequence[Line]) -> bytes:
    """How a deployment stands, and the lines of its log that are new."""
    logs = [
        {"timestamp": moment(line.at), "level": line.level.value, "message": line.message, "number": line.number}
        for line in lines
    ]
    return of({**stands, "logs": logs}, pb.DeploymentUpdate())
