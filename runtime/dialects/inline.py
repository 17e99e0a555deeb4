"""Images whose bytes travel with the request: as base64 text, and of which type."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote_to_bytes

from ..canon import Image

__all__ = ["inline_data"]

_MAGIC: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""How base64 begins for the formats that vendors take, for data whose type nobody stated."""
_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),(.*)", re.DOTALL)


def inline_data(image: Image) -> tuple[str, str] | None:
    """An image's media type (empty if nobody knows it) and its data in base64; None for one that is at an address."""
    data, media_type = image.data, image.media_type
    if data is None:
        taken_apart = _DATA_URL.fullmatch(image.url or "")
        if taken_apart is None:
            return None
        stated, parameters, data = taken_apart.groups()
        media_type = media_type or stated
        if ";base64" not in parameters.lower():
            data = b64encode(unquote_to_bytes(data)).decode()
    return media_type or next((_MAGIC[start] for start in _MAGIC if data.startswith(start)), ""), data
