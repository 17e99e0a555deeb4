"""What fuzzing starts from: small built-in bodies of every format, and recorded ones where the corpus is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from llm_dispatcher.runtime.config import DEFAULT_FILE

from tests.corpus import ROOT, Recording, folder
from tests.fakes.eventstream import event, exception

__all__ = [
    "CONFIGURATIONS",
    "DOTENV",
    "REQUESTS",
    "RESPONSES",
    "answers",
    "client_requests",
    "streams",
    "wholes",
]

_MOST_RECORDED: Final = 6
"""Recordings per folder, the smallest ones: variety is in the folders, not in the length."""
_LONGEST: Final = 1 << 15


def sse(*events: Any, done: bool = False, named: bool = False) -> bytes:
    """A stream of server-sent events, each of one value."""
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events
    ]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


# --- streamed -----------------------------------------------------------------------------------


def _chunk(delta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": None, "logprobs": None}
    return {"id": "c1", "created": 1700000000, "model": "m", "choices": [{**choice, **more}]}


_CALL: Final = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
_USAGE: Final = {
    "prompt_tokens": 5,
    "completion_tokens": 7,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
_CHAT_STREAM: Final = sse(
    _chunk({"role": "assistant", "content": "", "reasoning_content": "Hm"}),
    _chunk({"content": "Hello"}, logprobs={"content": [{"token": "Hello", "logprob": -0.1}]}),
    _chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}),
    _chunk({"tool_calls": [_CALL]}),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
    _chunk({"refusal": "no", "annotations": [{"type": "url_citation"}], "audio": {"data": "x"}}),
    _chunk({"function_call": {"name": "g", "arguments": {"b": 1}}}),
    _chunk({}, finish_reason="stop"),
    {"id": "c1", "choices": [], "usage": _USAGE, "x_groq": {"usage": _USAGE}},
    done=True,
)
_MESSAGES_STREAM: Final = sse(
    {
        "type": "message_start",
        "message": {"id": "m1", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}},
    },
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 3,
        "delta": {"type": "input_json_delta", "partial_json": '{"q":"x"}'},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "content_block_start",
        "index": 4,
        "content_block": {"type": "redacted_thinking", "data": "x"},
    },
    {"type": "content_block_stop", "index": 4},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 1}},
    },
    {"type": "message_stop"},
    named=True,
)
_PARTS: Final = [
    {"text": "Hm", "thought": True, "thoughtSignature": "s"},
    {"text": "Hello"},
    {"functionCall": {"name": "f", "args": {"a": 1}, "id": "t1"}, "thoughtSignature": "s"},
    {"functionCall": {"name": "g"}},
    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
]
_GOOGLE: Final = {
    "candidates": [
        {
            "content": {"parts": _PARTS, "role": "model"},
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [{"category": "C", "probability": "LOW"}],
            "citationMetadata": {"citationSources": []},
            "logprobsResult": {},
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 5,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 3,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
    },
    "modelVersion": "gemini",
    "responseId": "r1",
    "createTime": "2026-01-01T00:00:00Z",
    "modelStatus": {"modelStage": "STABLE"},
}
_BLOCKED: Final = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
_ERROR: Final = {
    "error": {
        "message": "no",
        "type": "server_error",
        "code": 500,
        "param": None,
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"retryDelay": "3s", "reason": "X", "violations": [{"quotaId": "PerDay", "quotaValue": "0"}]}
        ],
    }
}
_COHERE_MESSAGE: Final = {
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}],
    "tool_plan": "look",
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
    "citations": [{"start": 0, "end": 3, "text": "yes", "sources": [{"type": "tool", "id": "a:0"}]}],
}
_COHERE_END: Final = {
    "finish_reason": "TOOL_CALL",
    "usage": {
        "billed_units": {"input_tokens": 8, "output_tokens": 20},
        "tokens": {"input_tokens": 1400, "output_tokens": 40, "reasoning_tokens": 12},
        "cached_tokens": 1344,
    },
}


def _cohere(kind: str, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": message}}


_COHERE_STREAM: Final = (
    {"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant", "content": []}}},
    _cohere("content-start", content={"type": "thinking", "thinking": ""}),
    _cohere("content-delta", content={"thinking": "hm"}),
    _cohere("content-start", content={"type": "text", "text": "y"}),
    {**_cohere("content-delta", content={"text": "es"}), "logprobs": {"text": "es", "logprobs": [0]}},
    _cohere("citation-start", citations=_COHERE_MESSAGE["citations"]),
    _cohere("tool-plan-delta", tool_plan="look"),
    _cohere("tool-call-start", tool_calls={"id": "a", "function": {"name": "f", "arguments": ""}}),
    _cohere("tool-call-delta", tool_calls={"function": {"arguments": '{"x": 1}'}}),
)

_CONVERSE_STREAM: Final = (
    ("messageStart", {"role": "assistant", "p": "abc"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "yes"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"citation": {"title": "t"}}}),
    ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"x": 1}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    (
        "contentBlockStart",
        {
            "contentBlockIndex": 3,
            "start": {"toolUse": {"toolUseId": "b", "name": "g", "type": "server_tool_use"}},
        },
    ),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("messageStop", {"stopReason": "tool_use"}),
    (
        "metadata",
        {
            "usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 2},
            "trace": {"guardrail": {}},
        },
    ),
)

_OLLAMA_CALL: Final = {"function": {"index": 0, "name": "f", "arguments": {"x": 1}}}
_OLLAMA_END: Final = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4}


def _ollama(**message: Any) -> dict[str, Any]:
    at = "2026-05-04T22:48:51.925773Z"
    return {"model": "m", "created_at": at, "message": {"role": "assistant", **message}, "done": False}


def _lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


_STREAMS: Final[dict[str, list[bytes]]] = {
    "chat_completions": [_CHAT_STREAM, sse(_ERROR), sse(_chunk({"content": "x"}, error=_ERROR["error"]))],
    "messages": [_MESSAGES_STREAM, sse({"type": "error", **_ERROR}, named=True)],
    "generate_content": [
        sse(_GOOGLE, _BLOCKED),
        sse(_GOOGLE),
        sse(_ERROR),
        json.dumps([_GOOGLE, _GOOGLE]).encode(),
        b"<html>",
    ],
    "cohere_chat": [
        sse(*_COHERE_STREAM, {"type": "message-end", "delta": _COHERE_END}, named=True) + b"data: [DONE]\n\n",
        sse(*_COHERE_STREAM, {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no"}}),
        sse({"message": "too many requests"}),
    ],
    "converse": [
        b"".join(event(kind, payload) for kind, payload in _CONVERSE_STREAM),
        b"".join(event(kind, payload) for kind, payload in _CONVERSE_STREAM[:4])
        + exception("throttlingException", {"message": "slow down"}),
        exception("internalServerException", {}),
    ],
    "ollama_chat": [
        _lines(
            _ollama(content="", thinking="hm"),
            {**_ollama(content="y"), "logprobs": [{"token": "y", "logprob": 0}]},
            _ollama(content="", tool_calls=[_OLLAMA_CALL]),
            {**_ollama(content=""), **_OLLAMA_END},
        ),
        _lines(_ollama(content="y"), {"error": "an error was encountered"}),
        _lines({**_ollama(content="whole"), **_OLLAMA_END})[:-1],
    ],
    "program_lines": [
        _lines(
            {"thinking": "hm"},
            {"text": "yes"},
            {"tool_call": {"name": "f", "arguments": {"x": 1}}},
            {"usage": {"input_tokens": 3, "output_tokens": 4}},
            {"done": True, "finish": "stop"},
        ),
        _lines({"text": "y"}, {"error": {"message": "no", "type": "rate_limit_error"}}),
        b"plain\n\ntext\r\n",
    ],
}

# --- whole --------------------------------------------------------------------------------------

_WHOLES: Final[dict[str, list[Any]]] = {
    "chat_completions": [
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": "a"},
                            {"type": "thinking", "thinking": [{"text": "b"}]},
                            {"type": "x"},
                        ],
                        "reasoning_content": "Hm",
                        "refusal": "no",
                        "tool_calls": [_CALL, {"id": "t2"}],
                        "function_call": {"name": "g", "arguments": "{}"},
                        "annotations": [],
                    },
                    "finish_reason": "stop",
                    "logprobs": {"content": []},
                },
                {"text": "legacy", "finish_reason": "length"},
            ],
            "usage": _USAGE,
            "service_tier": "default",
        },
        _ERROR,
    ],
    "messages": [
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [
                {"type": "text", "text": "a", "citations": []},
                {"type": "thinking", "thinking": "b", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "web_search_tool_result", "content": []},
            ],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 5,
                "output_tokens": 7,
                "cache_read_input_tokens": 1,
                "cache_creation": {"ephemeral_1h_input_tokens": 1},
            },
        },
        {"type": "error", **_ERROR},
    ],
    "generate_content": [_GOOGLE, _BLOCKED, _ERROR, [_ERROR]],
    "cohere_chat": [
        {"id": "i", "message": _COHERE_MESSAGE, **_COHERE_END},
        {"id": "i", "message": {}, "finish_reason": "ERROR", "error": "no"},
        {"id": "i", "message": "invalid api token"},
    ],
    "converse": [
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                        {"text": "yes"},
                        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
                        {"toolUse": {"toolUseId": "b", "name": "g", "input": {}, "type": "server_tool_use"}},
                        {"citationsContent": {"content": [{"text": "so"}], "citations": [{"title": "t"}]}},
                    ],
                }
            },
            "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]},
            "trace": {"guardrail": {}},
        },
        {"message": "Too many requests"},
    ],
    "ollama_chat": [
        {**_ollama(content="yes", thinking="hm", tool_calls=[_OLLAMA_CALL, {"id": "a"}]), **_OLLAMA_END},
        {"error": "model 'm' not found"},
    ],
    "program_lines": [{"text": "yes", "done": True}, {"error": "no"}],
}

# --- refusals: a status, headers, and a body -----------------------------------------------------------

_ANSWERS: Final = [
    b"429\r\nretry-after: 3\r\ndate: Tue, 24 Nov 2026 10:00:00 GMT\r\nx-ratelimit-remaining-requests: 0\r\n"
    b"x-ratelimit-reset-requests: 6m0s\r\n\r\n" + json.dumps(_ERROR).encode(),
    b"400\r\nx-should-retry: false\r\nx-request-id: r\r\n\r\n"
    + json.dumps({"detail": [{"loc": ["body", 1], "msg": "bad"}], "code": 1}).encode(),
    b'503\r\nretry-after-ms: 1500\r\n\r\n{"error": "busy", "type": "x"}',
    b"502\r\ncontent-type: text/html\r\n\r\n<html><title>Bad <b>gateway</b></title></html>",
    b"401\r\n\r\nno",
    b'500\r\n\r\n[{"error": {"code": 500, "message": "token count 7 exceeds", "status": "INTERNAL"}}]',
]

# --- requests of clients ----------------------------------------------------------------------------

_TOOL_SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "STRING", "nullable": True}}}
_CLIENTS: Final[dict[str, list[Any]]] = {
    "chat_completions": [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "s"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a", "cache_control": {}},
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
                        },
                        {"type": "input_audio"},
                    ],
                    "name": "n",
                },
                {"role": "assistant", "content": None, "tool_calls": [_CALL], "refusal": "no"},
                {"role": "tool", "tool_call_id": "t1", "content": "7"},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "d",
                        "parameters": _TOOL_SCHEMA,
                        "strict": True,
                    },
                },
                {"type": "custom", "custom": {}},
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True, "description": "d"},
            },
            "max_tokens": 7,
            "temperature": 0.5,
            "stop": ["a"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "reasoning_effort": "low",
            "metadata": {},
            "seed": 1,
            "n": 1,
            "top_k": 1,
        },
        {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
    ],
    "messages": [
        {
            "model": "m",
            "max_tokens": 100,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "A"},
                        }
                    ],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t1",
                            "content": [{"type": "text", "text": "7"}],
                            "is_error": True,
                        }
                    ],
                },
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": _TOOL_SCHEMA}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 50},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
            "metadata": {"user_id": "u"},
            "stop_sequences": ["x"],
            "stream": True,
            "temperature": 0.5,
        }
    ],
    "generate_content": [
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}, {"file_data": {"mimeType": "image/png"}}]},
                {"role": "model", "parts": _PARTS},
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"name": "f", "id": "t1", "response": {"result": "7"}}},
                        {"inlineData": {"mimeType": "image/png", "data": "A"}},
                    ],
                },
            ],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "description": "d", "parameters": _TOOL_SCHEMA},
                        {"name": "g", "parametersJsonSchema": _TOOL_SCHEMA},
                    ]
                },
                {"googleSearch": {}},
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {
                "maxOutputTokens": 7,
                "temperature": 0.5,
                "topK": 4.0,
                "stopSequences": ["a"],
                "responseMimeType": "application/json",
                "responseSchema": _TOOL_SCHEMA,
                "thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5, "includeThoughts": True},
            },
            "safetySettings": [],
        }
    ],
}

# --- HTTP ---------------------------------------------------------------------------------------

REQUESTS: Final = [
    b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
    b"POST /y HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\nhello",
    b"POST /y HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"GET http://h/%41 HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"POST /fail HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}HEAD / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
]
RESPONSES: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
]

# --- configurations -----------------------------------------------------------------------------

_TOML: Final = b"""[server]
port = 8080
max_body = "16MiB"
keep_alive = "1m30s"
[retry]
floor = 1.0
[[vendors]]
name = "v"
dialect = "openai"
base_url = "${BASE:-https://v.example/v1}"
api_key = "${KEY:-k}"
serve = "with_key"
[vendors.limits]
requests_per_minute = "1k"
[[vendors.models]]
name = "m"
context = "128k"
price = { input = "0.15", output = 0.6 }
[[routes]]
name = "r"
targets = ["v/m", { to = "m", weight = 2.0 }]
[modes.quick]
policy = "fastest"
[[rules]]
route = "r"
"""
_VALUES: Final = {
    "server": {"port": 8080, "max_body": "16MiB"},
    "vendors": [
        {
            "name": "v",
            "dialect": "openai",
            "base_url": "https://v.example/v1",
            "api_key": "${KEY:-k}",
            "models": [{"name": "m", "price": {"input": "0.15", "output": 0.6}}],
        }
    ],
    "routes": [{"name": "r", "targets": ["v/m", {"to": "m", "weight": 2.0}]}],
}
_YAML: Final = b"""server:
  port: 8080
  max_body: 16MiB
