"""Amazon Bedrock's Converse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.fakes.eventstream import event

from .asked import Asked, Tool, require
from .face import Face, bearer
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["Converse"]

_USAGE = {
    "inputTokens": INPUT_TOKENS,
    "outputTokens": OUTPUT_TOKENS,
    "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
}
_METRICS = {"latencyMs": 5}
_EXCEPTIONS = {400: "ValidationException", 429: "ThrottlingException"}


class Converse(Face):
    """`POST /model/{model}/converse`, or `.../converse-stream`."""

    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    _place = 0
    """Of the block that is being told."""

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        door = re.fullmatch(r"/model/([^/]+)/converse(-stream)?", path)
        require(door, f"no such path: {path}")
        assert door is not None
        bearer(headers)
        _check("ConverseStream" if door[2] else "Converse", {"modelId": unquote(door[1]), **body})
        blocks = body["messages"][-1]["content"]
        results = [_text(each["toolResult"]["content"]) for each in blocks if "toolResult" in each]
        wanted = (body.get("outputConfig") or {}).get("textFormat") or {}
        schema = (wanted.get("structure") or {}).get("jsonSchema")
        tools = (body.get("toolConfig") or {}).get("tools") or ()
        more = body.get("additionalModelRequestFields") or {}
        return Asked(
            stream=bool(door[2]),
            text=_text(blocks),
            tools=[Tool(each["toolSpec"]["name"], each["toolSpec"]["inputSchema"]["json"]) for each in tools],
            result=results[-1] if results else None,
            schema=None if schema is None else json.loads(schema["schema"]),
            images=sum("image" in each for each in blocks),
            thinks=(more.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        )

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        blocks: list[dict[str, Any]] = []
        if said.thought is not None:
            thought = {"text": said.thought, "signature": "sealed"}
            blocks.append({"reasoningContent": {"reasoningText": thought}})
        if said.call is None:
            blocks.append({"text": said.text})
        else:
            blocks.append({"toolUse": {**_call(said), "input": said.call.arguments}})
        message = {"role": "assistant", "content": blocks}
        answer = {"output": {"message": message}, "stopReason": _finish(said)}
        return json.dumps({**answer, "usage": _USAGE, "metrics": _METRICS}).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        events = [event("messageStart", {"role": "assistant"})]
        if said.thought is not None:
            events += [
                self._delta({"reasoningContent": {"text": said.thought}}),
                self._delta({"reasoningContent": {"signature": "sealed"}}),
                self._stop(),
            ]
        return events

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return self._delta({"text": text})

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        events = []
        if said.call is not None:
            start = {"start": {"toolUse": _call(said)}, "contentBlockIndex": self._place}
            written = said.call.written
            events.append(event("contentBlockStart", start))
            events += [self._delta({"toolUse": {"input": each}}) for each in (written[:5], written[5:])]
        return [
            *events,
            self._stop(),
            event("messageStop", {"stopReason": _finish(said)}),
            event("metadata", {"usage": _USAGE, "metrics": _METRICS}),
        ]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return event("contentBlockDelta", {"delta": delta, "contentBlockIndex": self._place})

    def _stop(self) -> bytes:
        place = self._place
        self._place += 1
        return event("contentBlockStop", {"contentBlockIndex": place})

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        name = _EXCEPTIONS.get(status, "InternalServerException")
        return {"x-amzn-errortype": name}, json.dumps({"message": message}).encode()


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


def _check(operation: str, body: dict[str, Any]) -> None:
    shape = _service().operation_model(operation).input_shape
    report = ParamValidator().validate(body, shape)
    require(not report.has_errors(), report.generate_report())
    unknown = body.keys() - shape.members.keys()
    require(not unknown, f"unknown fields: {sorted(unknown)}")


def _finish(said: Said) -> str:
    return "end_turn" if said.call is None else "tool_use"


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    return {"toolUseId": said.call.id, "name": said.call.name}


def _text(blocks: list[dict[str, Any]]) -> str:
    return " ".join(
        block["text"] if "text" in block else str(next(iter(block["json"].values()), ""))
        for block in blocks
        if "text" in block or "json" in block
    )
