"""Images: base64 data goes inline, a URL as a reference that Google fetches itself."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ....canon import Image
from .drops import Drops
from .wire import FORMAT

__all__ = ["image_part"]

_TYPES: Final = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}
"""A table of our own, since the standard library's depends on the machine's files."""

_MAGIC: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""How base64 begins for the formats that vendors take, for data whose type nobody stated."""

_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]+)(?:[?#].*)?$", re.DOTALL)
_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),(.*)", re.DOTALL)


def image_part(image: Image, drops: Drops) -> dict[str, Any]:
    """The part for an image. The media type of a URL is guessed from its suffix where none is given."""
    if image.detail not in (None, "auto"):
        drops.refuse(f"image detail {image.detail!r}", "leave it out")
    if image.data is not None:
        part = _inline(image.data, image.media_type)
    else:
        part = _at_url(image.url or "", image.media_type)
    own = (image.extra or {}).get(FORMAT)
    return {**part, **own} if isinstance(own, dict) else part


def _inline(data: str, media_type: str | None) -> dict[str, Any]:
    blob = {"data": data}
    found = media_type or next((_MAGIC[start] for start in _MAGIC if data.startswith(start)), None)
    if found:
        blob["mimeType"] = found
    return {"inlineData": blob}


def _at_url(url: str, media_type: str | None) -> dict[str, Any]:
    taken_apart = _DATA_URL.fullmatch(url)
    if taken_apart is not None:
        stated, parameters, data = taken_apart.groups()
        if ";base64" not in parameters.lower():
            data = b64encode(unquote_to_bytes(data)).decode()
        return _inline(data, media_type or stated)
    file: dict[str, Any] = {"fileUri": url}
    suffix = _SUFFIX.search(url)
    guessed = media_type or (_TYPES.get(suffix.group(1).lower()) if suffix else None)
    if guessed:
        file["mimeType"] = guessed
    return {"fileData": file}
