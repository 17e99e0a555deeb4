"""Instructor, which makes every answer an object."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import instructor
import openai
from instructor.core import InstructorRetryException

from ..contract import Client, Errors, Heard, Reasons
from ..story import City
from .openai_chat import said, shown

__all__ = ["Instructor"]

_ALWAYS_OBJECTS = "Instructor asks for objects only"


class Instructor(Client):
    """`instructor.from_openai`, by a JSON schema and by a function that must be called."""

    name = "instructor"
    stop = None
    called = None
    lacks: ClassVar[Reasons] = dict.fromkeys(
        ("plain", "streamed", "tools", "tools streamed", "image", "thinking", "cancelled"), _ALWAYS_OBJECTS
    )
    errors: ClassVar[Errors] = {400: InstructorRetryException, 429: InstructorRetryException}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        # It logs every refusal besides raising it.
        logging.getLogger("instructor").setLevel(logging.CRITICAL)
        self._sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self._sdk.close()

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`: for the refusals."""
        by_schema: Any = instructor.from_openai(self._sdk, mode=instructor.Mode.JSON_SCHEMA)
        by_schema.create(model=model, messages=said(text), response_model=City, max_retries=1)
        return Heard()

    def structured(self, model: str) -> object:
        """See `Client`. By a schema, in pieces, and where a call can be demanded, by a call."""
        by_schema: Any = instructor.from_openai(self._sdk, mode=instructor.Mode.JSON_SCHEMA)
        wish: Any = {"model": model, "messages": shown(), "response_model": City, "max_retries": 1}
        first = by_schema.create(**wish)
        *_, last = by_schema.create_partial(**wish)
        assert last.model_dump() == first.model_dump()
        if model != "ollama":
            by_call: Any = instructor.from_openai(self._sdk, mode=instructor.Mode.TOOLS)
            assert isinstance(by_call.create(**wish), City)
        return first
