"""What a start pays for: nothing that it does not use."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENDORS = {
    "openai",
    "anthropic",
    "httpx",
    "httpx2",
    "genai_prices",
    "litellm",
    "requests",
    "aiohttp",
    "huggingface_hub",
    "oci",
    "cryptography",
    "ollama",
}
MAX_MODULES = 980
"""Of the whole gateway with jobs, engines and all its dialects and skins, of some ten small modules each; FastAPI alone
is 390, the interpreter 40. LiteLLM's `import litellm` was 2,634."""
MAX_HELP_MODULES = 220
HEAVY = {"asyncio", "pydantic", "fastapi", "uvicorn", "apsw", "prometheus_client", "rich", "cryptography"}


def _loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after this code."""
    ran = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys\nsys.path.insert(0, 'src')\n{code}\nprint(*sys.modules, file=sys.stderr)",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(ran.stderr.split())


ASKED_FOR = {"scale", "grpc", "liaison", "node"}
"""Loaded by name: where the settings ask for RabbitMQ and Redis, in the process that serves gRPC, in the one that
speaks with Ray, and on nodes."""


def test_the_assembly_loads_no_vendor_sdk_and_keeps_its_budget() -> None:
    """Importing all that a gateway is made of loads no vendor's SDK, no price list and at most 980 modules."""
    found = [path for path in (ROOT / "src/foz/assembly").rglob("*.py") if path.stem not in ASKED_FOR]
    names = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for path in found]
    loaded = _loaded(f"import {', '.join(names)}")

    assert "foz.assembly.launch" in loaded
    assert ASKED_FOR & {name.rpartition(".")[2] for name in loaded} == set()
    assert {name.partition(".")[0] for name in loaded} & VENDORS == set()
    assert len(loaded) <= MAX_MODULES


def test_help_is_quick() -> None:
    """`foz --help` loads no server, no database and no schema library."""
    loaded = _loaded("from foz.cli.main import main\nmain(['--help'], standalone_mode=False)")

    assert "foz.cli.main" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert len(loaded) <= MAX_HELP_MODULES
