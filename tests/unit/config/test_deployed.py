"""What is said of models that we run, from what is kept of them."""

from pathlib import Path

import pytest
from msgspec import structs

from foz.canon.deployment import TINY, Deployment, DeploymentStatus, Replica, Seen, Wanted, Weights, Wish
from foz.canon.model import Patience
from foz.canon.request import Operation
from foz.config.deployed import deployed, settled
from foz.config.directory import snapshot
from foz.config.greeting import greeting
from foz.config.load import load

BEGAN, NOW = 1_000_000, 1_005_000
DONE, FAILED = DeploymentStatus.COMPLETED, DeploymentStatus.FAILED
OLD = Replica(node="local", url="http://127.0.0.1:1", key="k", pid=1, loaded_at=BEGAN - 1)
NEW = structs.replace(OLD, loaded_at=BEGAN + 1)


def _tiny(seen: Seen, wanted: Wanted = Wanted.RUNNING) -> Deployment:
    return Deployment(id="deploy-1", at=0, wish=Wish(TINY, TINY), principal="local", wanted=wanted, seen=seen)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen(), "foz-tiny (starting)"),
        (Seen(DONE), "foz-tiny (starting)"),
        (Seen(DONE, replicas=(NEW,)), "foz-tiny"),
        (Seen(DONE, replicas=(structs.replace(NEW, healthy=False),)), "foz-tiny (off: does not answer just now)"),
        (Seen(FAILED, again=NOW), "foz-tiny (off: is not running just now: it is started again)"),
        (Seen(FAILED), "foz-tiny (off: is not running just now: its deployment failed)"),
    ],
)
def test_the_greeting_says_how_it_stands(tmp_path: Path, seen: Seen, said: str) -> None:
    """Only what failed is said to have; what ran before the last stop is starting."""
    settings = load({"HOME": str(tmp_path)}, tmp_path)
    directory = snapshot(settings, {}, "2026-11-21", deployed([_tiny(seen)], Patience()))
    greeted = greeting(settings, directory, ["http://127.0.0.1:8000"], "1", keyed=False)
    assert said in greeted.splitlines()[1].removeprefix("Models: ").split(", ")


@pytest.mark.parametrize(
    ("type", "pooling", "can"),
    [
        ("llama", "", {Operation.CHAT, Operation.COMPLETE}),
        ("llama", "last", {Operation.EMBED}),
        ("bge-m3", "cls", {Operation.EMBED}),
        ("qwen3-embedding", "", {Operation.CHAT, Operation.COMPLETE}),
    ],
)
def test_what_a_file_makes_goes_before_its_name(type: str, pooling: str, can: set[Operation]) -> None:
    """A file that makes vectors makes nothing else, and one that does not say so is not without any use."""
    weights = Weights("/x.gguf", 1, "llama", "Q8_0", pooling=pooling)
    one = Deployment("deploy-1", 0, Wish("x", type), "local", seen=Seen(DONE, replicas=(NEW,), weights=weights))
    (model,) = deployed([one], Patience())
    assert model.targets[0].profile.operations == can


@pytest.mark.parametrize(
    ("one", "over"),
    [
        (_tiny(Seen()), False),
        (_tiny(Seen(DONE)), False),
        (_tiny(Seen(DONE, replicas=(OLD,))), False),
        (_tiny(Seen(DONE, replicas=(NEW,))), True),
        (_tiny(Seen(FAILED)), True),
        (_tiny(Seen(FAILED, again=NOW + 1)), True),
        (_tiny(Seen(FAILED, again=NOW - 1)), False),
        (_tiny(Seen(DONE, gone=True)), True),
        (_tiny(Seen(DONE, replicas=(OLD,)), Wanted.UNLOADED), True),
    ],
)
def test_a_wait_is_over_by_what_this_gateway_saw(one: Deployment, over: bool) -> None:
    """What an earlier run left behind, a stopped engine or one that was killed, does not end the wait."""
    assert settled([one], BEGAN, NOW) is over
