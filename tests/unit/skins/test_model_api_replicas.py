"""A model on several nodes, as the 模型 API shows it."""

import msgspec
import pytest

from foz.canon.deployment import Deployment, DeploymentStatus, Replica, Seen, Wish
from foz.skins.model_api.local import Performance, say_model

A = Replica("a", "http://10.0.0.1:1", "secret", 1, 0, memory=2 << 30, hardware="CPU")
B = Replica("b", "http://10.0.0.2:1", "secret", 1, 0, memory=1 << 30)


def _shown(nodes: tuple[str, ...], *replicas: Replica) -> tuple[dict[str, object], bytes]:
    seen = Seen(DeploymentStatus.COMPLETED if replicas else DeploymentStatus.FAILED, replicas=replicas, served=True)
    reply = say_model(Deployment("d", 0, Wish("m", "m", nodes=nodes), "p", seen=seen), Performance(), "r")
    said: dict[str, object] = msgspec.json.decode(reply.body)["data"]
    return said, reply.body


@pytest.mark.parametrize(
    ("replicas", "status", "health", "each"),
    [
        ((A, B), "active", "healthy", ["healthy", "healthy"]),
        ((A,), "active", "unhealthy", ["healthy", "unhealthy"]),
        ((A, msgspec.structs.replace(B, healthy=False)), "active", "unhealthy", ["healthy", "unhealthy"]),
        ((), "unhealthy", "unhealthy", ["unhealthy", "unhealthy"]),
    ],
)
def test_replicas_are_shown(replicas: tuple[Replica, ...], status: str, health: str, each: list[str]) -> None:
    """A model is active while one replica answers, healthy while all do; no engine's key is in what is shown."""
    said, body = _shown(("a", "b"), *replicas)
    deployment = said["deployment"]
    assert isinstance(deployment, dict)
    assert (said["status"], deployment["health"]) == (status, health)
    assert [one["health"] for one in deployment["replicas"]] == each
    assert [one["node_id"] for one in deployment["replicas"]] == ["a", "b"]
    assert b"secret" not in body


def test_memory_is_of_all() -> None:
    """The memory of a model is the sum of its replicas'; of one node there is no list."""
    both, alone = (_shown(nodes, *there)[0]["deployment"] for nodes, there in ((("a", "b"), (A, B)), (("a",), (A,))))
    assert isinstance(both, dict)
    assert isinstance(alone, dict)
    assert both["memory_usage"] == "3GB"
    assert "replicas" not in alone
