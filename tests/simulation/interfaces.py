"""The two interfaces of the house as a client speaks them: how a request looks, and what an answer says.

No code of the house is used. An answer counts as whole only if it says why it ended, and its format's terminal event came.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from .answer import Answer, prompt_of
from .story import Client

__all__ = ["INTERFACES", "Interface"]

_TOOL_SCHEMA: Final = {"type": "object", "properties": {}}


class Interface(Protocol):
    """One of them. A reader is made for each answer."""

    path: str

    def __init__(self, client: Client, answer: Answer) -> None: ...

    def body(self) -> dict[str, Any]:
        """The request."""

    def whole(self, body: bytes) -> None:
        """An answer in one piece."""

    def refusal(self, body: bytes) -> str:
        """The code of a refusal."""

    def event(self, block: bytes) -> None:
        """One event of a stream."""

    @property
    def ended(self) -> bool:
        """Whether the stream's own end has been there."""


class _OpenAI:
    path = "/v1/chat/completions"

    def __init__(self, client: Client, answer: Answer) -> None:
        self._client = client
        self._answer = answer
        self._reason = False
        self._terminal = False

    def body(self) -> dict[str, Any]:
        client = self._client
        body: dict[str, Any] = {
            "model": client.model,
            "messages": [{"role": "user", "content": prompt_of(client)}],
            "user": client.tenant,
            "stream": client.stream,
        }
        if client.most is not None:
            body["max_tokens"] = client.most
        if client.tools:
            tool = {"name": "look_up", "parameters": _TOOL_SCHEMA}
            body["tools"] = [{"type": "function", "function": tool}]
        return body

    def whole(self, body: bytes) -> None:
        choice = msgspec.json.decode(body)["choices"][0]
        self._answer.add(choice["message"]["content"] or "")
        if choice["finish_reason"]:
            self._answer.how = "complete"

    def refusal(self, body: bytes) -> str:
        return str(msgspec.json.decode(body)["error"]["code"])

    def event(self, block: bytes) -> None:
        if not block.startswith(b"data: "):
            return
        if block == b"data: [DONE]":
            self._terminal = True
            return
        data = msgspec.json.decode(block[6:])
        if "error" in data:
            self._answer.fail(str(data["error"]["code"]))
            return
        self._taken_over(data.get("x_dispatch", {}))
        for choice in data["choices"]:
            self._answer.add(choice["delta"].get("content") or "")
            self._reason = self._reason or choice.get("finish_reason") is not None

    def _taken_over(self, told: dict[str, Any]) -> None:
        if "seam" in told:
            self._answer.seam()
        if "restart" in told:
            self._answer.restart()

    @property
    def ended(self) -> bool:
        return self._reason and self._terminal


class _Anthropic:
    path = "/v1/messages"

    def __init__(self, client: Client, answer: Answer) -> None:
        self._client = client
        self._answer = answer
        self._reason = False
        self._terminal = False

    def body(self) -> dict[str, Any]:
        client = self._client
        body: dict[str, Any] = {
            "model": client.model,
            "max_tokens": client.most or 1024,
            "messages": [{"role": "user", "content": prompt_of(client)}],
            "metadata": {"user_id": client.tenant},
            "stream": client.stream,
        }
        if client.tools:
            body["tools"] = [{"name": "look_up", "input_schema": _TOOL_SCHEMA}]
        return body

    def whole(self, body: bytes) -> None:
        data = msgspec.json.decode(body)
        self._answer.add("".join([each["text"] for each in data["content"]]))
        if data["stop_reason"]:
            self._answer.how = "complete"

    def refusal(self, body: bytes) -> str:
        error = msgspec.json.decode(body)["error"]
        return str(error.get("code") or error["type"])

    def event(self, block: bytes) -> None:
        if block.startswith(b": x-dispatch-seam"):
            self._answer.seam()
        _, _, payload = block.partition(b"\ndata: ")
        if not block.startswith(b"event: ") or not payload:
            return
        data = msgspec.json.decode(payload)
        match block[7:].partition(b"\n")[0].decode():
            case "error":
                self._answer.fail(str(data["error"]["type"]))
            case "x_dispatch_restart":
                self._answer.restart()
            case "content_block_delta":
                self._answer.add(data["delta"].get("text", ""))
            case "message_delta":
                self._reason = data["delta"]["stop_reason"] is not None
            case "message_stop":
                self._terminal = True

    @property
    def ended(self) -> bool:
        return self._reason and self._terminal


INTERFACES: Final[dict[str, type[Interface]]] = {"openai": _OpenAI, "anthropic": _Anthropic}
