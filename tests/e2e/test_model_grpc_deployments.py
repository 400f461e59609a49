"""The ModelService's 本地模型管理 over a real socket: the same deployments as REST's, and one that is watched."""

from collections.abc import Iterator
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from foz.skins.model_grpc import model_pb2 as pb
from foz.testing.process import Served, free_port, start_gateway, wait_until
from foz.testing.service import Ended, Service

OK = grpc.StatusCode.OK
KEY, USER = "sk-admin-0123456789", "sk-user-0123456789"
CONFIG = f'[auth]\napi_key = "{USER}"\nadmin_key = "{KEY}"\n\n[local]\nnode = "worker-03"\n'
SEED = pb.DeployLocalModelRequest(
    model_type="deepseek-v3",
    model_size="7b",
    quantization="int8",
    target_nodes=["worker-03"],
    deployment_config=pb.DeploymentConfig(
        max_batch_size=8, use_flash_attention=True, use_kv_cache=True, tensor_parallel_size=1, cpu_offload=False
    ),
)
"""Seed 004, 部署新本地模型: its body."""
STAGES = ["preparation", "downloading_weights", "model_initialization", "model_loading", "service_registration"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In test mode: any model can be deployed, and nothing is downloaded."""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    with start_gateway(folder, config=CONFIG, environment={"TEST_MODE": "true"}, grpc_port=port) as served:
        yield served


@pytest.fixture
def service(gateway: Served) -> Iterator[Service]:
    with Service(gateway.grpc_port, key=KEY) as made:
        yield made


def told(gateway: Served, path: str) -> Any:
    """What REST says there."""
    with gateway.connect() as connection:
        reply = connection.call("GET", path, b"", ((b"authorization", f"Bearer {KEY}".encode()),))
    return msgspec.json.decode(reply.body)["data"]


def only(ended: Ended) -> Any:
    """The answer of a call that went well."""
    assert (ended.code, len(ended.answers)) == (OK, 1), ended.message
    return ended.answers[0]


def same(data: Any, message: Message) -> bool:
    """Whether a message says what REST's data say."""
    return bool(ParseDict(data, type(message)(), ignore_unknown_fields=True) == message)


def test_a_model_is_deployed_watched_called_and_unloaded(gateway: Served, service: Service) -> None:
    """Seed 004's body deploys; it is watched to its end; its stages, the model and its unloading are what REST says."""
    deployed = only(service.call("DeployLocalModel", SEED))
    assert (deployed.model_id, deployed.status) == ("deepseek-v3-7b", "in_progress")
    assert deployed.progress_url == f"/models/local/deployments/{deployed.deployment_id}"

    watched = service.call("WatchDeployment", pb.WatchDeploymentRequest(deployment_id=deployed.deployment_id))
    updates: list[Any] = list(watched.answers)
    assert watched.code is OK, watched.message
    assert updates[-1].status == "completed"
    assert [stage.name for stage in updates[-1].stages] == STAGES
    assert {stage.status for stage in updates[-1].stages} == {"completed"}
    numbers = [line.number for update in updates for line in update.logs]
    assert numbers == sorted(set(numbers)) != []

    later = service.call(
        "WatchDeployment", pb.WatchDeploymentRequest(deployment_id=deployed.deployment_id, after=numbers[-1])
    )
    assert [line.number for update in later.answers for line in getattr(update, "logs", ())] == []

    stands = only(
        service.call("GetDeploymentStatus", pb.GetDeploymentStatusRequest(deployment_id=deployed.deployment_id))
    )
    assert same(told(gateway, deployed.progress_url), stands)
    assert stands.logs

    listed = only(service.call("ListLocalModels", pb.ListLocalModelsRequest()))
    assert same(told(gateway, "/models/local"), listed)
    assert [(model.id, model.status, model.deployment.node_id) for model in listed.models] == [
        ("deepseek-v3-7b", "active", "worker-03")
    ]

    asked = pb.ChatCompletionRequest(model_id="deepseek-v3-7b", messages=[pb.Message(role="user", content="Hello!")])
    assert only(service.call("CreateChatCompletion", asked)).choices[0].message.content

    gone = only(service.call("UnloadLocalModel", pb.UnloadLocalModelRequest(model_id="deepseek-v3-7b")))
    assert (gone.model_id, gone.status, list(gone.nodes)) == ("deepseek-v3-7b", "unloading", ["worker-03"])
    wait_until(lambda: not told(gateway, "/models/local")["models"], "the model to be gone")


def test_what_is_wrong_with_a_wish_names_its_field(service: Service) -> None:
    """A type that is no word is INVALID_ARGUMENT; a field that REST does not know is refused, not left out."""
    wrong = service.call("DeployLocalModel", pb.DeployLocalModelRequest(model_type="../etc"))
    unknown = service.call("DeployLocalModel", pb.DeployLocalModelRequest(model_type="a", extra={"colour": '"red"'}))
    many = service.call(
        "DeployLocalModel",
        pb.DeployLocalModelRequest(model_type="a", deployment_config=pb.DeploymentConfig(max_batch_size=0)),
    )

    assert {one.code for one in (wrong, unknown, many)} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert "model_type" in wrong.message
    assert "colour" in unknown.message
    assert "max_batch_size" in many.message


@pytest.mark.parametrize("method", ["GetDeploymentStatus", "UnloadLocalModel", "WatchDeployment"])
def test_what_is_not_there_is_not_found(service: Service, method: str) -> None:
    """A deployment, or a local model, that nobody has is NOT_FOUND."""
    assert service.raw(method, b"\x0a\x04none").code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["DeployLocalModel", "GetDeploymentStatus", "UnloadLocalModel", "WatchDeployment"])
def test_only_administrators_may(gateway: Served, method: str) -> None:
    """A user's key may not deploy, watch or unload: PERMISSION_DENIED."""
    with Service(gateway.grpc_port, key=USER) as service:
        assert service.raw(method, b"\x0a\x01a").code is grpc.StatusCode.PERMISSION_DENIED
