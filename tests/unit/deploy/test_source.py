"""Where a model comes from: what the words mean, and that none of them leads out of the folder of models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import BadRequest
from foz.deploy.source import SERVED, BuiltIn, OnDisk, OnHub, OnOllama, OnServer, check_model_id, read, safe, served

GOOD = {
    "tiny.gguf": OnDisk("tiny.gguf"),
    "sub folder/a b (1).gguf": OnDisk("sub folder/a b (1).gguf"),
    "/srv/models/x.gguf": OnDisk("/srv/models/x.gguf"),
    "hf:Qwen/Qwen3-8B-GGUF": OnHub("Qwen/Qwen3-8B-GGUF"),
    "hf:a/b@v1.2": OnHub("a/b", "v1.2"),
    "hf:a/b@main/Q4/x-00001-of-00002.gguf": OnHub("a/b", "main", "Q4/x-00001-of-00002.gguf"),
    "hf:a/b/c.gguf": OnHub("a/b", "main", "c.gguf"),
    "ollama:llama3.2": OnOllama("library", "llama3.2"),
    "ollama:llama3.2:1b-instruct-q8_0": OnOllama("library", "llama3.2", "1b-instruct-q8_0"),
    "ollama:someone/their-model:latest": OnOllama("someone", "their-model"),
    "foz:foz-tiny": BuiltIn("foz-tiny"),
}
TRICKS = [
    "",
    " ",
    "..",
    ".",
    "../x.gguf",
    "a/../../x.gguf",
    "/../etc/passwd",
    "/etc/../etc/passwd",
    "a/./b",
    "a//b",
    "~/x",
    "~root",
    ".hidden",
    "a/.ssh/id_rsa",
    "a\\..\\b",
    "C:\\x",
    "C:/x",
    "a\0b",
    "a\nb",
    "a\tb",
    "x" * 600,
    "/" * 20,
    "a" + "/a" * 300,
    "http://evil/x.gguf",
    "https://evil/x.gguf",
    "file:///etc/passwd",
    "ftp://x",
    "javascript:x",
    "data:x",
    "hf:",
    "hf:a",
    "hf:a/",
    "hf:/b",
    "hf:../b",
    "hf:a/..",
    "hf:a/b/..",
    "hf:a/b/../../x.gguf",
    "hf:a/b@../x",
    "hf:a/b@",
    "hf:a/b@..",
    "hf:a/b/x.bin",
    "hf:a/b/.x.gguf",
    "hf:a/b@main/",
    "hf:a/b?x=1",
    "hf:a/b#x",
    "hf:a/b%2f..",
    "hf:a b/c",
    "hf:a/b/c/../../d.gguf",
    "hf:.a/b",
    "hf:a/.b",
    "hf:a..b/c",
    "ollama:",
    "ollama:..",
    "ollama:../x",
    "ollama:a/../b",
    "ollama:a:",
    "ollama:a:..",
    "ollama:a:x/y",
    "ollama:a:b:c",
    "ollama:/a",
    "ollama:a/",
    "ollama:a/b/c",
    "ollama:.a",
    "ollama:a b",
    "ollama:host.example/ns/name",
    "foz:",
    "foz:../x",
    "foz:a/b",
    "foz:.x",
    "\u202egpj.gguf",
    "a/\u2024\u2024/b",
    "\uff46.gguf",
    "a /b",
    "a/ b",
]


@pytest.mark.parametrize("source", GOOD)
def test_a_source_is_read(source: str) -> None:
    """Each way to say where a model comes from means what it says."""
    assert read(source) == GOOD[source]


@pytest.mark.parametrize("source", TRICKS)
def test_a_source_that_leads_elsewhere_is_refused(source: str) -> None:
    """Each of these is refused by the name of its field, and the message shows nothing that a terminal obeys."""
    with pytest.raises(BadRequest) as refused:
        read(source)

    assert refused.value.field == "source"
    assert refused.value.message.isprintable()


@given(st.text(max_size=60) | st.text("./\\:@hfolamzA-_% \0", max_size=40))
def test_whatever_is_read_stays_where_it_belongs(source: str) -> None:
    """Anything is read or refused; no part of what is read is empty, hidden, a step up, or beyond plain characters."""
    try:
        found = read(source)
    except BadRequest:
        return
    if isinstance(found, OnDisk):
        parts = found.path.removeprefix("/").split("/")
    elif isinstance(found, OnHub):
        parts = [*found.repo.split("/"), found.revision, *(found.file or "x").split("/")]
    elif isinstance(found, OnOllama):
        parts = [found.namespace, found.name, found.tag]
    else:
        parts = [found.name]
    for part in parts:
        assert part.isascii()
        assert part.isprintable()
        assert not part.startswith(".")
        assert ".." not in part
        assert part


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../b", "a//b", ".x", "a/.b", "a\\b", "a\0", "C:x", "", "x/" * 12 + "y"]
)
def test_a_servers_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """A file's name from a server is only taken when it stays under a folder."""
    with pytest.raises(BadRequest):
        safe(name)


@pytest.mark.parametrize("name", ["deepseek-v3-7b", "org/model:tag", "a.b_c"])
def test_a_model_may_be_called_so(name: str) -> None:
    """Plain names, with slashes and colons between their parts, are names of models."""
    check_model_id(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/..", "a//b", "/a", "a/", "a b", "a\n", "é", "x" * 129, "a:.b"]
)
def test_a_model_may_not_be_called_so(name: str) -> None:
    """Names that are paths, empty, hidden, or beyond plain characters are refused by the name of their field."""
    with pytest.raises(BadRequest) as refused:
        check_model_id(name)

    assert refused.value.field == "model_id"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("provider:box/Qwen/Qwen3-8B", OnServer("box", "Qwen/Qwen3-8B")),
        ("provider:ollama/qwen3:0.6b", OnServer("ollama", "qwen3:0.6b")),
        ("provider:my.box-2/a@b+c", OnServer("my.box-2", "a@b+c")),
        ("hf:a/b", None),
        ("tiny.gguf", None),
    ],
)
def test_a_model_of_a_server_is_named_by_its_provider(source: str, place: OnServer | None) -> None:
    """Provider and model are told apart at the first slash; what names no provider is none of a server's."""
    assert served(source) == place


@given(st.text(max_size=40))
def test_no_text_leads_to_an_address(text: str) -> None:
    """Whatever stands behind `provider:`, it is the name of a provider and of a model, or it is refused."""
    try:
        place = served(SERVED + text)
    except BadRequest:
        return
    assert place is not None
    assert "/" not in place.provider
    assert not set(place.provider + place.model) & set(" ?#\\%&=<>\"'\r\n\0")
    assert ".." not in place.model
