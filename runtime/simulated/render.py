"""Writes a simulated answer as OpenAI's JSON: in one piece, as the events of a stream, or as an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from .answer import Answer, Said
from .body import Body

__all__ = ["chunks", "completion", "refusal"]

_DONE: Final = b"data: [DONE]\n\n"

_FINGERPRINT: Final = "fp_simulated"


def completion(answer: Answer, created: int, *, bare: bool = False) -> bytes:
    """The answer in one piece: `chat.completion`, or `text_completion` if it is `bare` text."""
    return msgspec.json.encode(
        {
            "id": answer.id,
            "object": "text_completion" if bare else "chat.completion",
            "created": created,
            "model": answer.model,
            "choices": [
                (_text if bare else _choice)(index, said) for index, said in enumerate(answer.choices)
            ],
            "usage": _usage(answer),
            "system_fingerprint": _FINGERPRINT,
        }
    )


def _choice(index: int, said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.whole, "refusal": None, "annotations": []}
    if said.function is not None:
        message["content"] = None
        function = {"name": said.function, "arguments": said.whole}
        message["tool_calls"] = [{"id": said.call_id, "type": "function", "function": function}]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": said.finish}


def _text(index: int, said: Said) -> dict[str, Any]:
    return {"text": said.whole, "index": index, "logprobs": None, "finish_reason": said.finish}


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chunks(answer: Answer, body: Body, created: int, *, bare: bool = False) -> Iterator[tuple[int, bytes]]:
    """The answer as server-sent events, `[DONE]` included.

    With each comes how many steps of the model it waits for: nothing but the first token for those of the
    opening, and one step more for each token of a choice. The choices of one answer advance together.
    """
    head = {
        "id": answer.id,
        "object": "text_completion" if bare else "chat.completion.chunk",
        "created": created,
        "model": answer.model,
        "system_fingerprint": _FINGERPRINT,
    }
    tail: dict[str, Any] = {"usage": None} if body.include_usage else {}

    def event(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        piece = {"text": delta.get("content", "")} if bare else {"delta": delta}
        choice = {"index": index, **piece, "logprobs": None, "finish_reason": finish}
        return _event({**head, "choices": [choice], **tail})

    for index, said in enumerate(answer.choices):
        yield 0, event(index, _opening(said))
    longest = max([len(said.pieces) for said in answer.choices])
    for step in range(longest + 1):
        for index, said in enumerate(answer.choices):
            if step < len(said.pieces):
                yield step, event(index, _delta(said, said.pieces[step]))
            elif step == len(said.pieces):
                yield max(0, step - 1), event(index, {}, said.finish)
    if body.include_usage:
        yield max(0, longest - 1), _event({**head, "choices": [], "usage": _usage(answer)})
    yield max(0, longest - 1), _DONE


def _opening(said: Said) -> dict[str, Any]:
    """The first delta of a choice: who speaks, and which function is called."""
    if said.function is None:
        return {"role": "assistant", "content": "", "refusal": None}
    function = {"name": said.function, "arguments": ""}
    call = {"index": 0, "id": said.call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}


def _delta(said: Said, piece: str) -> dict[str, Any]:
    if said.function is None:
        return {"content": piece}
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def refusal(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """OpenAI's error envelope."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})
