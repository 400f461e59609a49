"""Files of callers: uploaded, listed, read, deleted, named in a conversation, and told with a message in a form."""

import struct
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.oracle.process import Account, make_account, start_oracle
from foz.testing.process import Served, clean_environment, start_gateway
from foz.testing.raw import request
from foz.wire.http import Headers, Reply
from tests.e2e.genai import BEARER, GPT5, House, start, write_files

LIMITS = """
[files]
max_size = "1 MiB"
max_files = 12
"""
FILES = "/genai/gpt5/v1/files"
CHAT = "/genai/gpt5/v1/chat/completions"
TEXT = "Olá 🌊, do arquivo".encode()
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF"
TYPE = b"multipart/form-data; boundary=cut-here"
PROGRAM = Path(__file__).parents[1] / "contract" / "openai_sdk.py"
Part = tuple[str, str | None, bytes]


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")


def form(*parts: Part) -> bytes:
    """A form, as browsers write it."""
    said = b""
    for name, filename, data in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        said += f'--cut-here\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + data + b"\r\n"
    return said + b"--cut-here--\r\n"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[House]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), account, {GPT5: "openai.gpt-5"}) as upstream:
        folder = tmp_path_factory.mktemp("gateway")
        write_files(folder, account)
        with start(folder, account, upstream, LIMITS) as gateway:
            yield House(gateway, upstream)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("tried"), environment={"TEST_MODE": "true"}) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _empty(house: House) -> Iterator[None]:
    """No test finds another's files."""
    yield
    for one in msgspec.json.decode(house.call("GET", "/v1/files").body)["data"]:
        remove(house, one["id"])


def send(house: House, path: str, *parts: Part, headers: Headers = BEARER) -> Reply:
    """A form to a path."""
    return house.call("POST", path, form(*parts), (*headers, (b"content-type", TYPE)))


def upload(house: House, name: str, data: bytes, path: str = FILES) -> dict[str, Any]:
    """What an upload that must be taken is answered with."""
    reply = send(house, path, ("purpose", None, b"user_data"), ("file", name, data))
    assert reply.status == 200, reply.body
    told: dict[str, Any] = msgspec.json.decode(reply.body)
    return told


def remove(house: House, id: str) -> None:
    """Gone again."""
    assert house.call("DELETE", f"/v1/files/{id}").status == 200


@pytest.mark.parametrize("root", ["/genai/gpt5/v1", "/v1"])
def test_a_file_lives_as_openais_does(house: House, root: str) -> None:
    """A file is uploaded, shown, listed, read byte by byte and deleted; afterwards it is unknown."""
    kept = upload(house, "notas.txt", TEXT, f"{root}/files")
    id = kept["id"]

    assert {**kept, "id": "", "created_at": 0, "expires_at": 0} == {
        "id": "",
        "object": "file",
        "bytes": len(TEXT),
        "created_at": 0,
        "expires_at": 0,
        "filename": "notas.txt",
        "purpose": "user_data",
        "status": "processed",
    }
    assert kept["expires_at"] - kept["created_at"] == 30 * 24 * 3600
    assert msgspec.json.decode(house.call("GET", f"{root}/files/{id}").body) == kept
    listed = msgspec.json.decode(house.call("GET", f"{root}/files?limit=1&order=desc").body)
    assert listed["data"] == [kept]
    content = house.call("GET", f"{root}/files/{id}/content")
    assert content.body == TEXT
    assert content.header(b"content-type") == b"application/octet-stream"
    gone = house.call("DELETE", f"{root}/files/{id}")
    assert msgspec.json.decode(gone.body) == {"id": id, "object": "file", "deleted": True}
    for method, path in (("GET", f"files/{id}"), ("GET", f"files/{id}/content"), ("DELETE", f"files/{id}")):
        assert house.call(method, f"{root}/{path}").status == 404


def test_a_list_has_pages(house: House) -> None:
    """Pages follow each other by `after`, in either order, and say whether there are more."""
    ids = [upload(house, f"{at}.txt", TEXT)["id"] for at in range(3)]

    def page(query: str) -> Any:
        return msgspec.json.decode(house.call("GET", f"{FILES}?{query}").body)

    first = page("limit=2&order=asc")
    second = page(f"limit=2&order=asc&after={first['last_id']}")
    assert [one["id"] for one in first["data"] + second["data"]] == ids
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert [one["id"] for one in page("")["data"]] == ids[::-1]
    assert page("purpose=batch")["data"] == []
    for wrong in ("limit=0", "limit=x", "order=up", "after=file-foz0"):
        assert house.call("GET", f"{FILES}?{wrong}").status == 400
    for id in ids:
        remove(house, id)


def test_somebody_elses_file_is_none(house: House) -> None:
    """A file belongs to a key and a project: another project does not see, read, name or delete it."""
    id = upload(house, "segredo.txt", TEXT)["id"]
    other = (*BEARER, (b"x-foz-project", b"other"))
    body = msgspec.json.encode({"messages": [ask_about(id)]})
    before = house.asked()

    for method, path in (("GET", id), ("GET", f"{id}/content"), ("DELETE", id)):
        assert house.call(method, f"{FILES}/{path}", headers=other).status == 404
    assert msgspec.json.decode(house.call("GET", FILES, headers=other).body)["data"] == []
    assert house.call("POST", CHAT, body, other).status == 404
    assert house.asked() == before
    remove(house, id)


def ask_about(*ids: str) -> dict[str, Any]:
    """A message that names files."""
    files = [{"type": "file", "file": {"file_id": id}} for id in ids]
    return {"role": "user", "content": [{"type": "text", "text": "Resuma"}, *files]}


def test_what_a_file_is_its_bytes_say(house: House) -> None:
    """Neither a name nor a content type makes a file of a program; a picture without an ending is one."""
    program = b"\x7fELF\x02\x01\x01" + bytes(64)
    for name in ("foto.png", "texto.txt", "programa"):
        reply = send(house, FILES, ("file", name, program))
        assert reply.status == 400
        assert set(msgspec.json.decode(reply.body)) == {"error"}
    assert send(house, FILES, ("file", "vazio.txt", b"")).status == 400
    kept = upload(house, "sem-nome", png())
    assert (
        send(house, CHAT, ("messages", None, b'[{"role":"user","content":"x"}]'), ("file", "a.txt", program)).status
        == 400
    )
    remove(house, kept["id"])


def test_files_reach_the_model(house: House) -> None:
    """A text named in a conversation is told as text, with its name; a picture and a PDF as such."""
    text, picture, paper = (
        upload(house, name, data)["id"] for name, data in (("a.md", TEXT), ("b", png()), ("c", PDF))
    )
    for path, model in ((CHAT, None), ("/v1/chat/completions", "gpt5")):
        body = {"messages": [ask_about(text)], **({"model": model} if model else {})}
        answer = house.ask(path, body)
        assert "Olá 🌊, do arquivo" in answer["choices"][0]["message"]["content"]
        assert "[a.md]" in answer["choices"][0]["message"]["content"]
    body = {"messages": [ask_about(text, picture, paper)]}
    seen = house.ask(CHAT, body)["choices"][0]["message"]["content"]
    assert "1 image" in seen
    assert "1 file" in seen
    for id in (text, picture, paper):
        remove(house, id)


def test_a_form_brings_files_along(house: House) -> None:
    """Multipart `file` parts of a chat go with the user's last message, the fields being the JSON body's."""
    messages = msgspec.json.encode([{"role": "user", "content": "Resuma"}])
    reply = send(
        house,
        CHAT,
        ("messages", None, messages),
        ("temperature", None, b"0.5"),
        ("file", "a.txt", TEXT),
        ("file", "b", png()),
    )
    assert reply.status == 200, reply.body
    said = msgspec.json.decode(reply.body)["choices"][0]["message"]["content"]
    assert "Olá 🌊, do arquivo" in said
    assert "1 image" in said

    payload = msgspec.json.encode({"messages": [{"role": "user", "content": "Resuma"}], "max_tokens": 50})
    assert send(house, CHAT, ("payload", None, payload), ("file", "c.pdf", PDF)).status == 200


@pytest.mark.parametrize(
    ("name", "data"), [("command", PDF), ("command", png()), ("my-agent", PDF), ("my-agent", png())]
)
def test_what_a_model_does_not_take_is_told(house: House, name: str, data: bytes) -> None:
    """A picture or a PDF to a model of words gets a sentence that says so, and nothing is sent."""
    before = house.asked()
    messages = msgspec.json.encode([{"role": "user", "content": "Resuma"}])
    path = f"/genai/{name}/v1/chat/completions"
    along = send(house, path, ("messages", None, messages), ("file", "anexo", data))
    id = upload(house, "anexo", data)["id"]
    named = house.call("POST", path, msgspec.json.encode({"messages": [ask_about(id)]}))
    remove(house, id)

    for reply in (along, named):
        assert reply.status == 400, reply.body
        assert name in msgspec.json.decode(reply.body)["error"]
    assert house.asked() == before


def test_an_upload_says_for_how_long(house: House) -> None:
    """`expires_after` decides when a file is gone; an anchor or a time that OpenAI does not take is refused."""

    def sent(anchor: str, seconds: str) -> Reply:
        fields = (("expires_after[anchor]", None, anchor.encode()), ("expires_after[seconds]", None, seconds.encode()))
        return send(house, FILES, *fields, ("purpose", None, b"user_data"), ("file", "a.txt", TEXT))

    kept = msgspec.json.decode(sent("created_at", "3600").body)
    assert kept["expires_at"] - kept["created_at"] == 3600
    for anchor, seconds in (("now", "3600"), ("created_at", "3599"), ("created_at", "2592001"), ("created_at", "x")):
        assert sent(anchor, seconds).status == 400


@pytest.mark.parametrize("sdk", ["openai2", "openai3"])
@pytest.mark.parametrize("root", ["genai/gpt5/v1", "v1"])
def test_openais_sdk_keeps_files_here(tried: Served, sdk: str, root: str) -> None:
    """OpenAI's own SDK uploads, lists, shows, reads, names and deletes a file, and raises NotFoundError afterwards."""
    there = Path(sys.prefix) / "sdk" / sdk
    assert there.is_dir(), f"{there} is not there: `scripts/setup.sh test` installs it"
    environment = clean_environment()
    environment["PYTHONPATH"] = f"{there}:{environment['PYTHONPATH']}"
    command = [sys.executable, str(PROGRAM), f"{tried.url}/{root}", "gpt5", "files"]
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    found = msgspec.json.decode(ran.stdout)["files"]

    assert "Where?" in found.pop("said")
    assert found == {
        "listed": True,
        "shown": True,
        "read": "Rivers end in seas.",
        "name": "nota.txt",
        "seconds": 3600,
        "deleted": True,
        "gone": "NotFoundError",
    }


def test_a_form_to_an_agent(house: House) -> None:
    """A text goes to an agent within the message; a picture is refused with a sentence that says why."""
    fields: tuple[Part, ...] = (
        ("channel", None, b"web"),
        ("cuid", None, b"12345"),
        ("userMessage", None, "Olá".encode()),
    )
    told = send(house, "/genai/my-agent/chat", *fields, ("file", "a.txt", TEXT))
    assert told.status == 200, told.body
    assert "do arquivo" in msgspec.json.decode(told.body)["agentResponse"]["content"][0]["text"]

    before = house.asked()
    refused = send(house, "/genai/my-agent/chat", *fields, ("file", "a.png", png()))
    assert refused.status == 400
    assert "words only" in msgspec.json.decode(refused.body)["error"]
    assert house.asked() == before


def test_there_is_an_end_to_files(house: House) -> None:
    """A file that is too large gets 413, one too many 429, and neither leaves anything behind."""
    folder = house.gateway.folder / "data" / "files"
    large = send(house, FILES, ("file", "a.txt", b"x" * (1024 * 1024 + 1)))
    assert large.status == 413
    ids = [upload(house, f"{at}.txt", TEXT)["id"] for at in range(12)]
    many = send(house, FILES, ("file", "b.txt", TEXT))
    assert many.status == 429
    assert "delete some" in msgspec.json.decode(many.body)["error"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(ids)
    for id in ids:
        remove(house, id)
    assert not list(folder.iterdir())


BROKEN = [
    b"",
    b"--",
    b"--cut-here",
    b"--cut-here--\r\n",
    b"--other\r\n\r\n",
    form(("file", "a.txt", TEXT))[:-6],
    form(("file", "a.txt", TEXT))[:40],
    b"--cut-here\r\n" * 1000,
    b"--cut-here\r\n\r\nno name\r\n--cut-here--\r\n",
    b"--cut-here\r\nContent-Disposition: attachment; name=file\r\n\r\nx\r\n--cut-here--\r\n",
    b"--cut-here\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n\r\nx\r\n--cut-here--\r\n",
    b"--cut-here\r\nX-A: " + b"b" * 500_000 + b"\r\n\r\nx\r\n--cut-here--\r\n",
    b"--cut-here\r\n" + b"b" * 500_000,
    form(("a" * 1000, None, b"x")),
    form(*((f"f{at}", None, b"x") for at in range(500))),
    b'--cut-here\r\nContent-Disposition: form-data; name="file"; filename="\xff\xfe"\r\n\r\nx\r\n--cut-here--\r\n',
    form(("file", "a.txt", b"--cut-here\r\n"))[:-4],
    form(("file[a][b][c]", "a.txt", TEXT)),
    form(("file", "a.txt", TEXT), ("other", "b.txt", TEXT)),
    (
        b'--cut-here\r\nContent-Disposition: form-data; name="file"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n"
        b"--cut-here--\r\n"
    ),
]


@pytest.mark.parametrize("path", [FILES, CHAT, "/genai/my-agent/chat"])
@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_a_form_that_is_none_is_refused(house: House, path: str, body: bytes) -> None:
    """Whatever is wrong with a form gets this API's own error, nothing is sent upstream and nothing is kept."""
    before = house.asked()
    reply = house.call("POST", path, body, (*BEARER, (b"content-type", TYPE), (b"content-length", b"%d" % len(body))))

    assert 400 <= reply.status < 500, reply.body
    assert set(msgspec.json.decode(reply.body)) == {"error"}
    assert house.asked() == before
    assert not list((house.gateway.folder / "data" / "files").iterdir())


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"a" * 300,
        b'multipart/form-data; boundary="a b\x01"',
        b"multipart/mixed; boundary=cut-here",
        b"application/x-www-form-urlencoded",
    ],
)
@pytest.mark.parametrize("path", [FILES, CHAT, "/genai/my-agent/chat"])
def test_a_form_without_its_boundary_is_refused(house: House, path: str, content_type: bytes) -> None:
    """A content type that names no boundary, or is of another kind, gets this API's own 400 or 415."""
    body = form(("file", "a.txt", TEXT))
    reply = house.call("POST", path, body, (*BEARER, (b"content-type", content_type)))

    assert reply.status in {400, 415}
    assert set(msgspec.json.decode(reply.body)) == {"error"}


def test_an_upload_that_breaks_off_leaves_nothing(house: House) -> None:
    """A caller that hangs up in the middle of an upload leaves no file, and the gateway serves on."""
    folder = house.gateway.folder / "data" / "files"
    body = form(("file", "a.txt", b"x" * 200_000))
    with house.gateway.connect() as connection:
        headers = (*BEARER, (b"content-type", TYPE), (b"content-length", b"%d" % len(body)))
        connection.send(request("POST", FILES, b"", headers) + body[:100_000])
        house.gateway.wait_for(lambda: bool(list(folder.iterdir())), "the upload to begin")
    house.gateway.wait_for(lambda: not list(folder.iterdir()), "the upload to be dropped")
    assert "Traceback" not in house.gateway.stderr


def test_a_file_of_a_form_is_not_looked_at_twice(house: House) -> None:
    """A data URI in a conversation is still taken as it is: only ids of our own are looked up."""
    link = f"data:application/pdf;base64,{b64encode(PDF).decode()}"
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": link}}
    answer = house.ask(CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "Resuma"}, part]}]})

    assert "1 file" in answer["choices"][0]["message"]["content"]
