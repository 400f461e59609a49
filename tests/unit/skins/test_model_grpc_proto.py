"""proto/model.proto and what is made of it."""

from pathlib import Path

from foz.skins.model_grpc import model_pb2 as pb
from scripts import proto

SEED = {
    "ListModels": ("ListModelsRequest", "ListModelsResponse", False),
    "GetModel": ("GetModelRequest", "GetModelResponse", False),
    "CreateCompletion": ("CompletionRequest", "CompletionResponse", False),
    "CreateCompletionStream": ("CompletionRequest", "CompletionChunk", True),
    "CreateChatCompletion": ("ChatCompletionRequest", "ChatCompletionResponse", False),
    "CreateChatCompletionStream": ("ChatCompletionRequest", "ChatCompletionChunk", True),
    "CreateEmbeddings": ("EmbeddingsRequest", "EmbeddingsResponse", False),
    "ListLocalModels": ("ListLocalModelsRequest", "ListLocalModelsResponse", False),
    "DeployLocalModel": ("DeployLocalModelRequest", "DeployLocalModelResponse", False),
    "GetDeploymentStatus": ("GetDeploymentStatusRequest", "GetDeploymentStatusResponse", False),
    "UnloadLocalModel": ("UnloadLocalModelRequest", "UnloadLocalModelResponse", False),
}
"""Seed 004, 模型服务定义."""


def test_the_generated_code_is_fresh() -> None:
    """The Python code says what the pinned compiler makes of the proto now; `make proto` writes it anew."""
    assert proto.stale() == []


def test_a_stale_file_is_found(tmp_path: Path) -> None:
    """A generated file that somebody changed is named by the check."""
    fresh = proto.generated()
    place, proto.PLACE = proto.PLACE, tmp_path
    try:
        for name, text in fresh.items():
            (tmp_path / name).write_text(text)
        assert proto.stale() == []
        (tmp_path / "model_pb2.py").write_text("# changed\n")
        assert proto.stale() == ["model_pb2.py"]
    finally:
        proto.PLACE = place


def test_the_seeds_methods_are_there() -> None:
    """Seed 004, 模型服务定义: package, service, the eleven methods with their messages, and go_package as promised."""
    service = pb.DESCRIPTOR.services_by_name["ModelService"]
    methods = {
        method.name: (method.input_type.name, method.output_type.name, method.server_streaming)
        for method in service.methods
    }

    assert pb.DESCRIPTOR.package == "model"
    assert {name: methods[name] for name in SEED} == SEED
    assert set(methods) - set(SEED) == {"WatchDeployment"}
    assert pb.DESCRIPTOR.GetOptions().go_package == "example.com/ai-gateway/model"


def test_what_the_seeds_program_says_plainly_has_no_presence() -> None:
    """Seed 004, 客户端使用示例: the fields of its Go programs have no presence, and zeros that matter have a twin."""
    asked, turn, delta = pb.ChatCompletionRequest.DESCRIPTOR, pb.Message.DESCRIPTOR, pb.Delta.DESCRIPTOR
    plain = [asked.fields_by_name[name] for name in ("model_id", "max_tokens", "temperature", "stream")]
    plain += [turn.fields_by_name["role"], turn.fields_by_name["content"], delta.fields_by_name["content"]]

    assert [field.name for field in plain if field.has_presence] == []
    assert asked.fields_by_name["exact_temperature"].has_presence
    assert pb.CompletionRequest.DESCRIPTOR.fields_by_name["exact_max_tokens"].has_presence
