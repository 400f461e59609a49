"""
Writes the Python code of `proto/model.proto`: `make proto`. `--check` writes nothing and fails where it is stale;
`tests/unit/skins/test_model_grpc_proto.py` asks the same.
"""

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
PROTO = ROOT / "proto/model.proto"
PLACE = ROOT / "src/foz/skins/model_grpc"
NAMES = ("model_pb2.py", "model_pb2.pyi")


def generated() -> dict[str, str]:
    """Each file's text, as the pinned compiler writes it now."""
    with tempfile.TemporaryDirectory() as folder:
        known = str(files("grpc_tools") / "_proto")
        arguments = ("protoc", f"-I{PROTO.parent}", f"-I{known}", f"--python_out={folder}", f"--pyi_out={folder}")
        if protoc.main((*arguments, PROTO.name)):
            raise SystemExit(f"{PROTO}: see above")
        return {name: (Path(folder) / name).read_text() for name in NAMES}


def stale() -> list[str]:
    """The files that say something else than the proto."""
    return [name for name, text in generated().items() if (PLACE / name).read_text() != text]


def main() -> int:
    """Writes, or looks."""
    if "--check" in sys.argv[1:]:
        found = stale()
        if found:
            print(f"stale: {', '.join(found)}; `make proto` writes them anew")
        return bool(found)
    for name, text in generated().items():
        (PLACE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
