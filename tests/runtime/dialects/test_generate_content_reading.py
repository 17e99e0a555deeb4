"""Bodies of Google's format as canonical requests, and back again.

A body that is read and written is *equivalent* to what it was. Equivalent are: the two spellings of a field;
a null and an absent field; enum words in either case; `thought: false` and none; any role of the system
instruction; a `model` in the body and none; one tools object and several; adjoining contents of one role
and one content; a choice among no tools and none.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from llm_dispatcher.runtime.canon import (
    Audio,
    File,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_dispatcher.runtime.dialects.base import InvalidBody, Unsupported
from llm_dispatcher.runtime.dialects.formats.generate_content import FORMAT, read, write
from llm_dispatcher.runtime.dialects.formats.generate_content.reading import read_body, read_count
from llm_dispatcher.runtime.dialects.formats.generate_content.schema import json_schema
from llm_dispatcher.runtime.dialects.formats.generate_content.wire import MADE_ID
from llm_dispatcher.runtime.dialects.formats.messages import request as others

from tests.corpus import folder, needs_corpus

HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def user(*parts: dict[str, Any]) -> list[Message]:
    return read({"contents": [{"role": "user", "parts": list(parts)}]}, model="m").messages


# --- equivalence --------------------------------------------------------------------------------


def respelled(fields: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in fields.items():
        if value is not None:
            found[re.sub("_([a-z])", lambda match: match.group(1).upper(), name)] = value
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def plain_part(part: dict[str, Any]) -> dict[str, Any]:
    found = respelled(part)
    if found.get("thought") is False:
        del found["thought"]
    for name in ("fileData", "inlineData", "functionCall", "functionResponse"):
        if name in found:
            found[name] = respelled(found[name])
    return found


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a body: two equivalent bodies have the same."""
    found = respelled(body)
    found.pop("model", None)
    if "systemInstruction" in found:
        found["systemInstruction"] = [
            plain_part(part) for part in listed(found["systemInstruction"]["parts"])
        ]
    turns: list[tuple[bool, list[Any]]] = []
    for content in found["contents"]:
        from_model = content.get("role") == "model"
        if not turns or turns[-1][0] != from_model:
            turns.append((from_model, []))
        turns[-1][1].extend(plain_part(part) for part in content["parts"])
    functions, others = [], []
    for tool in listed(found.pop("tools", [])):
        fields = respelled(tool)
        functions += [respelled(declaration) for declaration in fields.pop("functionDeclarations", [])]
        others += [fields] if fields else []
    config = respelled(found.pop("generationConfig", {}))
    if "thinkingConfig" in config:
        thinking = config["thinkingConfig"] = respelled(config["thinkingConfig"])
        if "thinkingLevel" in thinking:
            thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()
    choice = respelled(found.pop("toolConfig", {})) if functions or others else {}
    if "functionCallingConfig" in choice:
        calling = choice["functionCallingConfig"] = respelled(choice["functionCallingConfig"])
        calling["mode"] = calling["mode"].upper()
    return {**found, "contents": turns, "tools": (functions, others), "config": config, "choice": choice}


@needs_corpus
def test_every_recorded_body_is_equivalent_after_reading_and_writing() -> None:
    seen = 0
    for recording in (*folder("gemini-generate"), *folder("vertex-generate")):
        named = re.search(r"models/([^:]+):", recording.url)
        assert named is not None
        body, dropped = write(read(recording.request_body, model=named[1]), named[1])
        assert dropped == (), recording.name
        assert plain(msgspec.json.decode(msgspec.json.encode(body))) == plain(recording.request_body), (
            recording.name
        )
        seen += 1
    assert seen == 180