vendors:
  - name: v
    dialect: openai
    base_url: https://v.example/v1
    api_key: ${KEY:-k}
    models: &models
      - name: m
        price: {input: 0.15, output: "0.6"}
routes:
  - name: r
    targets: [v/m, {to: m, weight: 2}]
"""
CONFIGURATIONS: Final[dict[str, list[bytes]]] = {
    "toml": [_TOML, DEFAULT_FILE.read_bytes()],
    "json": [json.dumps(_VALUES).encode()],
    "yaml": [_YAML, json.dumps(_VALUES).encode()],
}
DOTENV: Final = [
    b'A=1\nexport B = two # comment\n# no\nC=\'a\nb\'\nD="x\\n\\"y"\n\nE=\n',
    b"\xef\xbb\xbfKEY=sk-1\r\nOTHER='x'\r\n",
]

# --- recorded -----------------------------------------------------------------------------------

_FOLDERS: Final = {
    "chat_completions": "*-chat",
    "messages": "*-messages",
    "generate_content": "*-generate",
    "cohere_chat": "cohere-chat",
    "converse": "bedrock-converse",
}


@cache
def _recorded(format: str) -> tuple[Recording, ...]:
    found: list[Recording] = []
    for path in sorted(ROOT.glob(_FOLDERS[format])) if format in _FOLDERS else ():
        small = [each for each in folder(path.name) if len(each.body) < _LONGEST]
        for wanted in ((False, True), (True, False), (False, False)):
            kind = [each for each in small if (each.stream, each.refused) == wanted]
            found += sorted(kind, key=lambda each: len(each.body))[:_MOST_RECORDED]
    return tuple(found)


def _of(table: dict[str, list[Any]], format: str) -> list[Any]:
    """The rows of a format; of all of them for one that this table does not know yet."""
    return table.get(format) or [row for rows in table.values() for row in rows]


def _dumped(values: Iterable[Any]) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def streams(format: str) -> list[bytes]:
    """Streamed answers."""
    recorded = [each.body for each in _recorded(format) if each.stream and not each.refused]
    return [*_of(_STREAMS, format), *recorded, *wholes(format)[:1]]


def wholes(format: str) -> list[bytes]:
    """Buffered answers."""
    recorded = [each.body for each in _recorded(format) if not each.stream and not each.refused]
    return [*_dumped(_of(_WHOLES, format)), *recorded]


def answers(format: str) -> list[bytes]:
    """Refusals: a status, header lines, an empty line, a body."""
    found = list(_ANSWERS)
    for each in _recorded(format):
        if each.refused:
            lines = [f"{name}: {value}".encode() for name, value in each.headers.items()]
            found.append(b"\r\n".join([str(each.status).encode(), *lines, b"", each.body]))
    return found


def client_requests(format: str) -> list[bytes]:
    """Bodies that clients send."""
    recorded = [each.request_body for each in _recorded(format) if isinstance(each.request_body, dict)]
    return _dumped([*_of(_CLIENTS, format), *recorded])
