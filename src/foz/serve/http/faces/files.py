"""
Files that callers upload, in OpenAI's shape: under `/v1/files` and under each name of `/genai/{model}/v1/files`.

An upload goes to the disk as it comes. Whose it is, is the key's and the project's; somebody else's is not there.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from foz.canon.fault import BadRequest
from foz.canon.principal import Principal
from foz.dialects.openai.files import MOST_LISTED, FileDeleted, page_of, purpose_of, say, say_page, seconds_of
from foz.ports.files import Draft, Files, Kept, Whose
from foz.ports.headers import attribution_of
from foz.ports.skin import FORM, WHOLE
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.guard import check_body
from foz.wire import json
from foz.wire.http import Call, Reply
from foz.wire.multipart import Data, Malformed, Opened, Reader, boundary_of

LONGEST_FIELD = 1024
LONGEST_NAME = 255
EXAMPLE = {
    "id": "file-foz0123456789abcdef0123456789abcdef",
    "object": "file",
    "bytes": 1234,
    "created_at": 1699999999,
    "expires_at": 1702591999,
    "filename": "contrato.pdf",
    "purpose": "user_data",
    "status": "processed",
}
_LIST = {"object": "list", "data": [EXAMPLE], "first_id": EXAMPLE["id"], "last_id": EXAMPLE["id"], "has_more": False}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            FORM.decode(): {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "Text, PDF or a picture."},
                        "purpose": {"type": "string", "default": "user_data"},
                    },
                }
            }
        },
    }
}

_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
_PAGES = [
    {"name": name, "in": "query", "schema": schema}
    for name, schema in (
        ("limit", {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": MOST_LISTED}),
        ("order", {"enum": ["asc", "desc"], "default": "desc"}),
        ("after", {"type": "string", "description": "The last id of the page before."}),
        ("purpose", {"type": "string"}),
    )
]


def _told(root: str, telling: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the reference says, with the path's name where it has one."""
    named = [_MODEL] if "{model" in root else []
    parameters = [*named, *more.pop("parameters", [])]
    return {**telling, "openapi_extra": {**telling["openapi_extra"], **more, "parameters": parameters}}


def heard(request: Request) -> Call:
    """The head of a request, as the data plane has it."""
    headers = tuple((bytes(name), bytes(value)) for name, value in request.scope["headers"])
    return Call(request.method, request.url.path, headers)


def project_of(request: Request, principal: Principal) -> str:
    """For which project somebody asks: their key's own, else what they say."""
    return principal.project or attribution_of(heard(request)).project or ""


def _whose(request: Request) -> Whose:
    principal = who(request)
    return principal.id, project_of(request, principal)


def add_files(made: APIRouter, root: str, files: Files, check: Callable[[Request], None]) -> None:
    """The five endpoints under `root`; `check` refuses requests whose path is not one."""

    @made.post(f"{root}/files", summary="Upload a file", **_told(root, told(EXAMPLE), **_FORM))
    async def upload(request: Request) -> Response:
        check(request)
        check_body(heard(request), (FORM,))
        draft = await files.begin(_whose(request))
        try:
            kept = await _Coming(draft, request).take()
        finally:
            await draft.drop()
        return response(Reply(200, WHOLE, say(kept)))

    @made.get(f"{root}/files", summary="List files", **_told(root, told(_LIST), parameters=_PAGES))
    async def listed(request: Request) -> Response:
        check(request)
        page = page_of(dict(request.query_params))
        return response(Reply(200, WHOLE, say_page(await files.every(_whose(request), page.purpose), page)))

    @made.get(f"{root}/files/{{id}}", summary="Show a file", **_told(root, told(EXAMPLE)))
    async def shown(request: Request, id: str) -> Response:
        check(request)
        return response(Reply(200, WHOLE, say(await files.find(_whose(request), id))))

    @made.get(
        f"{root}/files/{{id}}/content", summary="A file's bytes", **_told(root, told("...", "application/octet-stream"))
    )
    async def content(request: Request, id: str) -> Response:
        check(request)
        whose = _whose(request)
        kept = await files.find(whose, id)
        named = f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}"
        headers = {"content-disposition": named}
        return Response(await files.read(whose, id), media_type="application/octet-stream", headers=headers)

    @made.delete(
        f"{root}/files/{{id}}", summary="Delete a file", **_told(root, told({"id": EXAMPLE["id"], "deleted": True}))
    )
    async def removed(request: Request, id: str) -> Response:
        check(request)
        await files.remove(_whose(request), id)
        return response(Reply(200, WHOLE, json.encode(FileDeleted(id))))


class _Coming:
    """One upload while it comes in."""

    def __init__(self, draft: Draft, request: Request) -> None:
        self._draft = draft
        self._request = request
        self._fields: dict[str, bytes] = {}
        self._open: Opened | None = None
        self._name: str | None = None

    async def take(self) -> Kept:
        """All of it. Raises BadRequest."""
        try:
            reader = Reader(boundary_of(heard(self._request).header(b"content-type")))
            async for chunk in self._request.stream():
                for frame in reader.feed(chunk):
                    if isinstance(frame, Opened):
                        self._opens(frame)
                    elif isinstance(frame, Data):
                        await self._more(frame.data)
            reader.close()
        except Malformed as error:
            raise BadRequest(f"The body is not a form: {error}.") from None
        except ClientDisconnect:
            raise BadRequest("The upload was broken off.", status=408) from None
        if self._name is None:
            raise BadRequest("Missing required parameter: 'file'.", field="file")
        purpose = purpose_of(self._field("purpose"))
        seconds = seconds_of(self._field("expires_after[anchor]"), self._field("expires_after[seconds]"))
        return await self._draft.keep(self._name, purpose, seconds)

    def _opens(self, part: Opened) -> None:
        self._open = part
        if part.name != "file":
            if part.filename is not None:
                raise BadRequest(f"A file goes into the field 'file', not '{part.name}'.", field=part.name)
            self._fields.setdefault(part.name, b"")
        elif self._name is not None:
            raise BadRequest("One file at a time: the field 'file' is there twice.", field="file")
        else:
            self._name = (part.filename or "file").replace("\\", "/").rpartition("/")[2][:LONGEST_NAME] or "file"

    async def _more(self, data: bytes) -> None:
        part = self._open
        if part is None:
            return
        if part.name == "file":
            await self._draft.write(data)
            return
        field = self._fields[part.name] + data
        if len(field) > LONGEST_FIELD:
            raise BadRequest(f"The field '{part.name}' is longer than {LONGEST_FIELD} bytes.", field=part.name)
        self._fields[part.name] = field

    def _field(self, name: str) -> str:
        return self._fields.get(name, b"").decode("utf-8", "replace")


def router(desk: Desk) -> APIRouter:
    """`/v1/files`."""
    made = APIRouter(tags=["openai"])
    if desk.files is not None:
        add_files(made, "/v1", desk.files, lambda _: None)
    return made
