"""Pictures, sounds, films and files as content parts, both ways."""

from foz.canon.content import Media
from foz.canon.fault import Unsupported
from foz.dialects.openai.chat import schema

_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a", "mp4": "m4a", "x-flac": "flac"}
_SIGNATURES = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How base64 begins, for pictures whose type nobody said."""


def _parse(url: str) -> tuple[str | None, str | None, str | None]:
    """(url, data, mime) of a link that may be a data URI."""
    if url[:5].lower() == "data:":
        head, _, data = url.partition(",")
        if head.endswith(";base64"):
            return None, data, head[5:-7] or None
    return url, None, None


def hear_media(
    part: schema.ImagePart | schema.AudioPart | schema.FilePart | schema.AudioLinkPart | schema.VideoPart,
) -> Media:
    """A part in our words."""
    match part:
        case schema.ImagePart(image_url=link):
            url, data, mime = _parse(link.url)
            return Media("image", url, data, mime, detail=link.detail)
        case schema.AudioPart(input_audio=sound):
            return Media("audio", data=sound.data, mime=f"audio/{sound.format}")
        case schema.AudioLinkPart(audio_url=link):
            url, data, mime = _parse(link.url)
            return Media("audio", url, data, mime)
        case schema.VideoPart(video_url=link):
            url, data, mime = _parse(link.url)
            return Media("video", url, data, mime)
        case schema.FilePart(file=document):
            return _hear_document(document)


def _hear_document(document: schema.Document) -> Media:
    written = document.file_data
    url = data = mime = None
    if written is not None:
        url, data, mime = _parse(written)
        if data is None and not written.startswith(("http://", "https://")):
            url, data = None, written
    return Media("file", url, data, mime, document.filename, document.file_id)


def say_media(media: Media) -> dict[str, object]:
    """A part as OpenAI writes it. Raises Unsupported."""
    if media.kind == "file" or (media.url is None and media.data is None):
        return _say_document(media)
    if media.kind == "audio" and media.data is not None:
        kind = (media.mime or "audio/wav").removeprefix("audio/")
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": _FORMATS.get(kind, kind)}}
    link: dict[str, object] = {"url": _link(media)}
    if media.detail is not None and media.kind == "image":
        link["detail"] = media.detail
    kind = f"{media.kind}_url"
    return {"type": kind, kind: link}


def _say_document(media: Media) -> dict[str, object]:
    document: dict[str, object] = {}
    if media.url is not None or media.data is not None:
        document["file_data"] = _link(media)
    if media.file_id is not None:
        document["file_id"] = media.file_id
    if not document:
        raise Unsupported(f"A part of kind '{media.kind}' holds neither data nor a link.", field="messages")
    if media.name is not None:
        document["filename"] = media.name
    return {"type": "file", "file": document}


def _link(media: Media) -> str:
    if media.data is None:
        return media.url or ""
    mime = media.mime
    if mime is None and media.kind == "file":
        return media.data
    if mime is None and media.kind == "image":
        mime = next((kind for start, kind in _SIGNATURES.items() if media.data.startswith(start)), "image/png")
    return f"data:{mime or ''};base64,{media.data}"
