"""Google's generateContent, of the Gemini API and of Vertex AI."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from google.genai import types

from .asked import Asked, Tool, require
from .checked import as_typed
from .face import Face, sse
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["Gemini", "Vertex"]

_FIELDS: dict[str, Any] = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": list[types.SafetySetting],
    "labels": dict[str, str],
    "cachedContent": str,
}
_STATUS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED"}


class Gemini(Face):
    """`POST /v1beta/models/{model}:generateContent`, or `:streamGenerateContent?alt=sse`."""

    _paths = re.compile(r"/v1beta/models/gemini-3-flash:(generateContent|streamGenerateContent\?alt=sse)")

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        door = self._paths.fullmatch(path)
        require(door, f"no such path: {path}")
        self._check_key(headers)
        for name, value in body.items():
            require(name in _FIELDS, f"unknown field {name}")
            as_typed(value, _FIELDS[name])
        parts = body["contents"][-1]["parts"]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        config = body.get("generationConfig") or {}
        return Asked(
            stream=door is not None and door[1] != "generateContent",
            text=" ".join(part["text"] for part in parts if "text" in part),
            tools=[
                Tool(each["name"], _schema(each) or {})
                for tool in body.get("tools") or ()
                for each in tool["functionDeclarations"]
            ],
            result=_text(results[-1]["response"]) if results else None,
            schema=_schema(config),
            images=sum("inlineData" in part for part in parts),
            thinks=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
        )

    def _check_key(self, headers: Mapping[str, str]) -> None:
        require(headers.get("x-goog-api-key") == "sk-theirs", "no x-goog-api-key")

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        parts = _thoughts(said)
        parts.append({"text": said.text} if said.call is None else _call(said))
        return json.dumps(_answer(parts, "STOP")).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        thoughts = _thoughts(said)
        return [sse(_answer(thoughts))] if thoughts else []

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return sse(_answer([{"text": text}]))

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        return [sse(_answer([{"text": ""} if said.call is None else _call(said)], "STOP"))]

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        error: dict[str, Any] = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
        if status == 429:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": "3600s"}]
        return {}, json.dumps({"error": error}).encode()


class Vertex(Gemini):
    """The same in a project of Google's cloud, with an access token."""

    _paths = re.compile(
        r"/v1/projects/p/locations/global/publishers/google/models/gemini-3-flash:"
        r"(generateContent|streamGenerateContent\?alt=sse)"
    )

    def _check_key(self, headers: Mapping[str, str]) -> None:
        require(headers.get("authorization") == "Bearer ya29.theirs", "no access token")


def _answer(parts: list[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage = {"promptTokenCount": INPUT_TOKENS, "totalTokenCount": INPUT_TOKENS}
    if finish is not None:
        candidate["finishReason"] = finish
        usage["candidatesTokenCount"] = OUTPUT_TOKENS
        usage["totalTokenCount"] += OUTPUT_TOKENS
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3-flash",
        "responseId": "theirs",
    }


def _thoughts(said: Said) -> list[dict[str, Any]]:
    return [] if said.thought is None else [{"text": said.thought, "thought": True}]


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    call = {"name": said.call.name, "args": said.call.arguments}
    return {"functionCall": call, "thoughtSignature": "c2VhbGVk"}


def _text(response: dict[str, Any]) -> str:
    """What a function returned: an object, of which clients fill `output` or `result`."""
    return str(next(iter(response.values()), ""))


def _schema(holder: dict[str, Any]) -> dict[str, Any] | None:
    """A JSON schema, or what Google has in its place."""
    for name in ("parametersJsonSchema", "responseJsonSchema"):
        if name in holder:
            found: dict[str, Any] = holder[name]
            return found
    theirs = holder.get("parameters", holder.get("responseSchema"))
    return None if theirs is None else _lowered(theirs)


def _lowered(schema: Any) -> Any:
    """Google's schema with the types' names as JSON schema has them."""
    if isinstance(schema, list):
        return [_lowered(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _lowered(value)
        for name, value in schema.items()
    }
