"""Canonical requests as bodies of Google's format, one feature at a time, and against Google's own types."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from llm_dispatcher.runtime.canon import (
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_dispatcher.runtime.dialects.base import Unsupported
from llm_dispatcher.runtime.dialects.formats.generate_content import FORMAT, write
from llm_dispatcher.runtime.dialects.formats.generate_content.contents import NO_SIGNATURE
from llm_dispatcher.runtime.dialects.formats.generate_content.wire import MADE_ID

OLD, NEW = "gemini-2.5-flash", "gemini-3-pro-preview"

WEATHER = Tool(
    "weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="


def ask(*messages: Message, model: str = OLD, lenient: bool = False, **fields: Any) -> dict[str, Any]:
    """The body for a request, which must lose nothing."""
    body, dropped = write(
        Request(model="m", messages=list(messages) or [Message("user", "hi")], **fields),
        model,
        lenient=lenient,
    )
    assert dropped == ()
    return body


def lenient(*messages: Message, model: str = OLD, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    return write(
        Request(model="m", messages=list(messages) or [Message("user", "hi")], **fields), model, lenient=True
    )


def parts_of(*parts: Part, model: str = OLD) -> Any:
    return ask(Message("user", list(parts)), model=model)["contents"][0]["parts"]


# --- messages -----------------------------------------------------------------------------------


def test_a_question_is_one_user_content_and_nothing_else() -> None:
    assert ask() == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_all_system_and_developer_messages_become_the_system_instruction() -> None:
    body = ask(
        Message("system", "be brief"),
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("developer", [Text("and kind")]),
        Message("user", "bye"),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}, {"text": "and kind"}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]


def test_an_image_in_a_system_message_is_refused() -> None:
    with pytest.raises(Unsupported, match="image in a system message"):
        ask(Message("system", [Image(data=PNG, media_type="image/png")]), Message("user", "hi"))


def test_a_message_without_a_part_is_left_out() -> None:
    body = ask(Message("user", "hi"), Message("assistant", ""), Message("user", "again"))
    assert [content["parts"] for content in body["contents"]] == [[{"text": "hi"}], [{"text": "again"}]]


def test_a_refusal_of_the_model_is_its_text() -> None:
    body = ask(Message("user", "hi"), Message("assistant", [Refusal("no")]))
    assert body["contents"][1] == {"role": "model", "parts": [{"text": "no"}]}


def test_the_name_of_a_message_is_refused_or_dropped() -> None:
    with pytest.raises(Unsupported, match="name of a message"):
        ask(Message("user", "hi", name="ann"))
    assert lenient(Message("user", "hi", name="ann"))[1] == ("the name of a message",)


def test_own_thoughts_and_seals_go_back_and_foreign_thoughts_are_dropped() -> None:
    body, dropped = write(
        Request(
            model="m",
            messages=[
                Message("user", "hi"),
                Message(
                    "assistant",
                    [
                        Thinking("mine", "c2ln", None, FORMAT),
                        Thinking("theirs", "sig", None, "messages"),
                        Text("hello", "dGV4dA=="),
                        Text("", "ZW1wdHk="),
                    ],
                ),
            ],
        ),
        OLD,
    )
    assert body["contents"][1]["parts"] == [
        {"text": "mine", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "hello", "thoughtSignature": "dGV4dA=="},
        {"text": "", "thoughtSignature": "ZW1wdHk="},
    ]
    assert dropped == ("reasoning of another vendor",)


def test_opaque_parts_pass_to_the_letter_or_are_refused() -> None:
    payload = {"executableCode": {"language": "PYTHON", "code": "1"}}
    assert parts_of(Opaque(FORMAT, payload)) == [payload]
    with pytest.raises(Unsupported, match="format messages"):
        parts_of(Opaque("messages", {"type": "server_tool_use"}))


def test_metadata_of_an_answer_is_not_sent_back_as_a_part() -> None:
    body = ask(
        Message("user", "hi"),
        Message(
            "assistant", [Text("ok"), Opaque(FORMAT, {"groundingMetadata": {"webSearchQueries": ["q"]}})]
        ),
    )
    assert body["contents"][1]["parts"] == [{"text": "ok"}]


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (Image(data=PNG, media_type="image/webp"), {"inlineData": {"mimeType": "image/webp", "data": PNG}}),
        (Image(data=PNG), {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        (Image(url=f"data:image/gif;base64,{PNG}"), {"inlineData": {"mimeType": "image/gif", "data": PNG}}),
        (
            Image(url="data:image/svg+xml,%3Csvg/%3E"),
            {"inlineData": {"mimeType": "image/svg+xml", "data": "PHN2Zy8+"}},
        ),
        (
            Image(url="https://example.com/a.b/cat.JPG?size=1.5#x"),
            {"fileData": {"fileUri": "https://example.com/a.b/cat.JPG?size=1.5#x", "mimeType": "image/jpeg"}},
        ),
        (
            Image(url="gs://bucket/cat.png"),
            {"fileData": {"fileUri": "gs://bucket/cat.png", "mimeType": "image/png"}},
        ),
        (
            Image(url="https://example.com/cat", media_type="image/heic"),
            {"fileData": {"fileUri": "https://example.com/cat", "mimeType": "image/heic"}},
        ),
        (Image(url="https://example.com/cat"), {"fileData": {"fileUri": "https://example.com/cat"}}),
    ],
)
def test_an_image_is_inline_data_or_a_file(image: Image, part: dict[str, Any]) -> None:
    assert parts_of(image) == [part]


def test_an_image_detail_is_refused_unless_it_is_auto() -> None:
    assert "fileData" in parts_of(Image(url="https://e.com/a.png", detail="auto"))[0]
    with pytest.raises(Unsupported, match="image detail 'high'"):
        parts_of(Image(url="https://e.com/a.png", detail="high"))


# --- tools --------------------------------------------------------------------------------------

CALLS = Message(
    "assistant",
    [
        ToolCall("call_1", "weather", '{"city": "Bern"}', "c2ln"),
        ToolCall(f"{MADE_ID}2", "weather", '{"city": "Wien"}'),
        ToolCall("call_3", "clock", ""),
    ],
)


def test_parallel_calls_and_their_results_are_one_content_each() -> None:
    body = ask(
        Message("user", "hi"),
        CALLS,
        Message("tool", [ToolResult("call_1", "sunny")]),
        Message("tool", [ToolResult(f"{MADE_ID}2", [Text("rain"), Text("wind")])]),
        Message("tool", [ToolResult("call_3", "broken", is_error=True)]),
        Message("user", "thanks"),
    )
    assert body["contents"][1]["parts"] == [
        {
            "functionCall": {"name": "weather", "args": {"city": "Bern"}, "id": "call_1"},
            "thoughtSignature": "c2ln",
        },
        {"functionCall": {"name": "weather", "args": {"city": "Wien"}}},
        {"functionCall": {"name": "clock", "args": {}, "id": "call_3"}},
    ]
    assert body["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "weather", "response": {"result": "sunny"}, "id": "call_1"}},
            {"functionResponse": {"name": "weather", "response": {"result": "rain\nwind"}}},
            {"functionResponse": {"name": "clock", "response": {"error": "broken"}, "id": "call_3"}},
        ],
    }
    assert body["contents"][3] == {"role": "user", "parts": [{"text": "thanks"}]}


def test_a_result_without_its_call_needs_the_name_of_the_function() -> None:
    orphan = ToolResult("x", "1")
    with pytest.raises(Unsupported, match="without its tool call"):
        ask(Message("tool", [orphan]))
    assert lenient(Message("tool", [orphan])) == ({"contents": []}, ("a tool result without its tool call",))
    for message in (Message("tool", [ToolResult("x", "1", "f")]), Message("tool", [orphan], name="f")):
        assert ask(message)["contents"][0]["parts"][0]["functionResponse"]["name"] == "f"


def test_images_in_a_result_are_its_parts_for_models_that_take_them_and_follow_it_for_others() -> None:
    result = Message("tool", [ToolResult("x", [Text("see"), Image(data=PNG, media_type="image/png")], "f")])
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    response = {"name": "f", "response": {"result": "see"}, "id": "x"}
    assert ask(result, model=NEW)["contents"][0]["parts"] == [
        {"functionResponse": {**response, "parts": [inline]}}
    ]
    assert ask(result, model=OLD)["contents"][0]["parts"] == [{"functionResponse": response}, inline]


@pytest.mark.parametrize("arguments", ["{", "[1]", "nonsense"])
def test_arguments_that_are_no_object_are_refused_or_kept_as_text(arguments: str) -> None:
    message = Message("assistant", [ToolCall("a", "f", arguments)])
    with pytest.raises(Unsupported, match="not a JSON object"):
        ask(message)
    body, dropped = lenient(message)
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {"arguments": arguments}
    assert dropped == ("a tool call whose arguments are not a JSON object",)


def test_calls_of_another_vendor_are_excused_from_the_signature_check_of_new_models() -> None:
    foreign = Message("assistant", [ToolCall("a", "f"), ToolCall("b", "f")])
    first, second = ask(foreign, model=NEW)["contents"][0]["parts"]
    assert first["thoughtSignature"] == NO_SIGNATURE
    assert "thoughtSignature" not in second
    assert "thoughtSignature" not in ask(foreign, model=OLD)["contents"][0]["parts"][0]
    signed = ask(CALLS, model=NEW)["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in signed] == ["c2ln", None, None]


def test_functions_are_declared_with_their_json_schema() -> None:
    body = ask(tools=[WEATHER, Tool("clock")])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "The weather in a city",
                    "parametersJsonSchema": WEATHER.parameters,
                },
                {"name": "clock"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_the_tool_choice_is_a_calling_mode(choice: ToolChoice, calling: dict[str, Any]) -> None:
    body = ask(tools=[WEATHER], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": calling}


def test_strict_tools_are_validated_by_the_calling_mode() -> None:
    strict = Tool("f", parameters={"type": "object"}, strict=True)
    validated = {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert ask(tools=[strict])["toolConfig"] == validated
    assert ask(tools=[strict], tool_choice=ToolChoice("auto"))["toolConfig"] == validated
    forced = ask(tools=[strict], tool_choice=ToolChoice("required"))
    assert forced["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_parallel_calls_cannot_be_forbidden() -> None:
    with pytest.raises(Unsupported, match="parallel_tool_calls"):
        ask(tools=[WEATHER], parallel_tool_calls=False)
    assert lenient(tools=[WEATHER], parallel_tool_calls=False)[1] == ("parallel_tool_calls: false",)
    assert ask(tools=[WEATHER], parallel_tool_calls=True)["tools"]
    assert ask(parallel_tool_calls=False)


# --- generationConfig ---------------------------------------------------------------------------


def test_every_sampling_parameter_keeps_its_value() -> None:
    config = ask(
        max_tokens=5,
        temperature=1.9,
        top_p=0.5,
        top_k=7,
        seed=3,
        n=2,
        presence_penalty=-1.5,
        frequency_penalty=1.0,
        logprobs=True,
        top_logprobs=4,
        stop=["a", "b"],
        user="ann",
    )["generationConfig"]
    assert config == {
        "maxOutputTokens": 5,
        "temperature": 1.9,
        "topP": 0.5,
        "topK": 7,
        "seed": 3,
        "candidateCount": 2,
        "presencePenalty": -1.5,
        "frequencyPenalty": 1.0,
        "responseLogprobs": True,
        "logprobs": 4,
        "stopSequences": ["a", "b"],
    }


def test_a_sixth_stop_sequence_is_refused() -> None:
    with pytest.raises(Unsupported, match="more than 5 stop sequences"):
        ask(stop=list("abcdef"))
    body, dropped = lenient(stop=list("abcdef"))
    assert body["generationConfig"]["stopSequences"] == list("abcde")
    assert dropped == ("more than 5 stop sequences",)


def test_json_output_names_its_type_and_schema() -> None:
    assert ask(output=JsonOutput())["generationConfig"] == {"responseMimeType": "application/json"}
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    assert ask(output=JsonOutput(schema, "name", strict=True))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }


@pytest.mark.parametrize(
    ("model", "reasoning", "told"),
    [
        (OLD, Reasoning(effort="none"), {"thinkingBudget": 0}),
        (OLD, Reasoning(effort="low"), {"thinkingBudget": 1024}),
        (OLD, Reasoning(effort="high", include=True), {"thinkingBudget": 24576, "includeThoughts": True}),
        (OLD, Reasoning(effort="high", budget_tokens=99), {"thinkingBudget": 99}),
        (OLD, Reasoning(budget_tokens=-1), {"thinkingBudget": -1}),
        (OLD, Reasoning(adaptive=True), {"thinkingBudget": -1}),
        (NEW, Reasoning(effort="high", budget_tokens=99), {"thinkingLevel": "HIGH"}),
        (NEW, Reasoning(effort="minimal"), {"thinkingLevel": "MINIMAL"}),
        (NEW, Reasoning(budget_tokens=99), {"thinkingBudget": 99}),
        (NEW, Reasoning(include=False), {"includeThoughts": False}),
        ("models/gemini-10-ultra", Reasoning(effort="low"), {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", Reasoning(effort="low"), {"thinkingBudget": 1024}),
    ],
)
def test_thinking_is_told_in_the_models_unit(model: str, reasoning: Reasoning, told: dict[str, Any]) -> None:
    assert ask(model=model, reasoning=reasoning)["generationConfig"] == {"thinkingConfig": told}


def test_the_unit_of_thinking_can_be_set() -> None:
    request = Request(model="m", messages=[Message("user", "hi")], reasoning=Reasoning(effort="low"))
    for model, unit, told in (
        (OLD, "level", {"thinkingLevel": "LOW"}),
        (NEW, "budget", {"thinkingBudget": 1024}),
    ):
        body, _ = write(request, model, thinking=unit)
        assert body["generationConfig"] == {"thinkingConfig": told}


@pytest.mark.parametrize(("model", "effort"), [(OLD, "xhigh"), (OLD, "max"), (NEW, "none"), (NEW, "max")])
def test_an_effort_that_the_unit_has_no_word_for_is_refused(model: str, effort: str) -> None:
    with pytest.raises(Unsupported, match=f"reasoning effort '{effort}'"):
        ask(model=model, reasoning=Reasoning(effort=effort))
    body, dropped = lenient(model=model, reasoning=Reasoning(effort=effort))
    assert "generationConfig" not in body
    assert dropped == (f"reasoning effort {effort!r}",)


# --- extra --------------------------------------------------------------------------------------


def test_own_extras_are_merged_in_and_those_of_other_formats_are_not() -> None:
    body = ask(
        temperature=0.5,
        tools=[Tool("f", parameters={"type": "object"}, extra={FORMAT: {"behavior": "BLOCKING"}})],
        tool_choice=ToolChoice("auto"),
        extra={
            FORMAT: {
                "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
                "cachedContent": "cachedContents/1",
                "tools": [{"googleSearch": {}}],
                "toolConfig": {"includeServerSideToolInvocations": True},
                "generation_config": {"temperature": 1.0, "responseModalities": ["TEXT"]},
            },
            "chat_completions": {"service_tier": "flex"},
        },
    )
    assert body["safetySettings"][0]["threshold"] == "BLOCK_NONE"
    assert body["cachedContent"] == "cachedContents/1"
    assert [next(iter(tool)) for tool in body["tools"]] == ["functionDeclarations", "googleSearch"]
    assert body["tools"][0]["functionDeclarations"][0]["behavior"] == "BLOCKING"
    assert body["toolConfig"] == {
        "includeServerSideToolInvocations": True,
        "functionCallingConfig": {"mode": "AUTO"},
    }
    assert body["generationConfig"] == {"temperature": 0.5, "responseModalities": ["TEXT"]}
    assert "logit_bias" not in body


def test_the_callers_extra_is_not_changed() -> None:
    extra = {FORMAT: {"tools": [{"googleSearch": {}}], "generationConfig": {"topK": 1}}}
    ask(tools=[WEATHER], extra=extra)
    assert extra == {FORMAT: {"tools": [{"googleSearch": {}}], "generationConfig": {"topK": 1}}}


# --- against Google's own types -----------------------------------------------------------------

REQUESTS: dict[str, dict[str, Any]] = {
    "text": {},
    "several turns": {
        "messages": [
            Message("system", "be brief"),
            Message("user", "hi"),
            Message("assistant", [Thinking("hm", "c2ln", None, FORMAT), Text("hello", "c2ln")]),
            Message(
                "user", [Text("and"), Image(data=PNG, media_type="image/png"), Image(url="gs://b/c.webp")]
            ),
        ]
    },
    "tools": {
        "messages": [
            Message("user", "hi"),
            CALLS,
            Message("tool", [ToolResult("call_1", "sunny"), ToolResult("call_3", "x", is_error=True)]),
            Message("tool", [ToolResult(f"{MADE_ID}2", [Text("see"), Image(data=PNG)])]),
        ],
        "tools": [WEATHER, Tool("clock", strict=True)],
        "tool_choice": ToolChoice("named", "weather"),
    },
    "strict tools": {"tools": [Tool("clock", strict=True)]},
    "output": {
        "output": JsonOutput({"type": "object", "$defs": {"a": {"type": "null"}}}),
        "reasoning": Reasoning("low"),
    },
    "sampling": {
        "max_tokens": 5,
        "temperature": 1.9,
        "top_p": 0.5,
        "top_k": 7,
        "seed": 3,
        "n": 2,
        "presence_penalty": -1.5,
        "frequency_penalty": 1.0,
        "logprobs": True,
        "top_logprobs": 4,
        "stop": ["a"],
    },
    "thinking": {"reasoning": Reasoning(effort="high", include=True)},
    "extras": {
        "extra": {
            FORMAT: {
                "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
                "tools": [{"googleSearch": {}}, {"codeExecution": {}}],
                "generationConfig": {"responseModalities": ["TEXT"]},
            }
        }
    },
}


@pytest.fixture(scope="module")
def google_types() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.genai import types
    return types


@pytest.mark.parametrize("model", [OLD, NEW])
@pytest.mark.parametrize("name", REQUESTS)
def test_googles_own_types_accept_the_body(google_types: Any, name: str, model: str) -> None:
    fields = {"messages": [Message("user", "hi")], **REQUESTS[name]}
    body, dropped = write(Request(model="m", **fields), model)
    assert dropped == ()
    assert body.keys() <= {
        "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in body.pop("contents"):
            checked = google_types.Content.model_validate(content)
            assert checked.parts
        google_types.GenerationConfig.model_validate(body.get("generationConfig", {}))
        google_types.GenerateContentConfig.model_validate({**body.pop("generationConfig", {}), **body})


def test_googles_own_types_do_refuse_a_field_that_is_misspelt(google_types: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, wrong in (
            (google_types.Content, {"role": "user", "parts": [{"txt": "hi"}]}),
            (google_types.GenerateContentConfig, {"maxTokens": 5}),
            (google_types.Tool, {"functions": []}),
        ):
            with pytest.raises(ValueError, match="Extra inputs"):
                kind.model_validate(wrong)
