"""OpenAI's responses, and every service that is compatible with them.

Options: those of `formats.responses.options.Options`, and `organization` and `project`, which are sent as headers. The
`base_url` is the same as for chat completions, such as `https://api.openai.com/v1`.
"""

from __future__ import annotations

from typing import ClassVar

import httpx

from .base import Target
from .door import Door
from .formats.responses.dialect import ResponsesDialect, options_of

__all__ = ["OpenAIResponses"]


class OpenAIResponses(ResponsesDialect):
    """`POST {base_url}/responses`, with the key as a bearer token."""

    name: ClassVar[str] = "openai-responses"

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
        self._options = options_of(self.name, options, "organization", "project")
        self._door = Door(httpx.URL(f"{target.base_url}/responses"), headers, target)