def test_a_made_up_body_is_equivalent_after_reading_and_writing() -> None:
    body: dict[str, Any] = {
        "system_instruction": {"role": "user", "parts": {"text": "be brief"}},
        "contents": [
            {
                "parts": [
                    {"text": "hi", "thought": False},
                    {"inline_data": {"mime_type": "audio/wav", "data": "AA=="}},
                ]
            },
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thought_signature": "c2ln"},
                    {
                        "functionCall": {"name": "f", "args": {"a_b": [1, 2.5, None]}},
                        "thoughtSignature": "c2ln",
                    },
                    {"functionCall": {"name": "f", "args": {}, "id": "theirs"}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"},
                ],
            },
            {
                "role": "function",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "f",
                            "response": {"result": {"x": 1}},
                            "willContinue": False,
                        }
                    },
                    {"functionResponse": {"name": "f", "response": {"error": "no"}, "id": "theirs"}},
                    {"text": "and now?", "partMetadata": {"k": 1}},
                ],
            },
        ],
        "tools": {
            "function_declarations": [
                {
                    "name": "f",
                    "parameters": {"type": "OBJECT", "nullable": True},
                    "response": {"type": "STRING"},
                },
                {"name": "g", "parameters_json_schema": {"type": "object"}},
            ],
            "google_search": {},
        },
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
        "generationConfig": {
            "topK": 40.0,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True},
            "speechConfig": {"languageCode": "de-CH"},
            "mediaResolution": None,
        },
        "safetySettings": None,
        "cachedContent": "cachedContents/1",
        "labels": {"a_b": "c"},
    }
    before = json.dumps(body)
    again, dropped = write(read(body, model="gemini-2.5-flash"), "gemini-2.5-flash")
    assert dropped == ()
    assert plain(again) == plain(body)
    assert json.dumps(body) == before


# --- what it means ------------------------------------------------------------------------------


def test_text_thoughts_and_seals_are_told_apart() -> None:
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "a"},
        {"text": "hello", "thought_signature": "b"},
        {"text": "x", "partMetadata": {"k": 1}},
    ]
    (message,) = read({"contents": [{"role": "model", "parts": parts}]}, model="m").messages
    assert message == Message(
        "assistant",
        [
            Thinking("hm", "a", None, FORMAT),
            Text("hello", "b"),
            Text("x", None, {FORMAT: {"partMetadata": {"k": 1}}}),
        ],
    )


def test_results_without_ids_answer_the_calls_of_the_same_name_in_order() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    other = {"functionCall": {"name": "g", "args": {"x": 1}}}
    request = read(
        {
            "contents": [
                {"role": "model", "parts": [call, other, call]},
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"name": "g", "response": {"result": "2"}}},
                        {"functionResponse": {"name": "f", "response": {"result": "1"}}},
                        {"functionResponse": {"name": "f", "response": {"result": "3"}}},
                        {"functionResponse": {"name": "f", "response": {"result": "4"}}},
                        {"text": "go on"},
                    ],
                },
            ]
        },
        model="m",
    )
    asked, answered, said = request.messages
    calls = [part for part in asked.content if isinstance(part, ToolCall)]
    results = [part for part in answered.content if isinstance(part, ToolResult)]
    assert [(call.name, call.arguments) for call in calls] == [("f", "{}"), ("g", '{"x":1}'), ("f", "{}")]
    assert len({call.id for call in calls}) == 3
    assert all(call.id.startswith(MADE_ID) for call in calls)
    assert [result.call_id for result in results[:3]] == [calls[1].id, calls[0].id, calls[2].id]
    assert results[3].call_id not in {call.id for call in calls}
    assert answered.role == "tool"
    assert said == Message("user", [Text("go on")])


@pytest.mark.parametrize(
    ("response", "text", "is_error", "kept"),
    [
        ({"result": "ok"}, "ok", False, False),
        ({"error": "bad"}, "bad", True, False),
        ({"error": {"code": 1}}, '{"error":{"code":1}}', True, True),
        ({"result": 42}, '{"result":42}', False, True),
        ({"temperature": 3}, '{"temperature":3}', False, True),
        ({}, "{}", False, True),
    ],
)
def test_a_result_is_its_text_or_its_json(
    response: dict[str, Any], text: str, is_error: bool, kept: bool
) -> None:
    (message,) = user({"functionResponse": {"name": "f", "id": "i", "response": response}})
    extra = {FORMAT: {"functionResponse": {"response": response}}} if kept else None
    assert message.content == [ToolResult("i", text, "f", is_error, extra)]


