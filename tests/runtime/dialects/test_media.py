"""Documents and sound: read from every format that clients speak, said in every format that has a place for them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from llm_dispatcher.runtime.canon import (
    Audio,
    File,
    Image,
    Message,
    Part,
    Request,
    Text,
    ToolCall,
    ToolResult,
)
from llm_dispatcher.runtime.dialects import Target, Unsupported, dialect_class
from llm_dispatcher.runtime.dialects.formats.chat_completions import request as chat
from llm_dispatcher.runtime.dialects.formats.messages import request as messages
from llm_dispatcher.runtime.dialects.formats.responses import reading as responses
from llm_dispatcher.runtime.dialects.media import data_of_url, text_of, type_of_data
from llm_dispatcher.runtime.estimate import facts_of

PDF = b64encode(b"%PDF-1.7 a page").decode()
NOTE = b64encode("Grüße".encode()).decode()

DOCUMENT = File(data=PDF, media_type="application/pdf", name="a.pdf")
NAMELESS = File(data=PDF, media_type="application/pdf")
LINKED = File(url="https://e.org/a.pdf")
TEXT = File(data=NOTE, media_type="text/plain", name="note")
SOUND = Audio(data="UklGRg==", media_type="audio/wav")

FILE_OF_CHAT: dict[str, Any] = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
}
FILE_OF_RESPONSES = {
    "type": "input_file",
    "filename": "a.pdf",
    "file_data": f"data:application/pdf;base64,{PDF}",
}
SOUND_OF_OPENAI = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
DOCUMENT_OF_MESSAGES = {
    "type": "document",
    "title": "a.pdf",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
}
INLINE = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
TOLD = "note:\n\nGrüße"


def body(dialect: str, *sent: Message) -> Any:
    """What a vendor gets."""
    options = {"api_version": "v1"} if dialect.startswith("azure") else {}
    kind = dialect_class(dialect)
    target = Target(vendor="v", base_url="https://e.org/v1", model="m", key="k", options=options)
    built = kind(target).build(Request(model="m", messages=[*sent]), stream=False)
    return json.loads(built.request.read())


def said(dialect: str, part: Part) -> Any:
    """The part as it is said by a user, after a text."""
    found = body(dialect, Message("user", [Text("see"), part]))
    turns = found.get("messages") or found.get("contents") or found.get("input")
    turn = turns[0].get("content") or turns[0].get("parts")
    return turn[1]


@pytest.mark.parametrize(
    ("dialect", "part", "expected"),
    [
        ("openai", DOCUMENT, FILE_OF_CHAT),
        ("openai", NAMELESS, {"type": "file", "file": {**FILE_OF_CHAT["file"], "filename": "document.pdf"}}),
        ("openai", File(url=f"data:application/pdf;base64,{PDF}", name="a.pdf"), FILE_OF_CHAT),
        ("openai", TEXT, {"type": "text", "text": TOLD}),
        ("openai", SOUND, SOUND_OF_OPENAI),
        ("openai-responses", DOCUMENT, FILE_OF_RESPONSES),
        ("openai-responses", LINKED, {"type": "input_file", "file_url": "https://e.org/a.pdf"}),
        ("openai-responses", TEXT, {"type": "input_text", "text": TOLD}),
        ("openai-responses", SOUND, SOUND_OF_OPENAI),
        ("anthropic", DOCUMENT, DOCUMENT_OF_MESSAGES),
        ("anthropic", File(url=f"data:application/pdf;base64,{PDF}", name="a.pdf"), DOCUMENT_OF_MESSAGES),
        (
            "anthropic",
            LINKED,
            {"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}},
        ),
        (
            "anthropic",
            TEXT,
            {
                "type": "document",
                "title": "note",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            },
        ),
        ("google", DOCUMENT, INLINE),
        ("google", File(data=PDF), INLINE),
        ("google", LINKED, {"fileData": {"fileUri": "https://e.org/a.pdf", "mimeType": "application/pdf"}}),
        ("google", TEXT, {"inlineData": {"mimeType": "text/plain", "data": NOTE}}),
        ("google", SOUND, {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}),
        ("cohere", TEXT, {"type": "text", "text": TOLD}),
    ],
)
def test_documents_and_sound_are_said_as_the_vendor_takes_them(
    dialect: str, part: Part, expected: dict[str, Any]
) -> None:
    assert said(dialect, part) == expected


@pytest.mark.parametrize(
    ("dialect", "part", "named"),
    [
        ("openai", LINKED, "a document at a URL"),
        ("openai", Audio(url="https://e.org/a.wav"), "sound at a URL"),
        ("openai-responses", Audio(data="x", media_type="audio/ogg"), "another type than WAV and MP3"),
        ("anthropic", SOUND, "sound"),
        (
            "anthropic",
            File(data="UEs=", media_type="application/zip"),
            "documents of the type application/zip",
        ),
        ("cohere", DOCUMENT, "File"),
        ("cohere", SOUND, "Audio"),
    ],
)
def test_what_a_vendor_has_no_place_for_is_refused_by_name(dialect: str, part: Part, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        said(dialect, part)


@pytest.mark.parametrize(
    ("piece", "part"),
    [
        (FILE_OF_CHAT, DOCUMENT),
        ({"type": "file", "file": {"file_data": PDF}}, NAMELESS),
        ({"type": "file", "file": {"file_data": "https://e.org/a.pdf"}}, LINKED),
        (SOUND_OF_OPENAI, SOUND),
    ],
)
def test_a_client_of_chat_completions_may_send_them(piece: dict[str, Any], part: Part) -> None:
    sent = {"model": "m", "messages": [{"role": "user", "content": [piece]}]}
    assert chat.read(json.dumps(sent).encode()).request.messages[0].content == [part]


@pytest.mark.parametrize(
    ("piece", "part"),
    [
        (FILE_OF_RESPONSES, DOCUMENT),
        ({"type": "input_file", "file_url": "https://e.org/a.pdf"}, LINKED),
        (SOUND_OF_OPENAI, SOUND),
    ],
)
def test_a_client_of_responses_may_send_them(piece: dict[str, Any], part: Part) -> None:
    sent = {"model": "m", "input": [{"role": "user", "content": [piece]}]}
    assert responses.read(json.dumps(sent).encode()).request.messages[0].content == [part]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (DOCUMENT_OF_MESSAGES, DOCUMENT),
        (
            {**DOCUMENT_OF_MESSAGES, "cache_control": {"type": "ephemeral"}},
            File(
                data=PDF,
                media_type="application/pdf",
                name="a.pdf",
                extra={"messages": {"cache_control": {"type": "ephemeral"}}},
            ),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}}, LINKED),
        (
            {
                "type": "document",
                "title": "note",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            },
            TEXT,
        ),
    ],
)
def test_a_client_of_messages_may_send_them_and_they_are_written_as_they_were(
    block: dict[str, Any], part: Part
) -> None:
    sent = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]}
    wanted = messages.read(json.dumps(sent).encode()).request
    assert wanted.messages[0].content == [part]
    again, _ = messages.write(wanted, "m", stream=False)
    assert json.loads(again)["messages"][0]["content"] == [block]


def test_images_in_results_of_tools_are_shown_after_all_calls_of_the_turn_are_answered() -> None:
    asked = Message("assistant", [ToolCall("a", "f"), ToolCall("b", "f")])
    seen = Message("tool", [ToolResult("a", [Text("here"), Image(url="https://e.org/i.png")])])
    heard = Message("tool", [ToolResult("b", [Image(data="iVBORw0KGgo=", media_type="image/png")])])
    found = body("openai", asked, seen, heard, Message("user", "go on"))["messages"]
    assert [each["role"] for each in found] == ["assistant", "tool", "tool", "user", "user"]
    assert found[1]["content"] == [{"type": "text", "text": "here"}]
    assert [each["type"] for each in found[2]["content"]] == ["text"]
    kinds = [piece["type"] for piece in found[3]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url"]
    assert "a" in found[3]["content"][0]["text"]
    # Nothing follows the results: they are shown at the end.
    assert body("openai", asked, seen)["messages"][-1]["role"] == "user"


def test_data_urls_are_taken_apart_and_text_is_found_in_documents() -> None:
    url = data_of_url("data:text/plain,hi%20you")
    assert url is not None
    assert (url.content, url.media_type) == (b64encode(b"hi you").decode(), "text/plain")
    assert data_of_url("https://e.org") is None
    assert type_of_data(PDF) == "application/pdf"
    assert text_of(File(data="not base64!", media_type="text/plain")) is None
    assert text_of(File(data=b64encode(b"\xff").decode(), media_type="text/plain")) is None
    assert text_of(File(data=NOTE, media_type="application/json; charset=utf-8")) == "Grüße"


def test_documents_and_sound_count_towards_the_limits() -> None:
    def tokens(part: Part) -> int:
        return facts_of(Request(model="m", messages=[Message("user", [part])]), 10**6).input_tokens

    page = File(data="A" * 100_000, media_type="application/pdf")
    assert 1000 < tokens(page) < 4000
    assert tokens(LINKED) > 1000
    assert tokens(File(data="A" * 4000, media_type="text/plain")) > 700
    minute = Audio(data="A" * 1_280_000, media_type="audio/mpeg")
    assert 1000 < tokens(minute) < 4000
