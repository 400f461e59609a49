"""The ModelService: which method asks what, and where its callers put their key and their words."""

from msgspec import Struct

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution, Operation
from foz.ports.codec import ServerCodec
from foz.ports.headers import attribution_of, key_of
from foz.ports.skin import OPERATIONS, Route, Visit
from foz.skins.model_grpc.codec import MessageCodec
from foz.skins.model_grpc.status import status_of
from foz.wire.http import Call, Reply

NAME = "model_grpc"
SERVICE = "model.ModelService"


class Method(Struct, frozen=True):
    """One that asks a model."""

    name: str
    operation: Operation
    stream: bool = False


ASKING = (
    Method("CreateChatCompletion", Operation.CHAT),
    Method("CreateChatCompletionStream", Operation.CHAT, stream=True),
    Method("CreateCompletion", Operation.COMPLETE),
    Method("CreateCompletionStream", Operation.COMPLETE, stream=True),
    Method("CreateEmbeddings", Operation.EMBED),
)
LISTING, SHOWING = "ListModels", "GetModel"
DEPLOYING = ("ListLocalModels", "DeployLocalModel", "GetDeploymentStatus", "UnloadLocalModel")
"""What has to do with models that are run here."""
WATCHING = "WatchDeployment"


def path_of(method: str) -> str:
    """Where a method is called."""
    return f"/{SERVICE}/{method}"


class ModelGrpcSkin:
    """Implements `ports.skin.Skin`. It has no routes of HTTP: `serve/grpc` is its door."""

    name = NAME
    routes: tuple[Route, ...] = ()
    relays = ""
    source = ""
    roots: tuple[str, ...] = ()

    def codec(self, visit: Visit) -> ServerCodec:
        """How an operation's message is read, whole."""
        return MessageCodec(OPERATIONS[visit.route.action], stream=False)

    def key(self, call: Call) -> str | None:
        """`authorization: Bearer`, else `x-api-key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `x-foz-...` metadata. Raises BadRequest, naming it."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The door tells them."""
        raise TypeError(f"{NAME} has no routes")

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """The door tells it."""
        raise TypeError(f"{NAME} has no routes")

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """As a status' message; a status proper is `status_of`."""
        return Reply(fault.status, (), status_of(fault, request_id).message.encode())

    def schemas(self) -> dict[str, object]:
        """None: the proto says it."""
        return {}
