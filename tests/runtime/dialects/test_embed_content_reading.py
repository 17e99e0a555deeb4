"""Requests of Google's clients for embeddings, and the answers that they are told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.dialects.base import InvalidBody
from llm_dispatcher.runtime.dialects.formats.embed_content import FORMAT, reply
from llm_dispatcher.runtime.dialects.formats.embed_content.reading import (
    read_batch,
    read_predict,
    read_single,
)
from llm_dispatcher.runtime.dialects.formats.embed_content.request import write
from llm_dispatcher.runtime.vectors import Embed, Embeddings

from tests.corpus import needs_corpus, recordings


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def text(words: str) -> dict[str, Any]:
    return {"parts": [{"text": words}]}


def test_one_text_several_and_vertex_ais_way_mean_the_same() -> None:
    want = Embed(model="m", inputs=["a"], dimensions=8, task="query", extra={FORMAT: {"title": "t"}})
    wishes = {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8, "title": "t"}
    single = body(content=text("a"), model="models/x", **wishes)
    batch = body(requests=[{"model": "models/x", "content": text("a"), **wishes}])
    predict = body(
        instances=[{"content": "a", "task_type": "RETRIEVAL_QUERY", "title": "t"}],
        parameters={"outputDimensionality": 8},
    )
    assert (
        read_single(single, model="m")
        == read_batch(batch, model="m")
        == read_predict(predict, model="m")
        == want
    )


def test_the_parts_of_a_content_are_one_text() -> None:
    assert read_single(body(content={"parts": [{"text": "a"}, {"text": "b"}]}), model="m").inputs == ["ab"]
    assert read_single(
        body(content={"parts": {"text": "a"}}, task_type="TASK_TYPE_UNSPECIFIED"), model="m"
    ) == Embed(model="m", inputs=["a"])


def test_a_task_that_nobody_knows_is_kept_for_google() -> None:
    wanted = read_single(body(content=text("a"), taskType="SOMETHING_NEW"), model="m")
    assert (wanted.task, wanted.extra) == (None, {FORMAT: {"taskType": "SOMETHING_NEW"}})


@pytest.mark.parametrize(
    ("reader", "fields", "field"),
    [
        (read_single, {}, "content"),
        (read_single, {"content": {"parts": []}}, "content"),
        (read_single, {"content": {"parts": [{"inlineData": {}}]}}, "content"),
        (read_single, {"content": text("a"), "outputDimensionality": 0}, "outputDimensionality"),
        (read_single, {"content": text("a"), "outputDimensionality": "8"}, "outputDimensionality"),
        (read_batch, {}, "requests"),
        (read_batch, {"requests": []}, "requests"),
        (read_batch, {"requests": [{"content": text("a")}] * 251}, "requests"),
        (read_batch, {"requests": [{"content": text("a")}, {"content": text("b"), "taskType": "CLUSTERING"}]}, "requests[1]"),
        (read_predict, {"instances": [{"content": 5}]}, "instances[0].content"),
        (read_predict, {"instances": [{"content": "a"}, {"content": "b", "title": "t"}]}, "instances[1]"),
        (read_predict, {"instances": [{"content": "a"}], "parameters": 5}, "parameters"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_by_name(reader: Any, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        reader(body(**fields), model="m")
    assert caught.value.param == field
    for broken in (b"", b"[]", b"{"):
        with pytest.raises(InvalidBody):
            reader(broken, model="m")


@needs_corpus
def test_every_recorded_request_for_texts_is_written_again_as_it_was() -> None:
    tried = 0
    for each in recordings("gemini-embeddings", "vertex-embeddings"):
        way = {"batchEmbedContents": "batch", "embedContent": "single", "predict": "predict"}[each.url.rpartition(":")[2].partition("?")[0]]  # fmt: skip
        reader: Any = {"batch": read_batch, "single": read_single, "predict": read_predict}[way]
        raw = json.dumps(each.request_body).encode()
        if b"inline" in raw:
            with pytest.raises(InvalidBody):
                reader(raw, model="m")
            continue
        wanted = reader(raw, model="m")
        again, dropped = write(wanted, "m", way, None, lenient=False)
        assert dropped == ()
        assert reader(again, model="m") == wanted, each.name
        tried += 1
    assert tried >= 6


@needs_corpus
def test_every_recorded_answer_is_told_as_it_was() -> None:
    for each in recordings("gemini-embeddings", "vertex-embeddings"):
        if not each.refused:
            found = reply.read(each.body)
            for teller in (reply.write_batch, reply.write_predict):
                assert reply.read(msgspec.json.encode(teller(found))).vectors == found.vectors, each.name


def test_what_was_used_is_told_where_it_is_known() -> None:
    some = Embeddings(vectors=[[0.5, 1.0]], usage=Usage(7))
    for teller in (reply.write_single, reply.write_batch, reply.write_predict):
        assert reply.read(msgspec.json.encode(teller(some))) == Embeddings(
            vectors=[[0.5, 1.0]], usage=Usage(7), format=FORMAT
        )
        assert "usageMetadata" not in teller(Embeddings(vectors=[[0.5]]))
