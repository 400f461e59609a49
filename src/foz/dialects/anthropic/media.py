"""Pictures and documents as blocks."""

import binascii
from base64 import b64decode

from foz.canon.content import Media
from foz.canon.fault import Unsupported

Wire = dict[str, object]
_PDF = "application/pdf"
_SIGNATURES = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp", "JVBER": _PDF}
"""How base64 begins, where nobody said what it is."""


def unsupported(why: str, field: str = "messages") -> Unsupported:
    """What cannot be said to this model's provider."""
    return Unsupported(f"This model's provider speaks the Anthropic dialect: {why}.", field=field)


def say_media(media: Media) -> Wire:
    """A picture or a document. Raises Unsupported."""
    if media.kind == "image":
        return {"type": "image", "source": _source(media, "image/png")}
    if media.kind != "file":
        raise unsupported(f"it takes pictures and documents, not {media.kind}")
    mime = (media.mime or _guessed(media) or "").partition(";")[0]
    said: Wire = {"type": "document"}
    if media.data is not None and mime.startswith("text/"):
        said["source"] = {"type": "text", "media_type": "text/plain", "data": _text(media.data)}
    elif media.data is not None and mime != _PDF:
        raise unsupported(f"of files it takes PDFs and texts, not {mime or 'what nobody says the type of'}")
    else:
        said["source"] = _source(media, _PDF)
    if media.name is not None:
        said["title"] = media.name
    return said


def _source(media: Media, otherwise: str) -> Wire:
    if media.data is not None:
        kind = media.mime or _guessed(media) or otherwise
        return {"type": "base64", "media_type": kind, "data": media.data}
    if media.url is not None:
        return {"type": "url", "url": media.url}
    if media.file_id is not None:
        return {"type": "file", "file_id": media.file_id}
    raise unsupported("a picture or a document without data, a link or an id is none")


def _guessed(media: Media) -> str | None:
    data = media.data or ""
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)


def _text(data: str) -> str:
    try:
        return b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise unsupported(f"a text's data must be base64 of UTF-8 ({error})") from None
