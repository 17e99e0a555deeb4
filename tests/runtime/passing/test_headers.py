"""Which header fields are passed on, in either direction, and what vendors' dialects put on."""

from __future__ import annotations

import httpx
import pytest
from llm_dispatcher.runtime.dialects import Target, dialect_class
from llm_dispatcher.runtime.passing.headers import for_client, for_vendor
from llm_dispatcher.runtime.passing.own import with_own_fields

KEYED = {
    "openai": (b"authorization", b"Bearer sesame"),
    "openai-responses": (b"authorization", b"Bearer sesame"),
    "azure": (b"api-key", b"sesame"),
    "anthropic": (b"x-api-key", b"sesame"),
    "google": (b"x-goog-api-key", b"sesame"),
    "cohere": (b"authorization", b"Bearer sesame"),
}


def test_what_concerns_one_connection_stays_there() -> None:
    sent = [
        (b"connection", b"Close, X-Mine"), (b"x-mine", b"1"), (b"te", b"trailers"), (b"upgrade", b"h2c"), (b"accept", b"*/*"),
        (b"transfer-encoding", b"chunked"), (b"host", b"here"), (b"content-length", b"3"), (b"expect", b"100-continue"),
    ]  # fmt: skip
    assert for_vendor(sent) == ((b"accept", b"*/*"),)


@pytest.mark.parametrize(
    "name",
    [b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization", b"x-amz-security-token"],
)  # fmt: skip
def test_a_clients_credentials_are_for_nobody(name: bytes) -> None:
    assert for_vendor([(name, b"secret")]) == ()


def test_what_comes_back_speaks_of_the_answer_alone() -> None:
    raw = [
        (b"Content-Type", b"a/b"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"), (b"Transfer-Encoding", b"chunked"),
        (b"Date", b"now"), (b"X-Request-Id", b"theirs"), (b"Access-Control-Allow-Origin", b"*"), (b"X-Dispatch-Cost", b"0"),
        (b"Connection", b"x-a"), (b"X-A", b"1"), (b"Retry-After", b"3"),
    ]  # fmt: skip
    assert for_client(raw) == [
        (b"content-type", b"a/b"),
        (b"retry-after", b"3"),
        (b"x-upstream-request-id", b"theirs"),
    ]


@pytest.mark.parametrize("name", KEYED)
def test_every_dialect_puts_its_own_key_on(name: str) -> None:
    target = Target(
        vendor="v",
        base_url="https://v.example/v1",
        model="*",
        key="sesame",
        headers={"X-Team": "ours", "OpenAI-Organization": "org"},
    )
    mine = [(b"x-team", b"theirs"), (b"content-type", b"multipart/form-data"), (b"accept", b"a/b")]
    found = with_own_fields(dialect_class(name)(target), mine)
    assert found.count(KEYED[name]) == 1
    fields = httpx.Headers(found)
    assert (fields["x-team"], fields["openai-organization"]) == ("ours", "org")
    assert (fields["content-type"], fields["accept"]) == ("multipart/form-data", "a/b")


def test_a_version_is_the_clients_if_it_names_one() -> None:
    dialect = dialect_class("anthropic")(
        Target(vendor="v", base_url="https://v.example/v1", model="*", key="k")
    )
    assert dict(with_own_fields(dialect, []))[b"anthropic-version"]
    assert (
        dict(with_own_fields(dialect, [(b"anthropic-version", b"2099-01-01")]))[b"anthropic-version"]
        == b"2099-01-01"
    )
