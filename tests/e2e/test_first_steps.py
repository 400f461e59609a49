"""What a newcomer is told to type works as it stands."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from foz.testing.process import Served, start_gateway

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("gateway")) as served:
        served.wait_for(lambda: "curl" in served.stdout, "the line to try")
        yield served


def _answer(line: str) -> str:
    """What the simulated model says to a line of shell."""
    ran = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    answer = msgspec.json.decode(ran.stdout)
    assert answer["model"] == "simulated"
    content: str = answer["choices"][0]["message"]["content"]
    return content


def test_the_printed_curl_line_works(gateway: Served) -> None:
    """The curl line that `foz serve` prints is answered by the simulated model, which says that it is simulated."""
    line = re.search(r"^ *curl .*$", gateway.stdout, re.MULTILINE)

    assert line
    assert gateway.url in line[0]
    assert "simulated" in _answer(line[0])


def test_it_says_where_it_listens_and_what_it_has(gateway: Served) -> None:
    """`foz serve` without any configuration prints its address and its one model, the simulated one."""
    assert f"listens on {gateway.url}" in gateway.stdout
    assert re.search(r"^Models: simulated$", gateway.stdout, re.MULTILINE)
