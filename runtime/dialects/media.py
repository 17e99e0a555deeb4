"""What stands in a message beside text: data URLs, types of media, and documents that are text themselves.

The tables are our own, since the standard library's depends on the machine's files.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from ..canon import Audio, File, Image

__all__ = [
    "AUDIO_WORDS",
    "PDF",
    "Data",
    "data_of_url",
    "data_url",
    "inline_data",
    "text_of",
    "told_as_text",
    "type_of_data",
]

PDF: Final = "application/pdf"

AUDIO_WORDS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""OpenAI's words for the kinds of sound that it takes, and their media types."""

_MAGIC: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": PDF,
}
"""How base64 begins for what vendors take, for data whose type nobody stated."""

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),(.*)", re.DOTALL)
_TEXTS: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
"""Media types that are text, beside `text/*`."""


class Data(Struct, frozen=True):
    """`content` is base64; `media_type` None where nobody stated it."""

    content: str
    media_type: str | None


def data_of_url(url: str) -> Data | None:
    """What a `data:` URL holds; None for any other URL."""
    taken_apart = _DATA_URL.fullmatch(url)
    if taken_apart is None:
        return None
    media_type, parameters, content = taken_apart.groups()
    if ";base64" not in parameters.lower():
        content = b64encode(unquote_to_bytes(content)).decode()
    return Data(content, media_type or None)


def inline_data(part: Image | File | Audio) -> Data | None:
    """What travels with the request, and of which type; None for what is at an address."""
    if part.data is not None:
        return Data(part.data, part.media_type or type_of_data(part.data))
    held = data_of_url(part.url or "")
    if held is None:
        return None
    return Data(held.content, part.media_type or held.media_type or type_of_data(held.content))


def data_url(content: str, media_type: str) -> str:
    """Base64 as a URL."""
    return f"data:{media_type};base64,{content}"


def type_of_data(content: str) -> str | None:
    """The media type that base64 begins like; None if that is none of those that vendors take."""
    return next((found for start, found in _MAGIC.items() if content.startswith(start)), None)


def text_of(file: File) -> str | None:
    """What a document says that is text itself; None for every other one, and for one that is not here but at a URL."""
    kind = (file.media_type or "").partition(";")[0].strip().lower()
    if file.data is None or not (kind.startswith("text/") or kind in _TEXTS):
        return None
    try:
        return b64decode(file.data, validate=True).decode("utf-8")
    except (Error, UnicodeDecodeError, ValueError):
        return None


def told_as_text(file: File) -> str | None:
    """A document that is text, as a vendor without documents is told it; None for every other one."""
    text = text_of(file)
    if text is None:
        return None
    return f"{file.name or 'Document'}:\n\n{text}"
