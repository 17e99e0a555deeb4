"""OpenAI's chat completions, and every service that is compatible with them.

Options: those of `formats.chat_completions.quirks.Quirks`, and `organization` and `project`, which are sent as
headers. Where `max_tokens_field` is not given, OpenAI's own address is told `max_completion_tokens` and every
other one `max_tokens`, which is what compatible services know.
"""

from __future__ import annotations

from typing import ClassVar

import httpx
import msgspec

from .base import Target
from .door import Door
from .formats.chat_completions.dialect import ChatCompletionsDialect
from .formats.chat_completions.quirks import Quirks

__all__ = ["OpenAI"]


class OpenAI(ChatCompletionsDialect):
    """`POST {base_url}/chat/completions`, with the key as a bearer token."""

    name: ClassVar[str] = "openai"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        options = dict(target.options)
        headers = {
            header: str(options.pop(option))
            for option, header in (("organization", "openai-organization"), ("project", "openai-project"))
            if option in options
        }
        if target.key:
            headers["authorization"] = f"Bearer {target.key}"
        url = httpx.URL(f"{target.base_url}/chat/completions")
        field = "max_completion_tokens" if url.host == "api.openai.com" else "max_tokens"
        try:
            self._quirks = msgspec.convert({"max_tokens_field": field, **options}, Quirks)
        except msgspec.ValidationError as error:
            known = ", ".join(("organization", "project", *Quirks.__struct_fields__))
            raise ValueError(f"options of the dialect 'openai': {error}; known are {known}") from None
        self._door = Door(url, headers, target)
