"""An `httpx.Response` whose headers become httpx's when somebody looks at them.

A vendor sends two or three dozen, and httpx makes five calls for each. Our own reader (`runtime.exchange`) takes them as they came.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

__all__ = ["Fields", "ReceivedResponse", "fields_of"]

Fields = list[tuple[bytes, bytes]]

_NONE: Final = httpx.Headers()


class ReceivedResponse(httpx.Response):
    """A response as it was received: `fields` are its headers as on the wire."""

    def __init__(
        self,
        status_code: int,
        fields: Fields,
        stream: httpx.AsyncByteStream,
        extensions: dict[str, Any],
    ) -> None:
        super().__init__(status_code, headers=_NONE, stream=stream, extensions=extensions)
        self.fields = fields
        self._made: httpx.Headers | None = None

    @property
    def headers(self) -> httpx.Headers:
        """As httpx has them."""
        if self._made is None:
            self._made = httpx.Headers(self.fields)
        return self._made

    @headers.setter
    def headers(self, value: httpx.Headers) -> None:
        self._made = value


def fields_of(response: httpx.Response) -> Fields:
    """The headers of `response` as on the wire."""
    return response.fields if isinstance(response, ReceivedResponse) else response.headers.raw
