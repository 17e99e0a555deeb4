"""What a vendor can be asked for, found out by asking its dialect: the table of `llm-dispatcher features`.

Nothing here is written down about any dialect. Each feature is a request that wishes for it, and the same request without
the wish; a dialect builds both, and what becomes of the wish is seen from the bodies. Only that a wish is met in another
way than it was meant cannot be seen there: this is the dialect's own word (`Dialect.emulates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from .canon import (
    Audio,
    File,
    Image,
    JsonOutput,
    Message,
    Part,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from .dialects.base import Dialect, Unsupported

__all__ = ["FEATURES", "Feature", "Way", "way_of"]

Way: TypeAlias = Literal["native", "emulated", "dropped", "refused"]
"""`native`: the vendor's interface has it; `emulated`: it is had in another way; `dropped`: it is left out, since the answer
is none the worse for it; `refused`: another vendor is asked, or with `on_unsupported = "drop"` it is left out."""


class Feature(Struct, frozen=True, kw_only=True):
    """One thing to wish for: `wish` has it, `plain` is the same request without it."""

    name: str
    wish: Request
    plain: Request
    own: bool = False
    """The wish holds what the vendor's own format made: `format` of its thoughts is set to that."""


_HELLO: Final = Message("user", "Hello")
_PLAIN: Final = Request(model="m", messages=[_HELLO])
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Final = Tool("weather", "Tells the weather.", _SCHEMA)
_WITH_TOOL: Final = replace(_PLAIN, tools=[_TOOL])
_PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CALL: Final = Message("assistant", [ToolCall("call_1", "weather", '{"city": "Bonn"}')])


def _field(name: str, field: str, value: Any, plain: Request = _PLAIN) -> Feature:
    return Feature(name=name, wish=replace(plain, **{field: value}), plain=plain)


def _says(name: str, *parts: Part) -> Feature:
    """A user's message that holds more than a text."""
    return Feature(
        name=name,
        wish=replace(_PLAIN, messages=[Message("user", [Text("Hello"), *parts])]),
        plain=replace(_PLAIN, messages=[Message("user", [Text("Hello")])]),
    )


def _result(name: str, result: ToolResult) -> Feature:
    def turn(told: ToolResult) -> Request:
        return replace(_WITH_TOOL, messages=[_HELLO, _CALL, Message("tool", [told])])

    return Feature(name=name, wish=turn(result), plain=turn(ToolResult("call_1", [Text("sunny")])))


def _extra(name: str, format: str, fields: Mapping[str, Any]) -> Feature:
    return _field(name, "extra", {format: dict(fields)})


def _messages(name: str, *messages: Message) -> Feature:
    return Feature(name=name, wish=replace(_PLAIN, messages=[*messages]), plain=_PLAIN)


