"""Usage in the chat-completions format, to and from the canonical one.

OpenAI's sums mean what the canonical ones do: `prompt_tokens` includes what came from the cache, and
`completion_tokens` the reasoning. Three vendors leave a kind out of these two, which only `total_tokens` shows: xAI
and Google reasoning (Google without naming it), Mistral the audio that was put in (beside `prompt_audio_seconds`).
"""

from __future__ import annotations

from typing import Any

from ....canon import Usage
from ...untrusted import token_count

__all__ = ["read_usage", "write_usage"]


def read_usage(raw: Any) -> Usage | None:
    """The canonical usage, or None where there is none in `raw`."""
    if not isinstance(raw, dict):
        return None
    prompt = _details(raw, "prompt_tokens_details")
    completion = _details(raw, "completion_tokens_details")
    inputs, outputs = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    reasoning, audio = _count(completion, "reasoning_tokens"), _count(prompt, "audio_tokens")
    beside = max(0, _count(raw, "total_tokens") - inputs - outputs)
    if beside and raw.get("prompt_audio_seconds") is not None:
        inputs += beside
        audio = audio or beside
    elif beside:
        outputs += beside
        reasoning = reasoning or beside
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cache_read_tokens=_count(prompt, "cached_tokens") or _count(raw, "prompt_cache_hit_tokens"),
        cache_write_tokens=_count(prompt, "cache_write_tokens"),
        reasoning_tokens=reasoning,
        audio_input_tokens=audio,
        audio_output_tokens=_count(completion, "audio_tokens"),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The format's `usage` object."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "audio_tokens": usage.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _details(raw: dict[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _count(raw: dict[str, Any], name: str) -> int:
    return token_count(raw.get(name))
