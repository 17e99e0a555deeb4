"""Bedrock's Converse: what is asked, how answers are read, what refusals mean, and that requests are signed on the way out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Dispatcher, DispatchError
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Audio,
    Completion,
    Event,
    Failed,
    File,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from llm_dispatcher.runtime.dialects import Answer, Target, Unsupported, VendorFault
from llm_dispatcher.runtime.dialects.bedrock import Bedrock
from llm_dispatcher.runtime.dialects.formats.converse import FORMAT, request
from llm_dispatcher.runtime.dialects.formats.converse.families import Family, family_of

from tests.fakes.eventstream import event, exception, message

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOL = Tool("f", "does", {"type": "object", "properties": {"x": {"type": "integer"}}})
PNG = "iVBORw0KGgoAAA"


def dialect(**more: Any) -> Bedrock:
    target = {
        "vendor": "aws",
        "base_url": "https://bedrock-runtime.eu-west-3.amazonaws.com",
        "model": CLAUDE,
        "key": "ABSK",
    }
    return Bedrock(Target(**{**target, **more}))


def written(
    *messages: Message, model: str = CLAUDE, dropped: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    wish = Request(model="m", messages=[*messages] or [Message("user", "x")], **more)
    body, found = request.write(wish, model, family_of(model), lenient=bool(dropped))
    assert found == dropped
    told: dict[str, Any] = json.loads(body)
    return told


def refused(*messages: Message, model: str = CLAUDE, **more: Any) -> str:
    with pytest.raises(Unsupported) as caught:
        written(*messages, model=model, **more)
    return str(caught.value)


# --- the door -----------------------------------------------------------------------------------


def test_a_models_id_goes_into_the_path_encoded_and_a_stream_has_a_path_of_its_own() -> None:
    wish = Request(model="m", messages=[Message("user", "x")])
    plain = dialect().build(wish, stream=False).request
    assert str(plain.url) == (
        "https://bedrock-runtime.eu-west-3.amazonaws.com/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    )
    assert (plain.headers["authorization"], plain.headers["accept"]) == ("Bearer ABSK", "application/json")
    arn = dialect(model="arn:aws:bedrock:eu-west-3:1:inference-profile/x").build(wish, stream=True).request
    assert arn.url.raw_path.endswith(
        b"/model/arn%3Aaws%3Abedrock%3Aeu-west-3%3A1%3Ainference-profile%2Fx/converse-stream"
    )
    assert arn.headers["accept"] == "application/vnd.amazon.eventstream"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"base_url": "bedrock"}, "is no address; use 'https://bedrock-runtime"),
        ({"key": "AKID:"}, "neither an API key nor an access key"),
        ({"key": "AKID:s", "base_url": "https://vpce-1.example.com"}, "add the option region"),
        ({"options": {"family": "llama"}}, "Invalid enum value 'llama'"),
        ({"options": {"oops": 1}}, "known are region, family, max_event_bytes"),
        ({"options": {"max_event_bytes": 0}}, "at least 1"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_with_a_remedy(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dialect(**more)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (CLAUDE, "claude"),
        ("us.amazon.nova-2-lite-v1:0", "nova"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss"),
        ("meta.llama4-maverick-17b-instruct-v1:0", "other"),
    ],
)
def test_whose_model_it_is_can_be_seen_in_its_id(model: str, family: Family) -> None:
    assert family_of(model) == family


# --- requests -----------------------------------------------------------------------------------


def test_a_conversation_with_tools_thoughts_and_pictures() -> None:
    body = written(
        Message("system", "be brief"),
        Message("user", [Text("look"), Image(data=PNG), Image(url="s3://b/i.jpg"), Text("  ")]),
        Message("user", "please"),
        Message(
            "assistant",
            [
                Thinking("hm", "seal", format=FORMAT),
                Thinking(redacted="xx", format=FORMAT),
                ToolCall("a.1", "f", '{"x": 1}'),
            ],
        ),
        Message("tool", [ToolResult("a.1", "one", is_error=True)]),
        Message("user", "and?"),
        Message("developer", "and kind"),
        tools=[TOOL],
        tool_choice=ToolChoice("named", "f"),
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        stop=["."],
    )
    assert body == {
        "system": [{"text": "be brief"}, {"text": "and kind"}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "look"},
                    {"image": {"format": "png", "source": {"bytes": PNG}}},
                    {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/i.jpg"}}}},
                    {"text": "please"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "seal"}}},
                    {"reasoningContent": {"redactedContent": "xx"}},
                    {"toolUse": {"toolUseId": "a_1", "name": "f", "input": {"x": 1}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "a_1", "content": [{"text": "one"}], "status": "error"}},
                    {"text": "and?"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["."]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "does", "inputSchema": {"json": TOOL.parameters}}}
            ],
            "toolChoice": {"tool": {"name": "f"}},
        },
    }


def test_json_is_asked_for_by_a_schema_that_is_sent_as_text() -> None:
    body = written(output=JsonOutput({"type": "object"}, "n", "d"))
    assert body["outputConfig"]["textFormat"] == {
        "type": "json_schema",
        "structure": {"jsonSchema": {"name": "n", "schema": '{"type":"object"}', "description": "d"}},
    }
    assert "without a schema" in refused(output=JsonOutput())


@pytest.mark.parametrize(
    ("model", "reasoning", "fields"),
    [
        (CLAUDE, Reasoning(budget_tokens=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (CLAUDE, Reasoning(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("us.anthropic.claude-opus-5", Reasoning(effort="high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("us.amazon.nova-2-lite-v1:0", Reasoning(effort="high"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        ("us.amazon.nova-2-lite-v1:0", Reasoning(effort="none"), {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-20b-1:0", Reasoning(), {"reasoning_effort": "medium"}),
    ],
)  # fmt: skip
def test_each_family_is_told_to_think_in_its_own_words(
    model: str, reasoning: Reasoning, fields: dict[str, Any]
) -> None:
    assert written(model=model, reasoning=reasoning)["additionalModelRequestFields"] == fields


def test_top_k_goes_where_a_family_takes_it() -> None:
    assert written(top_k=5)["additionalModelRequestFields"] == {"top_k": 5}
    nova = written(model="amazon.nova-lite-v1:0", top_k=5)
    assert nova["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
    assert "top_k" in refused(model="meta.llama4", top_k=5)


def test_what_only_this_format_knows_is_sent_as_it_stands() -> None:
    own = {
        "guardrailConfig": {"guardrailIdentifier": "g"},
        "additionalModelRequestFields": {"anthropic_beta": ["b"]},
    }
    body = written(top_k=5, extra={FORMAT: own})
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g"}
    assert body["additionalModelRequestFields"] == {"top_k": 5, "anthropic_beta": ["b"]}


def test_a_mark_for_the_cache_becomes_a_cache_point_where_the_model_takes_one() -> None:
    marked = Message(
        "user", [Text("long", extra={"messages": {"cache_control": {"type": "ephemeral", "ttl": "1h"}}})]
    )
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert written(marked)["messages"][0]["content"] == [{"text": "long"}, point]
    assert written(marked, model="meta.llama4")["messages"][0]["content"] == [{"text": "long"}]


def test_a_document_travels_with_the_request_under_a_name_of_its_own() -> None:
    part = File(data="JVBERi0", name="a_b.pdf")
    content = written(Message("user", [part, part]))["messages"][0]["content"]
    assert [block["document"]["name"] for block in content] == ["a b pdf 1", "a b pdf 2"]
    assert content[0]["document"]["source"] == {"bytes": "JVBERi0"}
    assert content[0]["document"]["format"] == "pdf"
    for other in (
        File(url="https://e.org/a.pdf"),
        File(data="UEs=", media_type="application/zip"),
        Audio(data="UklGRg=="),
    ):
        with pytest.raises(Unsupported):
            written(Message("user", [other]))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n above 1"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"extra": {"messages": {"container": "c"}}}, "messages.container"),
    ],
)
def test_what_cannot_be_said_is_refused_and_dropped_where_that_is_allowed(
    more: dict[str, Any], words: str
) -> None:
    assert words in refused(**more)
    body, dropped = request.write(
        Request(model="m", messages=[Message("user", "x")], **more), CLAUDE, "claude", lenient=True
    )
    assert words in dropped[0]
    assert json.loads(body)["messages"]


def test_a_picture_at_an_address_is_refused_since_nobody_would_fetch_it() -> None:
    assert "an image at an address" in refused(Message("user", [Image(url="https://e.org/i.png")]))
    assert "images of the type image/tiff" in refused(
        Message("user", [Image(data="AAAA", media_type="image/tiff")])
    )


def test_tools_can_be_left_out_only_while_none_was_called() -> None:
    called = [
        Message("user", "x"),
        Message("assistant", [ToolCall("a", "f")]),
        Message("tool", [ToolResult("a", "1")]),
    ]
    assert "toolConfig" not in written(tools=[TOOL], tool_choice=ToolChoice("none"))
    assert "tool_choice none" in refused(*called, tools=[TOOL], tool_choice=ToolChoice("none"))
    assert "without the tools" in refused(*called)


def test_thoughts_of_others_and_thoughts_without_a_seal_are_left_out() -> None:
    body = written(
        Message("user", "x"),
        Message(
            "assistant", [Thinking("a", "s", format="messages"), Thinking("b", format=FORMAT), Text("c")]
        ),
        dropped=("reasoning of another vendor", "reasoning without its signature"),
    )
    assert body["messages"][1]["content"] == [{"text": "c"}]


# --- answers ------------------------------------------------------------------------------------

BLOCKS = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "seal"}}},
    {"text": "yes"},
    {"toolUse": {"toolUseId": "s", "name": "search", "input": {"q": 1}, "type": "server_tool_use"}},
    {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
]
USAGE = {
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 118,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 3,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 1}, {"ttl": "1h", "inputTokens": 2}],
}
WHOLE = {
    "output": {"message": {"role": "assistant", "content": BLOCKS}},
    "stopReason": "tool_use",
    "usage": USAGE,
    "trace": {"guardrail": {"actionReason": "none"}},
}
STREAM = [
    event("messageStart", {"role": "assistant", "p": "abc"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "h"}}}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "m"}}}),
    event(
        "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "seal"}}}
    ),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "ye"}}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "s"}}),
    event("contentBlockStart", {"contentBlockIndex": 2, "start": BLOCKS[2]}),
    event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"q":'}}}),
    event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": " 1}"}}}),
    event("contentBlockStop", {"contentBlockIndex": 2}),
    event(
        "contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}
    ),
    event("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"x":1}'}}}),
    event("contentBlockStop", {"contentBlockIndex": 3}),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": USAGE, "trace": WHOLE["trace"], "metrics": {"latencyMs": 5}}),
]


def decoded(*pieces: bytes, options: dict[str, Any] | None = None) -> list[Event]:
    decoder = dialect(options=options or {}).decoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.close()]


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for each in events:
        assembler.add(each)
    return assembler.completion(FORMAT)


@settings(max_examples=30)
@given(cuts=st.sets(st.integers(0, sum(map(len, STREAM)))))
def test_a_stream_holds_what_a_whole_answer_does_wherever_it_is_cut(cuts: set[int]) -> None:
    body = b"".join(STREAM)
    edges = [0, *sorted(cuts), len(body)]
    streamed = assembled(decoded(*[body[a:b] for a, b in pairwise(edges)]))
    whole = dialect().completion(json.dumps(WHOLE).encode())
    assert streamed == whole


def test_usage_counts_what_came_from_the_cache_and_what_went_into_it() -> None:
    whole = dialect().completion(json.dumps(WHOLE).encode())
    assert whole.usage == Usage(
        input_tokens=113,
        output_tokens=5,
        cache_read_tokens=100,
        cache_write_tokens=3,
        cache_write_1h_tokens=2,
    )
    assert whole.choices[0].tool_calls == [ToolCall("a", "f", '{"x":1}')]
    assert whole.extra == {FORMAT: {"trace": WHOLE["trace"]}}


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("malformed_tool_use", "error"),
        ("something_new", "other"),
    ],
)
def test_why_an_answer_ended(word: str, finish: str) -> None:
    whole = dialect().completion(json.dumps({**WHOLE, "stopReason": word}).encode())
    streamed = assembled(decoded(*STREAM[:-2], event("messageStop", {"stopReason": word})))
    for completion in (whole, streamed):
        assert (completion.choices[0].finish, completion.choices[0].vendor_finish) == (finish, word)


def test_an_answer_is_complete_without_its_usage_and_not_before_its_end() -> None:
    assert not any(isinstance(each, Failed) for each in decoded(*STREAM[:-1]))
    for count in range(len(STREAM) - 1):
        last = decoded(*STREAM[:count])[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultClass.TRUNCATED


def test_who_asked_for_a_stream_and_got_one_object_has_the_same() -> None:
    body = json.dumps(WHOLE).encode()
    assert assembled(decoded(body[:50], body[50:])) == assembled(decoded(*STREAM))
    (failed,) = decoded(b'{"message": "Too many requests"}')
    assert isinstance(failed, Failed)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no", b'{"output": {}}'])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(VendorFault) as caught:
        dialect().completion(body)
    assert caught.value.fault.kind is FaultClass.MALFORMED


def test_blocks_of_another_shape_than_documented_are_kept_or_left_out() -> None:
    content = [{"citationsContent": {"content": 1, "citations": 1}}, {"image": {}}, 5, {}]
    body = {"output": {"message": {"content": content}}, "stopReason": "end_turn"}
    assert dialect().completion(json.dumps(body).encode()).choices[0].parts == [Opaque(FORMAT, {"image": {}})]


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words", "kind"),
    [
        ("throttlingException", "Too many tokens, please wait before trying again.", FaultClass.RATE_LIMITED),
        ("serviceUnavailableException", "busy", FaultClass.OVERLOADED),
        ("internalServerException", "", FaultClass.SERVER_ERROR),
        ("modelStreamErrorException", "the model broke", FaultClass.SERVER_ERROR),
        ("modelTimeoutException", "too slow", FaultClass.TIMEOUT_409),
        ("validationException", "Input is too long for requested model.", FaultClass.CONTEXT_LENGTH),
        ("somethingNewException", "?", FaultClass.IN_STREAM_ERROR),
    ],
)
def test_an_exception_within_a_stream_is_what_it_says(name: str, words: str, kind: FaultClass) -> None:
    events = decoded(*STREAM[:7], exception(name, {"message": words}), *STREAM[7:])
    assert isinstance(events[-2], TextDelta)
    assert isinstance(events[-1], Failed)
    fault = events[-1].fault
    assert (fault.kind, fault.code, fault.message) == (kind, name, words or name)


def test_an_error_that_is_no_exception_is_read_from_its_headers() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "oh"}
    (failed,) = decoded(message(headers, {}))
    assert isinstance(failed, Failed)
    assert (failed.fault.kind, failed.fault.message) == (FaultClass.IN_STREAM_ERROR, "oh")


def test_a_stream_that_was_spoiled_or_is_too_long_breaks() -> None:
    spoiled = bytearray(b"".join(STREAM[:7]))
    spoiled[-1] ^= 1
    last = decoded(bytes(spoiled))[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.MALFORMED
    last = decoded(*STREAM, options={"max_event_bytes": 120})[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.OVERSIZED
    last = decoded(STREAM[0], message({":event-type": "contentBlockDelta"}, 5))[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.MALFORMED


@pytest.mark.parametrize(
    ("status", "name", "words", "kind"),
    [
        (400, "ValidationException", "The provided model identifier is invalid.", FaultClass.NO_MODEL),
        (400, "ValidationException", "This model doesn't support the image content block.", FaultClass.BAD_REQUEST),
        (400, "ServiceQuotaExceededException", "quota", FaultClass.QUOTA_EXHAUSTED),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", FaultClass.AUTH),
        (403, "ExpiredTokenException", "The security token included in the request is expired", FaultClass.AUTH),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", FaultClass.NO_MODEL),
        (
            403, "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: bedrock:InvokeModel on resource: "
            "arn:aws:bedrock:us-east-1::foundation-model/x because no identity-based policy allows it",
            FaultClass.NO_MODEL,
        ),
        (403, "AccessDeniedException", "Your account is not authorized.", FaultClass.AUTH),
        (404, "ResourceNotFoundException", "Could not resolve the foundation model", FaultClass.NO_MODEL),
        (408, "ModelTimeoutException", "The model timed out", FaultClass.TIMEOUT_409),
        (424, "ModelErrorException", "The model returned an error", FaultClass.SERVER_ERROR),
        (429, "ThrottlingException", "Too many requests", FaultClass.RATE_LIMITED),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", FaultClass.DAILY_LIMIT),
        (429, "ModelNotReadyException", "The model is not ready", FaultClass.OVERLOADED),
        (500, "InternalServerException", "oh", FaultClass.SERVER_ERROR),
        (503, "ServiceUnavailableException", "busy", FaultClass.OVERLOADED),
    ],
)  # fmt: skip
def test_refusals_are_of_the_class_that_amazon_documents(
    status: int, name: str, words: str, kind: FaultClass
) -> None:
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/", "x-amzn-requestid": "r-1"}
    fault = dialect().fault(Answer(status, headers, json.dumps({"message": words}).encode()))
    assert (fault.kind, fault.code, fault.request_id) == (kind, name, "r-1")


# --- on the way out -----------------------------------------------------------------------------


def configuration(**more: Any) -> dict[str, Any]:
    vendor = {
        "name": "bedrock",
        "dialect": "bedrock",
        "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com",
        "models": [{"name": "one"}, {"name": "two"}],
        **more,
    }
    return {"vendors": [vendor], "retry": {"attempts": 1}}


async def test_each_accounts_requests_are_signed_with_its_key_and_an_api_key_is_sent_as_it_is() -> None:
    seen: list[httpx.Request] = []

    def respond(sent: httpx.Request) -> httpx.Response:
        seen.append(sent)
        return httpx.Response(200, content=json.dumps(WHOLE).encode())

    config = configuration(api_keys=["AKID1:secret", "AKID2:secret:session", "ABSKplain"])
    async with Dispatcher.open(config, transports={"bedrock": httpx.MockTransport(respond)}) as dispatcher:
        for name in ("bedrock/one#1", "bedrock/two#2", "bedrock/one#2", "bedrock/one#3"):
            await dispatcher.send(Request(model=name.removesuffix("#1"), messages=[Message("user", "x")]))
    told = [sent.headers["authorization"] for sent in seen[1:]]
    assert [words.partition("/")[0] for words in told[:2]] == ["AWS4-HMAC-SHA256 Credential=AKID2"] * 2
    assert told[2] == "Bearer ABSKplain"
    assert [sent.headers.get("x-amz-security-token") for sent in seen[1:]] == ["session", "session", None]


async def test_a_stream_of_bedrock_reaches_the_caller() -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"".join(STREAM))

    config = configuration(api_key="AKID:secret")
    async with Dispatcher.open(config, transports={"bedrock": httpx.MockTransport(respond)}) as dispatcher:
        async with dispatcher.stream(Request(model="one", messages=[Message("user", "x")])) as events:
            text = "".join([each.text async for each in events if isinstance(each, TextDelta)])
        assert text == "yes"
        assert events.reply is not None
        assert events.reply.completion.usage == Usage(113, 5, 100, 3, 2)


async def test_a_refusal_of_bedrock_is_the_callers_error() -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            403, headers={"x-amzn-errortype": "ExpiredTokenException"}, content=b'{"message": "expired"}'
        )

    config = configuration(api_key="AKID:secret")
    async with Dispatcher.open(config, transports={"bedrock": httpx.MockTransport(respond)}) as dispatcher:
        with pytest.raises(DispatchError) as caught:
            await dispatcher.send(Request(model="one", messages=[Message("user", "x")]))
    assert caught.value.kind is FaultClass.AUTH