FEATURES: Final[tuple[Feature, ...]] = (
    _messages("system prompt", Message("system", "Be brief."), _HELLO),
    _messages("developer prompt", Message("developer", "Be brief."), _HELLO),
    _messages("system message later on", _HELLO, Message("assistant", "Hi"), Message("system", "Be brief."), _HELLO),
    _messages("several turns", _HELLO, Message("assistant", "Hi"), _HELLO),
    _messages("beginning of the answer", _HELLO, Message("assistant", "The")),
    _messages("name of a speaker", Message("user", "Hello", name="ann")),
    _field("tools", "tools", [_TOOL]),
    _field("strict tools", "tools", [replace(_TOOL, strict=True)], _WITH_TOOL),
    _field("no tool", "tool_choice", ToolChoice("none"), _WITH_TOOL),
    _field("any tool", "tool_choice", ToolChoice("required"), _WITH_TOOL),
    _field("a named tool", "tool_choice", ToolChoice("named", "weather"), replace(_PLAIN, tools=[_TOOL, Tool("time")])),
    _field("one call at a time", "parallel_tool_calls", False, _WITH_TOOL),
    _result("result of a tool", ToolResult("call_1", [Text("rain")])),
    _result("result that is an error", ToolResult("call_1", [Text("sunny")], is_error=True)),
    _result("image in a result", ToolResult("call_1", [Text("sunny"), Image(data=_PNG, media_type="image/png")])),
    _field("JSON", "output", JsonOutput()),
    _field("JSON schema", "output", JsonOutput(_SCHEMA, name="place", strict=True)),
    _field("JSON schema beside tools", "output", JsonOutput(_SCHEMA, name="place", strict=True), _WITH_TOOL),
    _says("image", Image(data=_PNG, media_type="image/png")),
    _says("image at a URL", Image(url="https://example.com/cat.png")),
    _says("PDF", File(data="JVBERi0xLjQK", media_type="application/pdf", name="a.pdf")),
    _says("PDF at a URL", File(url="https://example.com/a.pdf", media_type="application/pdf")),
    _says("text document", File(data="SGVsbG8=", media_type="text/plain", name="a.txt")),
    _says("sound", Audio(data="UklGRg==", media_type="audio/wav")),
    _field("reasoning effort", "reasoning", Reasoning("low")),
    _field("reasoning budget", "reasoning", Reasoning(budget_tokens=2048), replace(_PLAIN, max_tokens=8192)),
    _field("no reasoning", "reasoning", Reasoning("none")),
    Feature(
        name="own thoughts sent back",
        wish=replace(
            _PLAIN, messages=[_HELLO, Message("assistant", [Thinking("hm", "c2VhbA=="), Text("Hi")]), _HELLO]
        ),
        plain=replace(_PLAIN, messages=[_HELLO, Message("assistant", [Text("Hi")]), _HELLO]),
        own=True,
    ),
    Feature(
        name="prompt cache marks",
        wish=replace(
            _PLAIN,
            messages=[Message("user", [Text("Hello", extra={"messages": {"cache_control": {"type": "ephemeral"}}})])],
        ),
        plain=replace(_PLAIN, messages=[Message("user", [Text("Hello")])]),
    ),
    _field("most output tokens", "max_tokens", 99),
    _field("temperature", "temperature", 0.5),
    _field("top_p", "top_p", 0.5),
    _field("top_k", "top_k", 5),
    _field("stop sequences", "stop", ["\n"]),
    _field("seed", "seed", 7),
    _field("several answers", "n", 2),
    _field("presence penalty", "presence_penalty", 0.5),
    _field("frequency penalty", "frequency_penalty", 0.5),
    _field("log probabilities", "logprobs", True),
    _field("end user", "user", "ann"),
    _extra("logit bias", "chat_completions", {"logit_bias": {"50256": -100}}),
    _extra("service tier (OpenAI)", "chat_completions", {"service_tier": "flex"}),
    _extra("metadata (OpenAI)", "chat_completions", {"metadata": {"a": "b"}}),
    _extra("web search (OpenAI)", "responses", {"tools": [{"type": "web_search"}]}),
    _extra("web search (Anthropic)", "messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    _extra("web search (Google)", "generate_content", {"tools": [{"googleSearch": {}}]}),
    _extra(
        "safety settings (Google)",
        "generate_content",
        {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    ),
)  # fmt: skip


def way_of(dialect: Dialect, feature: Feature) -> Way:
    """What becomes of the wish. `dialect` must not be lenient: a lenient one drops what it would refuse."""
    wish = feature.wish
    if feature.own:
        wish = replace(wish, messages=[_own(message, dialect.format) for message in wish.messages])
    try:
        built = dialect.build(wish, stream=False)
    except Unsupported:
        return "refused"
    plain = dialect.build(feature.plain, stream=False)
    if built.dropped or built.request.read() == plain.request.read():
        return "dropped"
    return "emulated" if built.by_call or feature.name in dialect.emulates else "native"


def _own(message: Message, format: str) -> Message:
    if isinstance(message.content, str):
        return message
    parts: list[Part] = [
        replace(part, format=format) if isinstance(part, Thinking) else part for part in message.content
    ]
    return replace(message, content=parts)
