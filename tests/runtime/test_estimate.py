"""What a request is taken to need before it is sent: everything in it counts."""

from __future__ import annotations

from typing import Any

import pytest
from llm_dispatcher.runtime.canon import File, Image, Message, Opaque, Part, Request, Text, Tool, ToolResult
from llm_dispatcher.runtime.estimate import characters_of, facts_of, most_tokens

PDF = "JVBERi0x" * 20_000
"""A page of one, as base64."""


def asked(*parts: Part, **more: Any) -> Request:
    return Request(model="m", messages=[Message("user", list(parts) or "hello")], **more)


def tokens(request: Request) -> int:
    return facts_of(request, 1_000_000).input_tokens


PAGE = File(data=PDF, media_type="application/pdf")


def test_a_document_counts_by_its_size_and_not_as_text() -> None:
    """Also where it stands in a part that only one format understands."""
    alone = tokens(asked(Text("read this")))
    opaque = Opaque("messages", {"type": "novel", "source": {"type": "base64", "data": PDF}})
    parts: tuple[Part, ...] = (PAGE, opaque)
    for part in parts:
        assert 2000 <= tokens(asked(Text("read this"), part)) - alone < 4000
        assert facts_of(asked(part), 100_000).size >= len(PDF)


def test_a_document_that_is_only_referred_to_counts_as_a_page_and_may_be_a_book() -> None:
    request = asked(File(url="https://u.example/a.pdf"))
    assert 2000 <= tokens(request) < 4000
    assert most_tokens(request, 10).input_tokens > 300_000


def test_the_text_of_what_only_one_format_understands_counts() -> None:
    novel = Opaque("messages", {"type": "novel", "content": [{"type": "text", "text": "word " * 7000}]})
    assert tokens(asked(novel)) == pytest.approx(10_000, rel=0.01)
    plain = Opaque("messages", {"type": "novel", "source": {"type": "text", "data": "word " * 7000}})
    assert tokens(asked(plain)) == pytest.approx(10_000, rel=0.01)


def test_documents_and_images_within_the_results_of_tools_count() -> None:
    inner: list[Part] = [PAGE, Image(data="xx", media_type="image/png")]
    result = Request(model="m", messages=[Message("tool", [ToolResult("c", inner)])])
    facts = facts_of(result, 100_000)
    assert facts.input_tokens > 3000
    assert "vision" in facts.needs


def test_a_vendors_own_tools_count_and_are_tools() -> None:
    tool = {"type": "computer_20250124", "name": "computer", "description": "x" * 3500}
    for request in (
        asked(extra={"messages": {"tools": [tool]}}),
        asked(tools=[Tool("computer", extra={"chat_completions": tool})]),
    ):
        facts = facts_of(request, 100_000)
        assert facts.input_tokens > 1000
        assert "tools" in facts.needs & facts.kinds


def test_what_stands_beside_the_messages_counts() -> None:
    """Cohere's documents, for one."""
    documents = [{"id": str(number), "data": {"text": "word " * 70}} for number in range(10)]
    assert tokens(asked(extra={"cohere_chat": {"documents": documents}})) > 1000


def test_the_most_that_a_request_can_come_to_is_never_less_than_the_estimate() -> None:
    parts: list[Part] = [PAGE, File(url="u"), Image(data=PDF), Text("word")]
    for part in parts:
        assert most_tokens(asked(part), 10).input_tokens >= tokens(asked(part)) - 5


def test_what_a_vendors_tools_found_is_not_counted_as_written_by_the_model() -> None:
    found = Opaque(
        "messages", {"type": "web_search_tool_result", "content": [{"encrypted_content": "x" * 1000}]}
    )
    assert characters_of([Text("hi"), found]) == 2


def test_a_request_without_any_of_that_costs_what_its_text_does() -> None:
    assert tokens(asked()) == int(5 / 3.5) + 4
