"""What the recordings of Google's format hold, read with nothing but `json` and a split.

Written apart from the product, and simpler: it never sees a stream in pieces.
"""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording

FOLDERS = ("gemini-generate", "vertex-generate")

WORDS = {1: "STOP", 2: "MAX_TOKENS"}
"""The finish reasons that occur as numbers."""


def pieces(recording: Recording) -> list[dict[str, Any]]:
    """The JSON objects of an answer, in whichever of the three shapes it came."""
    text = recording.body.decode().strip()
    if text.startswith("["):
        return list(json.loads(text))
    if text.startswith("{"):
        return [json.loads(text)]
    blocks = re.split(r"(?:\r\n|\n|\r){2,}", text)
    return [json.loads(block[len("data:") :]) for block in blocks if block.startswith("data:")]


def expected(recording: Recording) -> Expected:
    """The answer of a recording of status 200."""
    texts: dict[int, str] = {}
    thinking: dict[int, str] = {}
    calls: dict[int, list[tuple[str, Any]]] = {}
    finishes: dict[int, str | None] = {}
    usage: dict[str, int] | None = None
    for piece in pieces(recording):
        for position, candidate in enumerate(piece.get("candidates", [])):
            index = candidate.get("index", position)
            for store, empty in ((texts, ""), (thinking, "")):
                store.setdefault(index, empty)
            calls.setdefault(index, [])
            for part in candidate.get("content", {}).get("parts", []):
                if "functionCall" in part:
                    calls[index].append((part["functionCall"]["name"], part["functionCall"].get("args", {})))
                elif part.get("thought"):
                    thinking[index] += part.get("text", "")
                else:
                    texts[index] += part.get("text", "")
            word = candidate.get("finishReason")
            finishes[index] = WORDS[word] if isinstance(word, int) else word or finishes.get(index)
        if "blockReason" in piece.get("promptFeedback", {}) and "candidates" not in piece:
            texts[0], thinking[0], calls[0] = "", "", []
            finishes[0] = piece["promptFeedback"]["blockReason"]
        usage = _usage(piece.get("usageMetadata", {})) or usage
    order = sorted(texts)
    return Expected(
        texts=[texts[index] for index in order],
        thinking=[thinking[index] for index in order],
        tool_calls=[calls[index] for index in order],
        finishes=[finishes[index] for index in order],
        usage=usage,
        complete=all(finishes.values()),
    )


def _usage(raw: dict[str, Any]) -> dict[str, int] | None:
    if not any(name.endswith("TokenCount") for name in raw):
        return None
    found = {
        "input_tokens": raw.get("promptTokenCount", 0) + raw.get("toolUsePromptTokenCount", 0),
        "output_tokens": raw.get("candidatesTokenCount", 0) + raw.get("thoughtsTokenCount", 0),
        "cache_read_tokens": raw.get("cachedContentTokenCount", 0),
        "reasoning_tokens": raw.get("thoughtsTokenCount", 0),
    }
    for direction, field in (("input", "promptTokensDetails"), ("output", "candidatesTokensDetails")):
        heard = [item["tokenCount"] for item in raw.get(field, []) if item["modality"] == "AUDIO"]
        found[f"audio_{direction}_tokens"] = sum(heard)
    return found


REFUSALS: dict[str, FaultClass] = {
    "gemini-generate/braintrust-sdk-python-braintrust-wrappers-test-error-handling-0-5356d6": FaultClass.NO_MODEL,
    "gemini-generate/crewAI-crewai-TestAgentMultimodalGemini.test-video-file-gemini-gemini-2.0-flash-0-2b06da": FaultClass.RATE_LIMITED,
    "gemini-generate/genai-Scoreboard-gemini-flash-latest-thinking-GenSync-TopLogprobs-0-493e6a": FaultClass.BAD_REQUEST,
    "gemini-generate/genai-Scoreboard-gemini-flash-lite-latest-GenStreamMultiModal-Video-webm-URL-0-3eac43": FaultClass.SERVER_ERROR,
    "gemini-generate/genai-Scoreboard-gemini-flash-lite-latest-GenSyncMultiModal-Image-webp-URL-0-ae0344": FaultClass.SERVER_ERROR,
    "gemini-generate/genai-Scoreboard-gemini-flash-lite-latest-thinking-GenStream-TopLogprobs-0-09840f": FaultClass.BAD_REQUEST,
    "gemini-generate/genai-errors-bad-apiKey-GenStream-0-5b8a9e": FaultClass.AUTH,
    "gemini-generate/genai-errors-bad-apiKey-GenSync-0-7559f6": FaultClass.AUTH,
    "gemini-generate/genai-errors-bad-model-GenStream-0-c36710": FaultClass.NO_MODEL,
    "gemini-generate/genai-errors-bad-model-GenSync-0-bb39a8": FaultClass.NO_MODEL,
    "gemini-generate/genai-gemini-TestClient-ErrorResponse-0-cf53a0": FaultClass.DAILY_LIMIT,
    "gemini-generate/genai-gemini-TestClient-ErrorResponse-0-d6ade6": FaultClass.NO_MODEL,
    "gemini-generate/langchaingo-llms-googleai-TestGoogleAIErrorHandling-0-0e426a": FaultClass.AUTH,
    "gemini-generate/mirascope-input-test-model-not-found-stream-google-gemini-2-5-flash-0-a05fa1": FaultClass.NO_MODEL,
    "gemini-generate/req-llm-google-gemini-2-5-flash-image-object-basic-0-99e09b": FaultClass.BAD_REQUEST,
    "gemini-generate/req-llm-google-gemini-2-5-pro-preview-tts-streaming-0-37a34b": FaultClass.BAD_REQUEST,
    "gemini-generate/req-llm-google-gemini-2-5-pro-preview-tts-usage-0-3ff068": FaultClass.BAD_REQUEST,
    "gemini-generate/rig-gemini-error-envelope-nonexistent-model-streaming-error-preserves-status-and-body-0-60a220": FaultClass.NO_MODEL,
    "gemini-generate/ruby-llm-chat-real-error-scenarios-gemini-gemini-2-5-flash-handles-context-length-exceeded-errors-0-8056f6": FaultClass.RATE_LIMITED,
    "gemini-generate/ruby-llm-chat-real-error-scenarios-gemini-gemini-2-5-flash-handles-context-length-exceeded-errors-0-aa6547": FaultClass.RATE_LIMITED,
    "vertex-generate/opentelemetry-python-contrib-ion-genai-opentelemetry-instrumentation-vertexai-test-generate-content-invalid-temperature-0-cf0836": FaultClass.BAD_REQUEST,
    "vertex-generate/opentelemetry-python-contrib-umentation-genai-opentelemetry-instrumentation-vertexai-test-generate-content-invalid-role-0-cce927": FaultClass.BAD_REQUEST,
    "vertex-generate/ruby-llm-chat-real-error-scenarios-vertexai-gemini-2-5-flash-handles-context-length-exceeded-errors-1-1388d5": FaultClass.CONTEXT_LENGTH,
    "vertex-generate/ruby-llm-chat-real-error-scenarios-vertexai-gemini-2-5-flash-handles-context-length-exceeded-errors-1-1f7bd1": FaultClass.RATE_LIMITED,
}  # fmt: skip
"""Every refused recording, judged by hand. The prompt that is "too long" at Gemini runs into a limit of tokens
per minute first, so it is a rate limit; one with a limit per day among its violations is closed for the day."""


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return REFUSALS[recording.name]
