"""
Programs that were written for the ModelService: seed 004's in Go, compiled as they are written but for the address, and
what the guide shows in Go, Python and `buf curl`.

Debian's packages are what they need (`DEBIAN`); `scripts/setup.sh test` installs them where it may.
golang-google-grpc-dev would be content with golang-github-golang-protobuf-1-3-dev, which cannot read what protoc-gen-go
writes. The first build of gRPC's Go library takes half a minute; what it made is kept beside pytest's own cache.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from foz.config.certificates import make_pair
from foz.net.clock import SystemClock
from foz.testing.process import Child, clean_environment, free_port

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto/model.proto"
GUIDE = (ROOT / "docs/guides/grpc.md").read_text()
DEBIAN = (
    "golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev protobuf-compiler protoc-gen-go "
    "protoc-gen-go-grpc"
)
PROTOC = "protoc --go_out=. --go-grpc_out=. model.proto"
"""Seed 004, 编译与使用, to the letter."""
GOCODE = "/usr/share/gocode"
CHAT = (ROOT / "tests/e2e/go/chat.go").read_text()
"""Seed 004, 客户端使用示例 (Go), as it is written there."""
STREAM = (ROOT / "tests/e2e/go/stream.go.txt").read_text()
"""Seed 004, 流式响应示例 (Go), as it is written there: a piece of a program."""
ADDRESS = "api.example.com:50051"


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def _streaming() -> str:
    """The seed's second program: its piece in the place of the first one's call."""
    before, rest = CHAT.split("    resp, err := ")
    whole = before + STREAM + rest[rest.index("}", rest.index("Response: %s")) :]
    return whole.replace('"context"', '"context"\n    "fmt"\n    "io"')


def _ran(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


class Gateway:
    """One that serves with TLS, and one that does not."""

    def __init__(self, secure: int, plain: int, ca: Path) -> None:
        self.secure = secure
        self.plain = plain
        self.ca = ca


def _serving(folder: Path, config: str) -> tuple[Child, int]:
    port = free_port()
    (folder / "foz.toml").write_text(config)
    environment = {
        "TEST_MODE": "true",
        "FOZ_DATA": str(folder / "data"),
        "FOZ_GRPC_PORT": str(port),
        "HOME": str(folder),
    }
    child = Child([sys.executable, "-m", "foz", "serve", "--port", str(free_port())], folder, environment)
    try:
        child.wait_for(lambda: "gRPC: " in child.stdout, "gRPC to listen")
    except BaseException:
        child.stop()
        raise
    return child, port


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As the seed's program wants it: TLS on this machine, no keys; and a plain one beside it."""
    folder = tmp_path_factory.mktemp("secure")
    pair = make_pair((), SystemClock().now(), 30)
    for name, text in (("ca.pem", pair.ca), ("server.pem", pair.certificate), ("key.pem", pair.key)):
        (folder / name).write_bytes(text)
    first, secure = _serving(folder, f'[server]\ntls_cert = "{folder}/server.pem"\ntls_key = "{folder}/key.pem"\n')
    with first:
        second, plain = _serving(tmp_path_factory.mktemp("plain"), "")
        with second:
            yield Gateway(secure, plain, folder / "ca.pem")