def test_pictures_sounds_and_documents_have_their_words_and_films_are_opaque() -> None:
    film = {"inlineData": {"mimeType": "video/mp4", "data": "AA=="}}
    (message,) = user(
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "gs://b/c"}, "mediaResolution": {"level": "LOW"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/d"}},
        film,
        {"fileData": {"fileUri": "https://youtu.be/x"}},
    )
    assert message.content == [
        Image(data="AA==", media_type="image/png"),
        Image(url="gs://b/c", media_type="image/webp", extra={FORMAT: {"mediaResolution": {"level": "LOW"}}}),
        Audio(data="AA==", media_type="audio/wav"),
        File(url="gs://b/d", media_type="application/pdf"),
        Opaque(FORMAT, film),
        Opaque(FORMAT, {"fileData": {"fileUri": "https://youtu.be/x"}}),
    ]


def test_the_settings_get_their_canonical_words() -> None:
    request = read(
        {
            "contents": HI,
            "generation_config": {
                "max_output_tokens": 9,
                "temperature": 1,
                "topK": 4.0,
                "stopSequences": ["x"],
                "candidateCount": 2,
                "responseLogprobs": True,
                "logprobs": 3,
                "response_mime_type": "application/json",
                "response_json_schema": {"type": "object"},
                "thinkingConfig": {"thinking_level": "LOW", "include_thoughts": True},
                "seed": "seven",
            },
        },
        model="m",
    )
    assert (request.max_tokens, request.temperature, request.top_k, request.stop) == (9, 1, 4, ["x"])
    assert (request.n, request.logprobs, request.top_logprobs) == (2, True, 3)
    assert request.output == JsonOutput({"type": "object"})
    assert request.reasoning == Reasoning(effort="low", include=True)
    assert request.seed is None
    assert request.extra == {FORMAT: {"generationConfig": {"seed": "seven"}}}


@pytest.mark.parametrize(
    ("calling", "choice", "kept"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto"), False),
        ({"mode": "none"}, ToolChoice("none"), False),
        ({"mode": "ANY"}, ToolChoice("required"), False),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f"), False),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice("required"), True),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), True),
        ({"mode": "MODE_UNSPECIFIED"}, None, True),
    ],
)
def test_the_calling_mode_is_a_choice(calling: dict[str, Any], choice: ToolChoice | None, kept: bool) -> None:
    body = {"contents": HI, "toolConfig": {"functionCallingConfig": calling}}
    request = read(body, model="m")
    assert request.tool_choice == choice
    assert request.extra == ({FORMAT: {"toolConfig": {"functionCallingConfig": calling}}} if kept else {})


