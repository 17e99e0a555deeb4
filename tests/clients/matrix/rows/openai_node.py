"""OpenAI's package for Node: a program of its own asks, and says what it was told.

The package is looked for in the folder that `LLM_DISPATCHER_NODE_MODULES` names, or in `clients-node/node_modules` of the environment
that runs this, where `make clients` puts it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from ..contract import Client, Errors, Heard
from ..story import HELLO, WHEN, City
from .openai_chat import TOOLS, answered_turns, said, shown

__all__ = ["OpenAINode"]

_MODULES = Path(os.environ.get("LLM_DISPATCHER_NODE_MODULES", Path(sys.prefix) / "clients-node/node_modules"))


class BadRequestError(Exception):
    """The package threw its own exception of this name."""


class RateLimitError(Exception):
    """As `BadRequestError`."""


class OpenAINode(Client):
    """`openai` under Node. Raises `ImportError` where either is missing."""

    name = "openai for Node"
    stop = "stop"
    called = "tool_calls"
    errors: ClassVar[Errors] = {400: BadRequestError, 429: RateLimitError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        node = shutil.which("node")
        if node is None or not (_MODULES / "openai").is_dir():
            raise ImportError(f"there is no node, or no package openai in {_MODULES}")
        self._program = subprocess.Popen(
            [node, str(Path(__file__).with_suffix(".mjs")), url, str(_MODULES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """See `Client`."""
        self._program.communicate(timeout=10)

    def _tell(self, what: str, model: str, messages: Any, **more: Any) -> Heard:
        stdin, stdout = self._program.stdin, self._program.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"what": what, "wish": {"model": model, "messages": messages, **more}}) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        for kind in self.errors.values():
            if answer.get("error") == kind.__name__:
                raise kind(answer["message"])
        if "error" in answer:
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return msgspec.convert(answer["heard"], Heard)

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._tell("ask", model, said(text))

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._tell("listen", model, said(text))

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        what = "listen" if streamed else "ask"
        asked = self._tell(what, model, said(WHEN), tools=TOOLS)
        return asked, self._tell(what, model, answered_turns(asked), tools=TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""
        wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}
        return json.loads(self._tell("ask", model, said(HELLO), response_format=wanted).text)

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return self._tell("ask", model, shown())

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        what = "listen" if streamed else "ask"
        return self._tell(what, model, said(HELLO), reasoning_effort="low")

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        self._tell("leave", model, said(text))
