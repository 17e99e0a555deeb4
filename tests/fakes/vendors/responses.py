"""OpenAI's responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from .asked import Asked, Tool, require
from .checked import as_typed, known
from .face import Face, bearer, sse
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["Responses"]

_THOUGHTS, _MESSAGE, _CALL = "rs_theirs", "msg_theirs", "fc_theirs"


class Responses(Face):
    """`POST /v1/responses`."""

    def __init__(self) -> None:
        self._events = 0
        self._place = 0
        """Of the item that is being told."""

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        require(path == "/v1/responses", f"no such path: {path}")
        bearer(headers)
        stream = body.get("stream") is True
        typed = ResponseCreateParamsStreaming if stream else ResponseCreateParamsNonStreaming
        known(body, typed)
        as_typed(body, typed)
        items = (
            [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
        )
        last = items[-1]
        content = last.get("content") or []
        parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
        wanted = (body.get("text") or {}).get("format") or {}
        return Asked(
            stream=stream,
            text=" ".join(part["text"] for part in parts if part["type"] == "input_text"),
            tools=[Tool(each["name"], each["parameters"] or {}) for each in body.get("tools") or ()],
            result=_output(last) if last.get("type") == "function_call_output" else None,
            schema=wanted["schema"] if wanted.get("type") == "json_schema" else None,
            images=sum(part["type"] == "input_image" for part in parts),
            thinks="summary" in (body.get("reasoning") or {}),
        )

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        return json.dumps(_response("completed", _items(said))).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        events = [
            self._event(f"response.{word}", response=_response("in_progress", []))
            for word in ("created", "in_progress")
        ]
        if said.thought is not None:
            events += self._thoughts(said.thought)
        if said.call is None:
            item = {**_message(""), "status": "in_progress", "content": []}
            events.append(self._event("response.output_item.added", output_index=self._place, item=item))
            events.append(self._of_text("response.content_part.added", part=_text("")))
        return events

    def _thoughts(self, thought: str) -> list[bytes]:
        item = _thought(thought)
        at = {"output_index": 0, "item_id": _THOUGHTS, "summary_index": 0}
        kind = "response.reasoning_summary"
        events = [
            self._event("response.output_item.added", output_index=0, item={**item, "summary": []}),
            self._event(f"{kind}_part.added", **at, part={"type": "summary_text", "text": ""}),
            self._event(f"{kind}_text.delta", **at, delta=thought),
            self._event(f"{kind}_text.done", **at, text=thought),
            self._event(f"{kind}_part.done", **at, part={"type": "summary_text", "text": thought}),
            self._event("response.output_item.done", output_index=0, item=item),
        ]
        self._place = 1
        return events

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return self._of_text("response.output_text.delta", delta=text, logprobs=[])

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        place = self._place
        if said.call is None:
            events = [
                self._of_text("response.output_text.done", text=said.text, logprobs=[]),
                self._of_text("response.content_part.done", part=_text(said.text)),
                self._event("response.output_item.done", output_index=place, item=_message(said.text)),
            ]
        else:
            item, at = _call(said), {"output_index": place, "item_id": _CALL}
            opened = {**item, "arguments": "", "status": "in_progress"}
            written = said.call.written
            kind = "response.function_call_arguments"
            events = [
                self._event("response.output_item.added", output_index=place, item=opened),
                self._event(f"{kind}.delta", **at, delta=written[:5]),
                self._event(f"{kind}.delta", **at, delta=written[5:]),
                self._event(f"{kind}.done", **at, name=said.call.name, arguments=written),
                self._event("response.output_item.done", output_index=place, item=item),
            ]
        return [*events, self._event("response.completed", response=_response("completed", _items(said)))]

    def _of_text(self, kind: str, **more: Any) -> bytes:
        return self._event(kind, output_index=self._place, content_index=0, item_id=_MESSAGE, **more)

    def _event(self, kind: str, **more: Any) -> bytes:
        number = self._events
        self._events += 1
        return sse({"type": kind, "sequence_number": number, **more}, kind)

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        limited = status == 429
        error = {
            "message": message,
            "type": "requests" if limited else "invalid_request_error",
            "param": None if limited else "input",
            "code": "rate_limit_exceeded" if limited else "invalid_value",
        }
        return {"retry-after": "3600"} if limited else {}, json.dumps({"error": error}).encode()


def _response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "gpt-5-mini",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if output else None,
    }


def _items(said: Said) -> list[dict[str, Any]]:
    thoughts = [] if said.thought is None else [_thought(said.thought)]
    return [*thoughts, _message(said.text) if said.call is None else _call(said)]


def _thought(thought: str) -> dict[str, Any]:
    return {"id": _THOUGHTS, "type": "reasoning", "summary": [{"type": "summary_text", "text": thought}]}


def _message(text: str) -> dict[str, Any]:
    return {
        "id": _MESSAGE,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [_text(text)],
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    return {
        "id": _CALL,
        "type": "function_call",
        "call_id": said.call.id,
        "name": said.call.name,
        "arguments": said.call.written,
        "status": "completed",
    }


def _output(item: dict[str, Any]) -> str:
    output = item["output"]
    return output if isinstance(output, str) else " ".join(part["text"] for part in output)