def test_an_openapi_schema_is_translated_and_kept() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING", "nullable": True, "enum": ["a"]}},
        "propertyOrdering": ["type"],
    }
    request = read(
        {"contents": HI, "tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]},
        model="m",
    )
    schema = {"type": "object", "properties": {"type": {"type": ["string", "null"], "enum": ["a", None]}}}
    assert request.tools == [Tool("f", parameters=schema, extra={FORMAT: {"parameters": parameters}})]


def test_every_corner_of_an_openapi_schema_is_translated() -> None:
    assert json_schema(
        {
            "anyOf": [{"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"}, {"type": "STRING"}],
            "nullable": True,
            "description": "OBJECT",
        }
    ) == {
        "anyOf": [
            {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            {"type": "string"},
            {"type": "null"},
        ],
        "description": "OBJECT",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contents": "hi"}, "contents"),
        ({"contents": [{"parts": "hi"}]}, "contents.parts"),
        ({"contents": [{"parts": ["hi"]}]}, "contents.parts"),
        ({"contents": HI, "tools": [1]}, "tools"),
        (
            {"contents": HI, "tools": [{"functionDeclarations": [{"description": "x"}]}]},
            "function declaration",
        ),
        ({"contents": HI, "generationConfig": []}, "generationConfig"),
        ({"contents": HI, "generationConfig": {"thinkingConfig": 1}}, "thinkingConfig"),
        ({"contents": HI, "toolConfig": 1}, "toolConfig"),
        ({"contents": HI, "systemInstruction": "x"}, "systemInstruction"),
    ],
)
def test_a_body_of_another_shape_is_refused_by_the_name_of_the_field(
    body: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        read(body, model="m")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": []}}}, "thinkingBudget"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 10**400}}}, "thinkingBudget"),
        ({"generationConfig": {"thinkingConfig": {"includeThoughts": 5}}}, "includeThoughts"),
        ({"generationConfig": {"responseMimeType": "application/json", "responseSchema": 5}}, "schema"),
        ({"tools": [{"functionDeclarations": [{"name": "f", "description": 5}]}]}, "description"),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parameters": [5]}]}]}, "parameters"),
        ({"contents": [{"parts": [{"text": "x", "thoughtSignature": 5}]}]}, "thoughtSignature"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "id": 5}}]}]}, "functionCall.id"),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_by_its_name(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(body, model="m")


@pytest.mark.parametrize("field", ["maxOutputTokens", "candidateCount"])
@pytest.mark.parametrize("value", [-5, 10**400])
def test_a_bound_that_no_tokens_can_be_reserved_by_is_left_to_the_vendor(field: str, value: int) -> None:
    request = read({"contents": [], "generationConfig": {field: value}}, model="m")
    assert (request.max_tokens, request.n) == (None, None)
    assert request.extra == {"generate_content": {"generationConfig": {field: value}}}


# --- what Google's SDK does ---------------------------------------------------------------------


def test_a_result_without_an_id_answers_a_call_that_has_one() -> None:
    result = {"functionResponse": {"name": "f", "response": {"result": "x"}}}
    contents = [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "id": "a"}}, {"functionCall": {"name": "f", "id": "b"}}]},
        {"role": "user", "parts": [{"functionResponse": {**result["functionResponse"], "id": "a"}}, result]},
    ]  # fmt: skip
    (_, results) = read({"contents": contents}, model="m").messages
    assert [part.call_id for part in results.content if isinstance(part, ToolResult)] == ["a", "b"]


def test_the_chunks_of_a_streamed_answer_are_one_message_of_one_text() -> None:
    contents = [
        *HI,
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo"}]},
        {"role": "model", "parts": [{"text": ""}]},
        {"role": "model", "parts": [{"text": "sealed", "thoughtSignature": "s"}]},
        {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]},
        *HI,
        *HI,
    ]
    messages = read({"contents": contents}, model="m").messages
    assert [message.role for message in messages] == ["user", "assistant", "user", "user"]
    assert messages[1].content == [Text("Hello"), Text("sealed", "s"), Text("a"), Text("b")]


def test_a_body_of_nothing_but_a_system_instruction_is_refused_by_name() -> None:
    for body in (
        b"{}",
        b'{"systemInstruction": {"parts": [{"text": "x"}]}}',
        b'{"contents": [{"parts": []}]}',
    ):
        with pytest.raises(InvalidBody, match="contents"):
            read_body(body, model="m")
    for body in (b"", b"[]", b'{"contents": 5}', b'{"generationConfig": []}'):
        with pytest.raises(InvalidBody):
            read_body(body, model="m")


def test_what_is_to_be_counted_may_stand_within_a_request() -> None:
    inner = {"contents": HI, "systemInstruction": {"parts": [{"text": "be brief"}]}, "model": "models/m"}
    assert len(read_count(json.dumps({"generateContentRequest": inner}).encode(), model="m").messages) == 2
    assert len(read_count(json.dumps({"contents": HI}).encode(), model="m").messages) == 1


def test_what_only_concerns_googles_filters_and_books_keeps_nobody_else_from_answering() -> None:
    body: dict[str, Any] = {
        "contents": HI,
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "labels": {"team": "a"},
        "generationConfig": {
            "responseModalities": ["TEXT"],
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        },
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    }
    _, dropped = others.write(read(body, model="m"), "m", stream=False)
    assert dropped == ()
    for name, value in (
        ("generationConfig", {"responseModalities": ["AUDIO"]}),
        ("generationConfig", {"mediaResolution": "MEDIA_RESOLUTION_LOW"}),
        ("cachedContent", "cachedContents/1"),
        ("tools", [{"googleSearch": {}}]),
        ("toolConfig", {"retrievalConfig": {}}),
    ):
        with pytest.raises(Unsupported, match=f"generate_content.{name}"):
            others.write(read({"contents": HI, name: value}, model="m"), "m", stream=False)
