"""A file fits in the head, so does a function, and a name says what is inside."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MAX_FILE = 500
MAX_FUNCTION = 60
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
SUPERVISORS = {"serve/http/door.py", "serve/grpc/calls.py", "deploy/controller.py"}
"""Where `except Exception` may stand: the doors, the worker loop, the deploy controller."""


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_file_keeps_its_shape(path: Path) -> None:
    """Every source file has at most 500 lines, every function at most 60, and no vague name."""
    text = path.read_text()

    assert path.stem not in VAGUE
    assert text.count("\n") <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, node.name


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether it only tidies up: its last word is a bare `raise`, and nothing leaves before it."""
    last = handler.body[-1]
    leaves = any(isinstance(node, ast.Return | ast.Break | ast.Continue) for node in ast.walk(handler))
    return isinstance(last, ast.Raise) and last.exc is None and not leaves


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_only_supervisors_catch_everything(path: Path) -> None:
    """`except Exception` and its like stand in the named supervisors only, or end by raising what they caught."""
    broad = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and not _raises_again(node)
    ]

    assert not broad or str(path.relative_to(ROOT / "src/foz")) in SUPERVISORS, broad


@pytest.mark.parametrize("path", TESTS, ids=_named)
def test_each_test_says_its_fact(path: Path) -> None:
    """Every test has a docstring: one sentence that could be false."""
    silent = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []
