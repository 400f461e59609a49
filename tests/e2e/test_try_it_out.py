"""
"Try it out" on /docs of a real gateway in a real browser: every operation of /openapi.json, by real clicks.

Bodies and forms are sent as /docs fills them in; only names in paths and files are put in. The gateway is in test mode,
without keys: the simulated model answers every name, but under `/genai` only those of `llm_models.json`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from msgspec import Struct
from openapi_schema_validator import OAS31Validator

from foz.skins.ollama.examples import MODEL as OLLAMAS
from foz.testing.process import Served, start_gateway
from tests.e2e.chromium import Browser, Page, open_browser

MODEL, AGENT = "org/estuary:latest", "org/pilot:latest"
FILE = "Os rios terminam no mar 🌊\n"
FORM = "multipart/form-data"
_ROW = {"region": "us-chicago-1", "compartmentId": "ocid1.compartment.oc1..aaaa"}
ROWS = {
    MODEL: {"id": "ocid1.generativeaimodel.oc1.us-chicago-1.amaaa", "type": "model", **_ROW},
    AGENT: {"id": "ocid1.generativeaiagentendpoint.oc1.us-chicago-1.amaaa", "type": "agent", **_ROW},
}
_AGENTS = re.compile(r"/genai/(\{agent\}/.*|\{model\}/chat)")
_ORDER = ("post", "get", "delete")
"""What is made is looked at, and then removed."""
_SWAGGERS_OWN = "JsonSchema_string_binary"
"""Swagger UI looks for such a part for each list of files, complains that it has none, and takes another."""
_PUT = """(found => found && (
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(found), 'value').set.call(found, %s),
    found.dispatchEvent(new Event('input', {bubbles: true})),
    found.dispatchEvent(new Event('change', {bubbles: true})),
    found.dispatchEvent(new FocusEvent('focusout', {bubbles: true})), true))(%s)"""
_SHOWN = """(table => table && ({
    status: table.querySelector('tbody .response-col_status').innerText,
    headers: table.querySelector('pre.microlight:has(.headerline)')?.innerText || '',
    body: table.querySelector('.highlight-code code')?.textContent ?? null,
    file: table.querySelector('a[download]') !== null
}))(%s.querySelector('.live-responses-table'))"""


class Case(Struct, frozen=True):
    """One operation, with one kind of body."""

    path: str
    method: str
    operation: dict[str, Any]
    media: str | None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method.upper()} {self.path}{f' ({self.media})' if self.media == FORM else ''}"

    @property
    def block(self) -> str:
        """Where the page has it."""
        id = f"operations-{self.operation['tags'][0]}-{self.operation['operationId']}"
        return f"document.getElementById({json.dumps(id)})"

    @property
    def body(self) -> dict[str, Any]:
        """What /openapi.json says of its body."""
        told: dict[str, Any] = self.operation["requestBody"]["content"][self.media] if self.media else {}
        return told

    def find(self, what: str) -> str:
        """An element of it."""
        return f"{self.block}?.querySelector({json.dumps(what)})"


def cases(document: dict[str, Any]) -> list[Case]:
    """Every operation of the reference, once for each kind of body that it takes."""
    found = [
        Case(path, method, operation, media)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for media in operation.get("requestBody", {}).get("content", {None: None})
    ]
    return sorted(found, key=lambda case: _ORDER.index(case.method))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "llm_models.json").write_text(json.dumps(ROWS))
    with start_gateway(folder, environment={"TEST_MODE": "true"}) as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as one:
        yield one


class Reader:
    """Somebody who reads /docs and tries out what is there."""

    def __init__(self, page: Page, document: dict[str, Any], file: Path, jobs: dict[str, str]) -> None:
        self.page = page
        self._document = document
        self._file = file
        self._made: dict[str, str] = {}
        self._jobs = jobs
        """Jobs that are over, by the path that they were asked at, or by the one path that asks for their like."""

    def click(self, element: str) -> None:
        """As soon as it is there."""
        self.page.wait_for(f"(found => found && (found.click(), true))({element})")

    def put(self, element: str, value: str) -> None:
        """Into a field or a choice, as by hand."""
        self.page.wait_for(_PUT % (json.dumps(value), element))

    def attach(self, case: Case) -> None:
        """A file, where the form asks for one."""
        field = case.find("input[type=file]")
        if self.page.wait_for(f"{field} ? 'there' : 'not there'") == "there":
            object_id = self.page.ask("Runtime.evaluate", expression=field)["result"]["objectId"]
            self.page.ask("DOM.setFileInputFiles", files=[str(self._file)], objectId=object_id)

    def filled_in(self, case: Case) -> list[str]:
        """Opens it, fills in names and files, and says what of its body is not the example that it should be."""
        self.click(case.find(".opblock-summary-control"))
        self.click(case.find(".try-out__btn:not(.cancel)"))
        for name in (one["name"] for one in case.operation.get("parameters", []) if one["in"] == "path"):
            value = AGENT if _AGENTS.fullmatch(case.path) else MODEL
            if name == "id":
                value = self._jobs.get(case.path) or self._made.get(case.path.partition("/{id}")[0], MODEL)
            elif name in {"deployment_id", "model_id"}:
                value = self._made[name]
            elif name == "job_id":
                value = next(job for root, job in self._jobs.items() if case.path.startswith(root))
            self.put(case.find(f"tr[data-param-name={name}] input"), value)
        if case.media is None:
            return []
        self.put(case.find(".body-param-content-type select"), case.media)
        if case.media == FORM:
            self.page.wait_for(f"!!{case.find('tr[data-property-name]')}")
            self.attach(case)
            return []
        text = str(self.page.wait_for(f"{case.find('textarea.body-param__text')}?.value"))
        return [] if json.loads(text) == case.body.get("example") else [f"the body is not the example: {text[:200]}"]

    def tried(self, case: Case) -> list[str]:
        """Sends it as it stands, and says what is not as documented."""
        wrong = self.filled_in(case)
        self.click(case.find(".execute"))
        shown: Any = self.page.wait_for(_SHOWN % case.block)
        for what in (".btn-clear", ".try-out__btn.cancel", ".opblock-summary-control"):
            self.click(case.find(what))
        documented = next(code for code in case.operation["responses"] if code.startswith("2"))
        if shown["status"].strip() != documented:
            return [*wrong, f"answered {shown['status']!r}: {shown['body']}"]
        content = case.operation["responses"][documented].get("content", {})
        if not content:
            return wrong
        headers = dict(line.strip().partition(": ")[::2] for line in shown["headers"].splitlines())
        kind = headers.get("content-type", "").partition(";")[0]
        if kind not in content:
            return [*wrong, f"answered {kind or 'nothing'}, documented {list(content)}"]
        if kind == "application/octet-stream":
            right = shown["file"] and headers["content-length"] == str(len(FILE.encode()))
            return wrong if right else [*wrong, f"no file: {headers}"]
        return [*wrong, *self._compared(case, content[kind], kind, shown["body"] or "")]

    def _compared(self, case: Case, told: dict[str, Any], kind: str, text: str) -> list[str]:
        if not told.get("schema") and "example" not in told:
            return ["nothing is documented of its answer"]
        if not text:
            return ["the answer is empty"]
        body = json.loads(text) if kind == "application/json" else text
        if isinstance(body, dict) and isinstance(body.get("data"), dict) and "progress_url" in body["data"]:
            self._made |= {name: body["data"][name] for name in ("deployment_id", "model_id")}
        if isinstance(body, dict) and case.method == "post" and "id" in body:
            self._made[case.path] = body["id"]
        if case.media == FORM and FILE.strip() not in text and f'"bytes": {len(FILE.encode())}' not in text:
            return [f"the file did not arrive: {text}"]
        schema = {**told.get("schema", {}), "components": self._document["components"]}
        wrong = [error.message for error in OAS31Validator(schema).iter_errors(body)]
        return [*wrong, *unlike(told["example"], body, "answer")] if "example" in told else wrong


def unlike(example: object, shown: object, where: str) -> list[str]:
    """Which members of an example an answer has not, or has of another kind; what is unknown is null in either."""
    if example is None or shown is None:
        return []
    if isinstance(example, dict) and isinstance(shown, dict):
        lost = [f"{where}.{name} is missing" for name in example if name not in shown]
        both = [name for name in example if name in shown]
        return lost + [one for name in both for one in unlike(example[name], shown[name], f"{where}.{name}")]
    if isinstance(example, list) and isinstance(shown, list):
        return unlike(example[0], shown[0], f"{where}[0]") if example and shown else []
    numbers = isinstance(example, float | int) and isinstance(shown, float | int)
    alike = numbers or type(example) is type(shown)
    return [] if alike else [f"{where} is {shown!r}, not like {example!r}"]


def _job(gateway: Served, path: str, body: dict[str, Any]) -> str:
    """A job that is over."""
    with gateway.connect() as connection:
        reply = connection.call("POST", path, msgspec.json.encode(body), ((b"prefer", b"respond-async"),))
        place = (reply.header(b"location") or b"").decode()

        def over() -> bool:
            found = connection.call("GET", place)
            return found.status == 200 and b'"result":null' not in found.body

        gateway.wait_for(over, "the job's end")
    return place.rpartition("/")[2]


def _background(gateway: Served) -> str:
    """A response that was made in the background."""
    with gateway.connect() as connection:
        asked = {"model": MODEL, "input": "Onde os rios terminam?", "background": True}
        reply = connection.call("POST", "/v1/responses", msgspec.json.encode(asked))
    return str(msgspec.json.decode(reply.body)["id"])


@pytest.mark.timeout(400)
def test_every_operation_can_be_tried(browser: Browser, gateway: Served, tmp_path: Path) -> None:
    """/docs shows every operation; each, executed with the example that it shows, shows the documented answer."""
    with gateway.connect() as connection:
        document = msgspec.json.decode(connection.call("GET", "/openapi.json").body)
    file = tmp_path / "rios.txt"
    file.write_text(FILE)
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Onde os rios terminam?"}]}
    chats = "/v1/chat/completions"
    jobs = {"/chat": _job(gateway, "/chat", {"message": "Olá"}), chats: _job(gateway, chats, asked)}
    jobs["/v1/messages"] = _job(gateway, "/v1/messages", {**asked, "max_tokens": 9})
    jobs["/v1/responses/{id}/cancel"] = _background(gateway)
    with gateway.connect() as connection:  # for Ollama's paths, whose examples are of a model that is run here
        deployed = msgspec.json.encode({"model_type": "llama", "model_size": "1b", "model_id": OLLAMAS})
        assert connection.call("POST", "/models/local/deploy", deployed).status == 200
    every = cases(document)
    operations = {case.block for case in every}
    with browser.page() as page:
        page.open(f"{gateway.url}/docs")
        page.wait_for(f"document.querySelectorAll('.opblock').length === {len(operations)}")
        reader = Reader(page, document, file, jobs)
        wrong = {case.name: found for case in every if (found := reader.tried(case))}

        assert not wrong, json.dumps(wrong, indent=2, ensure_ascii=False)
        assert [said for said in page.complaints if _SWAGGERS_OWN not in said] == []
        assert len(operations) > 30
        assert any(quote(MODEL, safe="") in url for url in page.requests)


@pytest.mark.parametrize(
    ("example", "shown", "wrong"),
    [
        ({"a": 1, "b": "x"}, {"a": 2.5, "b": "", "c": 1}, 0),
        ({"a": {"b": [1]}}, {"a": {"b": ["x"]}}, 1),
        ({"a": 1}, {}, 1),
        ({"a": 1}, [1], 1),
        ({"a": 1}, {"a": None}, 0),
        ([{"a": 1}], [], 0),
        ([{"a": 1}], [{"b": 1}], 1),
    ],
)
def test_what_is_unlike_is_seen(example: object, shown: object, wrong: int) -> None:
    """A member that is missing or of another kind is told, wherever it is: the silence above means something."""
    assert len(unlike(example, shown, "answer")) == wrong
