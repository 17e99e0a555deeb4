"""What a request is taken to need before it is sent: everything in it counts."""

from __future__ import annotations

from typing import Any

import pytest
from llm_dispatcher.runtime.canon import Image, Message, Opaque, Part, Request, Text, Tool, ToolResult
from llm_dispatcher.runtime.estimate import characters_of, facts_of, most_tokens

PDF = "JVBERi0x" * 10_000
"""Sixty kilobytes of one."""


def asked(*parts: Part, **more: Any) -> Request:
    return Request(model="m", messages=[Message("user", list(parts) or "hello")], **more)


def tokens(request: Request) -> int:
    return facts_of(request, 1_000_000).input_tokens


DOCUMENTS: dict[str, Opaque] = {
    "chat completions": Opaque(
        "chat_completions", {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}
    ),
    "messages": Opaque(
        "messages",
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    ),
    "responses": Opaque("responses", {"type": "input_file", "file_data": PDF}),
    "generate content": Opaque(
        "generate_content", {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
    ),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_counts_by_its_size_and_not_as_text(document: Opaque) -> None:
    """It counted as nothing."""
    alone = tokens(asked(Text("read this")))
    assert 2000 <= tokens(asked(Text("read this"), document)) - alone < 4000
    assert facts_of(asked(document), 100_000).size > len(PDF)


def test_a_document_that_is_only_referred_to_counts_as_a_page_and_may_be_a_book() -> None:
    there = Opaque(
        "messages", {"type": "document", "source": {"type": "url", "url": "https://u.example/a.pdf"}}
    )
    request = asked(there)
    assert 2000 <= tokens(request) < 2100
    assert most_tokens(request, 10).input_tokens > 300_000


def test_a_documents_text_is_text() -> None:
    there = Opaque("messages", {"type": "document", "source": {"type": "text", "data": "word " * 7000}})
    assert tokens(asked(there)) == pytest.approx(10_000, rel=0.01)


def test_sound_counts_by_its_length() -> None:
    minute = "A" * (60 * 16_000 * 4 // 3)
    sound = Opaque(
        "chat_completions", {"type": "input_audio", "input_audio": {"data": minute, "format": "mp3"}}
    )
    assert 1500 < tokens(asked(sound)) < 2500


def test_documents_and_images_within_the_results_of_tools_count() -> None:
    inner: list[Part] = [DOCUMENTS["messages"], Image(data="xx", media_type="image/png")]
    result = Request(model="m", messages=[Message("tool", [ToolResult("c", inner)])])
    facts = facts_of(result, 100_000)
    assert facts.input_tokens > 3000
    assert facts.needs == {"vision"}


def test_a_vendors_own_tools_count_and_are_tools() -> None:
    tool = {"type": "computer_20250124", "name": "computer", "description": "x" * 3500}
    for request in (
        asked(extra={"messages": {"tools": [tool]}}),
        asked(tools=[Tool("computer", extra={"chat_completions": tool})]),
    ):
        facts = facts_of(request, 100_000)
        assert facts.input_tokens > 1000
        assert facts.needs == facts.kinds == frozenset({"tools"})


def test_what_stands_beside_the_messages_counts() -> None:
    """Cohere's documents, for one."""
    documents = [{"id": str(number), "data": {"text": "word " * 70}} for number in range(10)]
    assert tokens(asked(extra={"cohere_chat": {"documents": documents}})) > 1000


def test_the_most_that_a_request_can_come_to_is_never_less_than_the_estimate() -> None:
    parts: list[Part] = [*DOCUMENTS.values(), Image(data=PDF), Text("word")]
    for part in parts:
        assert most_tokens(asked(part), 10).input_tokens >= tokens(asked(part)) - 5


def test_what_a_vendors_tools_found_is_not_counted_as_written_by_the_model() -> None:
    found = Opaque(
        "messages", {"type": "web_search_tool_result", "content": [{"encrypted_content": "x" * 1000}]}
    )
    assert characters_of([Text("hi"), found]) == 2


def test_a_request_without_any_of_that_costs_what_its_text_does() -> None:
    assert tokens(asked()) == int(5 / 3.5) + 4
