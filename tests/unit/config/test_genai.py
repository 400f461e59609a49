"""`llm_models.json`: what it names, whom that is asked of, and what is said where it is wrong."""

from pathlib import Path

import msgspec
import pytest

from foz.config.load import load
from foz.config.refusal import ConfigError
from foz.testing.oracle.process import COMPARTMENT, make_account

MODEL = {"id": "ocid1.generativeaimodel.oc1.us-chicago-1.a", "region": "us-chicago-1", "type": "model"}
AGENT = {"id": "ocid1.generativeaiagentendpoint.oc1.us-chicago-1.a", "region": "us-chicago-1", "type": "agent"}


def write(folder: Path, rows: object) -> None:
    (folder / "llm_models.json").write_bytes(rows if isinstance(rows, bytes) else msgspec.json.encode(rows))


def test_rows_of_one_place_share_a_provider(tmp_path: Path) -> None:
    """Region, compartment, profile and kind make a provider; a row's facts go with the OCID that it names."""
    account = make_account(tmp_path / "account")
    (tmp_path / "credentials.conf").write_text(account.config.read_text())
    other = {
        **MODEL,
        "id": "ocid1.generativeaimodel.oc1.us-chicago-1.b",
        "apiFormat": "COHERE",
        "modelName": "cohere.x",
    }
    rows = {
        "one": MODEL,
        "two": other,
        "far": {**MODEL, "region": "eu-frankfurt-1", "servingMode": "DEDICATED"},
        "paid": {**MODEL, "compartmentId": COMPARTMENT},
        "agent": AGENT,
        "own": {**MODEL, "endpoint": "http://127.0.0.1:9/"},
    }
    write(tmp_path, rows)
    settings = load({}, tmp_path)
    bound = {one.name: one for one in settings.llm_models}
    providers = {one.name: one for one in settings.providers}

    assert list(bound) == list(rows)
    assert bound["one"].provider == bound["two"].provider == "oci-us-chicago-1"
    assert bound["far"].provider == "oci-eu-frankfurt-1"
    assert bound["agent"].provider == "oci_agent-us-chicago-1"
    assert len({one.provider for one in bound.values()}) == 5
    assert providers["oci-us-chicago-1"].row.facts[other["id"]].format == "COHERE"
    assert providers["oci-eu-frankfurt-1"].row.base_url == (
        "https://inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
    )
    assert providers["oci_agent-us-chicago-1"].row.base_url == (
        "https://agent-runtime.generativeai.us-chicago-1.oci.oraclecloud.com"
    )
    assert providers[bound["own"].provider].row.base_url == "http://127.0.0.1:9"
    assert providers[bound["paid"].provider].row.compartment == COMPARTMENT
    assert all(providers[one.provider].state == "ready" for one in bound.values())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected an object of models"),
        (b"\xff", "not JSON"),
        ({"gpt5": {}}, "gpt5: object missing required field `id`"),
        ({"gpt5": {**MODEL, "type": "tool"}}, "gpt5.type: invalid enum value 'tool'"),
        ({"good": MODEL, "bad": {**MODEL, "region": 5}}, "bad.region: expected `str`, got `int`"),
        ({"bad": {**MODEL, "id": "a b"}}, "bad.id"),
        ({" padded ": MODEL}, "expected a name"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(tmp_path: Path, rows: object, said: str) -> None:
    """The message names the file, the model and the field, and what was expected."""
    write(tmp_path, rows)

    with pytest.raises(ConfigError) as wrong:
        load({}, tmp_path)
    assert str(wrong.value).startswith(str(tmp_path / "llm_models.json"))
    assert said in str(wrong.value)


def test_a_name_stands_in_one_file_only(tmp_path: Path) -> None:
    """A name that foz.toml has too is refused: nobody could say which is meant."""
    write(tmp_path, {"gpt5": MODEL})
    (tmp_path / "foz.toml").write_text('[[model]]\nname = "gpt5"\ntargets = ["openai/gpt-5"]\n')

    with pytest.raises(ConfigError, match=r"gpt5: foz\.toml has a model of this name too"):
        load({}, tmp_path)


def test_without_credentials_the_names_are_there_and_barred(tmp_path: Path) -> None:
    """A file without credentials leaves its providers off, and says which file would help."""
    write(tmp_path, {"gpt5": MODEL})
    settings = load({"HOME": str(tmp_path)}, tmp_path)
    provider = next(one for one in settings.providers if one.name == "oci-us-chicago-1")

    assert provider.state == "off"
    assert "credentials.conf" in provider.why
