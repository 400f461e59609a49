"""What the name `nemotron` stands for: what of the family is run here, then NVIDIA's, and else what is missing."""

from collections.abc import Mapping
from pathlib import Path

from foz.canon.model import Model, Placement
from foz.config.directory import snapshot
from foz.config.load import load
from foz.gateway.resolve import MOST_OWN, Snapshot
from foz.ports.line import Line
from foz.testing.upstream import ScriptedUpstream

NVIDIA = "nvidia/nvidia/llama-3.3-nemotron-super-49b-v1.5"
OLLAMA = {"ollama": ["qwen3:8b", "nemotron-mini:4b", "hf.co/x/Nemotron-Nano:Q8"]}


def _snapshot(cwd: Path, toml: str = "", found: Mapping[str, list[str]] | None = None, **environ: str) -> Snapshot:
    (cwd / "foz.toml").write_text(toml)
    settings = load({"HOME": str(cwd), **environ}, cwd)
    lines = {one.name: Line(ScriptedUpstream([]), {}) for one in settings.providers if one.state != "off"}
    made = snapshot(settings, lines, "2026-11-01")
    for provider, names in (found or {}).items():
        made = made.with_discovered(provider, names)
    return made


def _targets(model: Model | None) -> list[str]:
    assert model is not None
    return [f"{one.placement.value} {one.name}" for one in sorted(model.targets, key=lambda one: one.rank)]


def _listed(made: Snapshot) -> list[str]:
    return [model.name for model in made.models()]


def test_what_is_run_here_comes_before_what_is_bought(tmp_path: Path) -> None:
    """Every model of the family that a provider of ours lists is a target, in order, then NVIDIA's; others are none."""
    made = _snapshot(tmp_path, found={**OLLAMA, "nvidia": ["nvidia/nemotron-4"]}, NVIDIA_API_KEY="nvapi-x")

    assert _targets(made.find("nemotron")) == [
        "gpu ollama/nemotron-mini:4b", "gpu ollama/hf.co/x/Nemotron-Nano:Q8", f"api {NVIDIA}",
    ]  # fmt: skip
    assert "nemotron" in _listed(made)


def test_a_model_of_the_settings_by_that_name_is_meant(tmp_path: Path) -> None:
    """A `[[model]]` called so is the model, and nothing else."""
    toml = "[[model]]\nname = 'nemotron'\ntargets = ['nvidia/mine']"

    assert _targets(_snapshot(tmp_path, toml, OLLAMA, NVIDIA_API_KEY="nvapi-x").find("nemotron")) == ["api nvidia/mine"]


def test_a_discovered_model_of_that_very_name_is_a_target(tmp_path: Path) -> None:
    """It stands behind the name, and under its provider's."""
    made = _snapshot(tmp_path, found={"ollama": ["nemotron"]})

    assert _targets(made.find("nemotron"))[0] == "gpu ollama/nemotron"
    assert _listed(made) == ["nemotron", "ollama/nemotron"]


def test_where_others_are_there_what_is_missing_is_said(tmp_path: Path) -> None:
    """With another provider's key alone it is no public name; its one target is barred and says which key to set."""
    for found in ({}, {"groq": ["llama"]}):
        made = _snapshot(tmp_path, found=found, GROQ_API_KEY="k")
        (target,) = (made.find("nemotron") or Model("", ())).targets
        assert target.barred == "nvidia has no key: set NVIDIA_API_KEY"
        assert "nemotron" not in _listed(made)


def test_a_fresh_machine_answers_in_both_placements(tmp_path: Path) -> None:
    """While there is nothing else at all, and in test mode always, the simulated model stands in; it is not listed."""
    both = ["gpu simulated/simulated", "api simulated/simulated"]

    assert _targets(_snapshot(tmp_path).find("nemotron")) == both
    assert _listed(_snapshot(tmp_path)) == ["simulated"]
    tried = _snapshot(
        tmp_path, "[[model]]\nname = 'a'\ntargets = ['openai/a']", TEST_MODE="true", NVIDIA_API_KEY="x123"
    )
    assert _targets(tried.find("nemotron")) == both
    assert [one.placement for one in (tried.find("a") or Model("", ())).targets] == [Placement.GPU]


def test_a_hostile_list_makes_no_endless_model(tmp_path: Path) -> None:
    """However many models of the family a provider lists, so many are asked."""
    found = {"ollama": [f"nemotron-{number}" for number in range(1000)]}

    assert len(_targets(_snapshot(tmp_path, found=found, NVIDIA_API_KEY="nvapi-x").find("nemotron"))) == MOST_OWN + 1