# -- Go --------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Go workspace with the package that the seed's line makes of the proto."""
    lacking = [name for name in ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc") if shutil.which(name) is None]
    if lacking or not Path(GOCODE, "src/google.golang.org/grpc").is_dir():
        pytest.fail(f"these tests need Debian's {DEBIAN}: apt-get install them")
    folder = tmp_path_factory.mktemp("go")
    (folder / "src").mkdir()
    shutil.copy(PROTO, folder / "src/model.proto")
    _ran(PROTOC.split(), folder / "src")
    return folder


def _program(workspace: Path, name: str, text: str) -> Path:
    """A Go program, compiled."""
    (workspace / "src" / name).mkdir()
    (workspace / "src" / name / "main.go").write_text(text)
    environment = {
        "GO111MODULE": "off", "GOPATH": f"{workspace}:{GOCODE}", "GOCACHE": str(ROOT / ".pytest_cache/go"),
        "GOFLAGS": "-p=1", "HOME": str(workspace), "CGO_ENABLED": "0",
    }  # fmt: skip
    _ran(["go", "build", "-o", f"{name}.bin", name], workspace, environment)
    return workspace / f"{name}.bin"


@pytest.mark.timeout(400)
def test_the_seeds_go_program_compiles_and_runs(workspace: Path, gateway: Gateway) -> None:
    """Seed 004, 客户端使用示例 (Go): protoc's line, then the program as it is written, but for the address, answers."""
    shutil.copy(gateway.ca, workspace / "ca.pem")
    program = _program(workspace, "chat", CHAT.replace(ADDRESS, f"localhost:{gateway.secure}"))

    said = _ran([str(program)], workspace)

    assert "Response: This is Foz's simulated model." in said
    assert "你好，请介绍一下自己。" in said


@pytest.mark.timeout(400)
def test_the_seeds_go_stream_compiles_and_runs(workspace: Path, gateway: Gateway) -> None:
    """Seed 004, 流式响应示例 (Go): the piece as it is written, in the first program, prints the answer's words."""
    shutil.copy(gateway.ca, workspace / "ca.pem")
    program = _program(workspace, "stream", _streaming().replace(ADDRESS, f"localhost:{gateway.secure}"))

    said = _ran([str(program)], workspace)

    assert said.startswith("This is Foz's simulated model.")
    assert "写一首关于春天的诗。" in said


# -- the guide -------------------------------------------------------------


@pytest.mark.timeout(400)
def test_the_guides_go_program_runs(workspace: Path, gateway: Gateway) -> None:
    """The Go program of the guide, as it stands but for the port, prints an answer."""
    (program,) = _blocks("go")
    shutil.copy(gateway.ca, workspace / "ca.pem")
    built = _program(workspace, "guide", program.replace("localhost:50051", f"localhost:{gateway.secure}"))

    said = _ran([str(built)], workspace, {"API_KEY": "none-yet"})

    assert PROTOC in _blocks("sh")[0]
    assert "写一首关于春天的诗。" in said


def test_the_guides_python_program_runs(tmp_path: Path, gateway: Gateway) -> None:
    """The Python lines of the guide, as they stand but for the port, print an answer, whole and in pieces."""
    compile_it = next(block for block in _blocks("sh") if "grpc_tools" in block)
    (program,) = _blocks("python")
    shutil.copy(PROTO, tmp_path)
    (tmp_path / "program.py").write_text(program.replace("127.0.0.1:50051", f"127.0.0.1:{gateway.plain}"))

    _ran([sys.executable, *compile_it.split()[1:]], tmp_path)
    said = _ran([sys.executable, "program.py"], tmp_path, {"PYTHONPATH": ""})

    assert said.count("This is Foz's simulated model.") == 2


@pytest.mark.parametrize("block", [block for block in _blocks("console") if "buf curl" in block])
def test_the_guides_buf_curl_is_answered(gateway: Gateway, block: str) -> None:
    """Each `buf curl` of the guide, as it stands but for the port, shows an answer; without --schema the same."""
    typed = block.removeprefix("$ ").replace("127.0.0.1:50051", f"127.0.0.1:{gateway.plain}")
    typed = typed.replace("buf curl", f"{Path(sys.executable).parent}/buf curl")

    by_proto = _ran(["sh", "-e", "-c", typed], ROOT)
    by_reflection = _ran(["sh", "-e", "-c", typed.replace("--schema proto/model.proto ", "")], ROOT)

    assert "This is Foz's simulated model." in by_proto or "deploymentId" in by_proto
    assert by_reflection == by_proto
