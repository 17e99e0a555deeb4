"""OpenAI's chat completions, and every service that is compatible with them.

Options: those of `formats.chat_completions.quirks.Quirks`, and `organization` and `project`, which are sent as
headers. Where `max_tokens_field` is not given, OpenAI's own address is told `max_completion_tokens` and every
other one `max_tokens`, which is what compatible services know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
import msgspec

from ..canon import Completion, Fault, Request
from .base import Answer, Built, Decoder, Dialect, Target
from .door import Door
from .formats.chat_completions import FORMAT, faults, reply, request, stream
from .formats.chat_completions.quirks import Quirks

__all__ = ["OpenAI"]


class OpenAI(Dialect):
    """`POST {base_url}/chat/completions`, with the key as a bearer token."""

    name: ClassVar[str] = "openai"
    format: ClassVar[str] = FORMAT

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
        self._quirks = quirks_of({"max_tokens_field": field, **options}, self.name)
        self._door = Door(url, headers, target)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(
            wanted, self.target.model, self._quirks, stream=stream, lenient=self.target.lenient
        )
        return Built(self._door.request(body, stream=stream), dropped)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._quirks)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)


def quirks_of(options: Mapping[str, Any], dialect: str) -> Quirks:
    """The quirks that `options` declare. Raises `ValueError`, naming the option."""
    try:
        return msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"options of the dialect {dialect!r}: {error}; known are organization, project, "
            + ", ".join(Quirks.__struct_fields__)
        ) from None
