"""What the guides tell people to type: each `curl` of README.md and docs/guides, as it stands but for the port."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, start_gateway

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md")))
    for number, block in enumerate(re.findall(r"^```sh\n(curl .*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
]
ADDRESS = re.compile(r"(?:http://)?(?:127\.0\.0\.1|localhost):8000")
_ROW = {"region": "us-chicago-1", "compartmentId": "ocid1.compartment.oc1..aaaa"}
ROWS = {
    "gpt5": {"id": "ocid1.generativeaimodel.oc1.us-chicago-1.amaaa", "type": "model", **_ROW},
    "my-agent": {"id": "ocid1.generativeaiagentendpoint.oc1.us-chicago-1.amaaa", "type": "agent", **_ROW},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In test mode; its folder has what the guides tell of, and a curl that fails where an answer is an error."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "llm_models.json").write_text(json.dumps(ROWS))
    (folder / "contrato.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF")
    (folder / ".curlrc").write_text("fail-with-body\nno-progress-meter\nmax-time = 20\n")
    with start_gateway(folder, environment={"TEST_MODE": "true"}) as served:
        yield served


@pytest.mark.parametrize("block", BLOCKS)
def test_every_curl_of_a_guide_is_answered(gateway: Served, block: str) -> None:
    """Each block of curl commands, typed in the gateway's folder, ends well and shows an answer."""
    typed, addresses = ADDRESS.subn(gateway.url, block)
    environment = {**gateway.environment, "HOME": str(gateway.folder)}
    said = subprocess.run(
        ["sh", "-e", "-c", typed],
        cwd=gateway.folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (said.returncode, said.stderr) == (0, ""), said.stdout
    assert said.stdout
    assert addresses == len(re.findall(r"^curl ", block, re.MULTILINE))


@pytest.mark.parametrize("page", ["chat-completion", "model-api", "nemotron", "oci-genai-proxy", "ollama-host"])
def test_every_older_api_has_a_guide_to_type_from(page: str) -> None:
    """Each skin of an older API has a guide with a block of curl in it, so that it is among those above."""
    assert any(str(block.id).startswith(f"{page}.md-") for block in BLOCKS)
