"""What a client asks to be passed on: the target of its request, and what the vendor's answer says of the usage."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import unquote_to_bytes

import httpx
from llm_dispatcher.runtime.canon import UsageReported
from llm_dispatcher.runtime.dialects import Target as Place
from llm_dispatcher.runtime.dialects import dialect_class
from llm_dispatcher.runtime.passing.passage import Known
from llm_dispatcher.runtime.passing.paths import Misguided, address, checked_path, cleaned_query
from llm_dispatcher.runtime.passing.reading import PassingDecoder, bytes_of

from . import seeds
from .target import Target, pieces_of

__all__ = ["targets"]

_BASE = httpx.URL("https://v.example/base/v1")
_SEEDS = [
    b"files/file-1/content?limit=2&key=secret",
    b"v1/models/a%2Fb:generate?alt=sse&x=%20",
    b"../../etc/passwd",
    b"a/%2e%2e/%2e%2e/b?c",
    b"%252e%252e%255c..;x/..%2f//evil.example",
]


def targets() -> Iterator[Target]:
    """One for where a request goes, one for each way in which an answer is read."""
    home = "tests/runtime/passing/test_paths.py"
    yield Target("passing-target", "bytes", lambda: _SEEDS, check_target, home=home)
    for streamed, kind, source in ((True, "sse", seeds.streams), (False, "json", seeds.wholes)):
        name = "stream" if streamed else "whole"
        check = partial(check_answer, streamed)
        yield Target(f"passing-{name}", kind, partial(source, "chat_completions"), check, home=home)


def check_target(case: bytes) -> None:
    """Refused, or below the base at the same host, whatever a server makes of it."""
    path, _, query = case.partition(b"?")
    try:
        url = address(_BASE, checked_path(path), cleaned_query(query))
    except Misguided as refusal:
        assert str(refusal)
        return
    assert (url.scheme, url.netloc) == ("https", b"v.example")
    assert url.raw_path.startswith(b"/base/")
    seen = url.raw_path.partition(b"?")[0]
    for _ in range(8):
        assert b".." not in [segment.partition(b";")[0] for segment in seen.split(b"/")]
        assert b"\\" not in seen
        seen = unquote_to_bytes(seen)


def check_answer(streamed: bool, case: bytes) -> None:
    """Every byte goes on, in every cut, and what is read beside never fails."""
    dialect = dialect_class("openai")(Place(vendor="v", base_url="https://v.example/v1", model="m", key="k"))
    for pieces in pieces_of(case):
        decoder = PassingDecoder(
            Known(
                decoder=dialect.decoder,
                usage=lambda body: dialect.completion(body).usage,
                input_tokens=1,
                output_tokens=1,
                streamed=streamed,
                priced=True,
            )
        )
        events = [event for piece in pieces for event in decoder.feed(piece)]
        assert b"".join(map(bytes_of, events)) == case
        for event in [*events, *decoder.close()]:
            if isinstance(event, UsageReported):
                assert event.usage.total_tokens >= 0
        assert decoder.finished
