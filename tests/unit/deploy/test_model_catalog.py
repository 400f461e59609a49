"""Models by type and size: every name of the seed has a row, and every row says which model it really is."""

import re
from importlib.resources import files

import pytest

from foz.canon.fault import NotFound
from foz.deploy.catalog import ModelRow, catalog, find
from foz.deploy.source import OnHub, check_model_id, read

REPO = re.compile(r"[A-Za-z0-9][\w.-]+/[A-Za-z0-9][\w.-]+")


@pytest.mark.parametrize(
    ("model_type", "model_size"),
    [("deepseek-v3", "7b"), ("deepseek-v3", "14b"), ("qwen3", "7b"), ("DeepSeek_V3", "7B"), ("Qwen3 ", "7b")],
)
def test_the_seeds_models_have_rows_that_say_what_they_are(model_type: str, model_size: str) -> None:
    """Seed 004: each model that it names has a row; none exists under that name, and the row says which it is."""
    row = find(model_type, model_size)

    assert len(row.note) > 40
    assert row.version == "3.0"


@pytest.mark.parametrize("family", ["deepseek", "qwen", "llama", "nemotron", "gemma", "mistral", "phi"])
def test_each_family_has_rows(family: str) -> None:
    """Every family that the seed's users know can be deployed by type and size, in at least two sizes or types."""
    assert len([row for row in catalog().values() if row.type.startswith(family)]) >= 2


@pytest.mark.parametrize("row", catalog().values(), ids=lambda row: f"{row.type}-{row.size}")
def test_a_row_can_be_deployed(row: ModelRow) -> None:
    """A row's type and size make a name for a model, and its repository is a source."""
    found = find(row.type, row.size)

    check_model_id(f"{found.type}-{found.size}")
    assert read(f"hf:{found.repo}") == OnHub(found.repo)
    assert REPO.fullmatch(found.original)
    assert found.title
    assert found.version


def test_rows_are_there_once() -> None:
    """No two rows have the same type and size."""
    text = files("foz.deploy").joinpath("catalog.toml").read_text("utf-8")

    assert text.count("[[model]]") == len(catalog())


def test_what_is_not_there_is_refused_with_what_is() -> None:
    """An unknown size is refused with the sizes that there are, an unknown type with the types, by the field's name."""
    with pytest.raises(NotFound, match=r"no qwen3 of size '9b'; there are 7b, 0\.6b") as size:
        find("qwen3", "9b")
    with pytest.raises(NotFound, match=r"No model type 'gpt-4'.*deepseek-v3.*deployed by its source") as type:
        find("gpt-4", "7b")

    assert (size.value.field, type.value.field) == ("model_size", "model_type")
    with pytest.raises(NotFound) as odd:
        find("\x1b[2J../../etc", "\n")
    assert odd.value.message.isprintable()
