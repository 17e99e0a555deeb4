"""Images, documents and sound: base64 data goes inline, a URL as a reference that Google fetches itself."""

from __future__ import annotations

import re
from typing import Any, Final

from ....canon import Audio, File, Image
from ...media import Data, inline_data
from ...wishes import Wishes
from .wire import FORMAT

__all__ = ["media_part"]

_TYPES: Final = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "csv": "text/csv",
    "flac": "audio/flac",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "md": "text/markdown",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webp": "image/webp",
}
"""A table of our own, since the standard library's depends on the machine's files."""

_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]+)(?:[?#].*)?$", re.DOTALL)


def media_part(media: Image | File | Audio, wishes: Wishes) -> dict[str, Any]:
    """The part for what is not text. The media type of a URL is guessed from its suffix where none is given."""
    if isinstance(media, Image) and media.detail not in (None, "auto"):
        wishes.cannot(f"image detail {media.detail!r}", "leave it out")
    held = inline_data(media)
    part = _at_url(media.url or "", media.media_type) if held is None else _inline(held)
    own = (media.extra or {}).get(FORMAT)
    return {**part, **own} if isinstance(own, dict) else part


def _inline(held: Data) -> dict[str, Any]:
    blob = {"data": held.content}
    if held.media_type:
        blob["mimeType"] = held.media_type
    return {"inlineData": blob}


def _at_url(url: str, media_type: str | None) -> dict[str, Any]:
    file: dict[str, Any] = {"fileUri": url}
    suffix = _SUFFIX.search(url)
    guessed = media_type or (_TYPES.get(suffix.group(1).lower()) if suffix else None)
    if guessed:
        file["mimeType"] = guessed
    return {"fileData": file}
