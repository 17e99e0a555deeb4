"""Refusals as vendors document them, which no recording holds, and what is read beside their class."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass, Money, consequence
from llm_dispatcher.runtime.canon import Failed, Fault, TextDelta
from llm_dispatcher.runtime.dialects import Answer, Dialect, Target, VendorFault, dialect_class
from llm_dispatcher.runtime.dialects.recognise import ANY, REFUSALS, Rule, by_status
from llm_dispatcher.runtime.dialects.spellings.anthropic import ANTHROPIC
from llm_dispatcher.runtime.dialects.spellings.compatible import COMPATIBLE
from llm_dispatcher.runtime.dialects.spellings.google import GOOGLE

DATE = "Tue, 24 Nov 2026 10:00:00 GMT"
TABLES = {"compatible": COMPATIBLE, "anthropic": ANTHROPIC, "google": GOOGLE}


def dialect(name: str = "openai") -> Dialect:
    return dialect_class(name)(Target(vendor="v", base_url="https://vendor.test/v1", model="m", key="k"))


def refused(status: int, body: Any, *, speaks: str = "openai", **headers: str) -> Fault:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return dialect(speaks).fault(Answer(status, named, content))


def error(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


# --- the class, by vendor -----------------------------------------------------------------------

DOCUMENTED: list[tuple[str, int, Any, str, str]] = [
    # vendor, status, body, class, what tells it
    ("openai", 429, error(type="insufficient_quota"), "quota_exhausted", "code"),
    ("openai", 429, error(code="credit_balance_exhausted"), "quota_exhausted", "code"),
    ("openai", 429, error(code="project_spend_limit_exceeded"), "quota_exhausted", "code"),
    ("openai", 429, error(code="organization_usage_limit_exceeded"), "quota_exhausted", "code"),
    ("openai", 400, error(code="billing_hard_limit_reached"), "quota_exhausted", "code"),
    ("openai", 429, error("on requests per day (RPD): Limit 200"), "daily_limit", "message"),
    ("openai", 429, error("on requests per min (RPM): Limit 3"), "rate_limited", "status"),
    ("openai", 429, error("Request too large, on tokens per day (TPD)"), "too_large", "message"),
    ("openai", 429, error(code="slow_down"), "ramp_limited", "code"),
    ("openai", 503, error(code="slow_down"), "ramp_limited", "code"),
    ("openai", 503, error(code="server_is_overloaded"), "overloaded", "status"),
    ("openai", 403, error(code="unsupported_country_region_territory"), "no_model", "code"),
    ("openai", 403, error("Project does not have access to model m"), "no_model", "message"),
    ("openai", 401, error(code="account_deactivated"), "auth", "status"),
    ("openai", 400, error(code="content_policy_violation"), "refused", "code"),
    ("openai", 502, b"<html><h1>502 Bad Gateway</h1></html>", "server_error", "status"),
    ("openai", 409, error("conflict"), "timeout_409", "status"),
    ("openai", 418, b"", "bad_request", "status"),
    ("azure", 429, error(code="429", message="Please retry after 7 seconds."), "rate_limited", "status"),
    ("azure", 400, error(innererror={"code": "ResponsibleAIPolicyViolation"}), "refused", "code"),
    ("azure", 403, error("Out of call volume quota."), "quota_exhausted", "message"),
    ("azure", 403, error("Access denied due to Virtual Network rules."), "auth", "status"),
    ("azure", 429, error(code="NoCapacity"), "overloaded", "code"),
    ("azure-ai", 413, error(code="tokens_limit_reached"), "too_large", "status"),
    ("azure-ai", 429, error("Rate limit of 150 per 86400s exceeded"), "daily_limit", "message"),
    ("groq", 413, error(code="rate_limit_exceeded"), "too_large", "status"),
    ("groq", 429, error("on tokens per day (TPD): Limit 1"), "daily_limit", "message"),
    ("groq", 498, error(code="capacity_exceeded"), "overloaded", "code"),
    ("groq", 403, error(code="model_permission_blocked_org"), "no_model", "code"),
    ("groq", 400, error(code="blocked_api_access"), "quota_exhausted", "code"),
    ("openrouter", 402, error("Insufficient credits", code=402), "quota_exhausted", "status"),
    ("openrouter", 429, error("Rate limit exceeded: free-models-per-day", code=429), "daily_limit", "message"),
    ("openrouter", 403, error("Key limit exceeded (total limit).", code=403), "quota_exhausted", "message"),
    ("openrouter", 403, error("m requires moderation", code=403), "refused", "message"),
    ("openrouter", 502, error("Provider returned error", code=502), "server_error", "status"),
    ("deepseek", 402, error("Insufficient Balance"), "quota_exhausted", "status"),
    ("deepseek", 400, error("Content Exists Risk"), "refused", "message"),
    ("xai", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x"}, "auth", "message"),
    ("xai", 429, {"code": "exhausted", "error": "Your team has used all available credits"}, "quota_exhausted", "message"),
    ("xai", 403, {"code": "forbidden", "error": "Content violates usage guidelines"}, "refused", "message"),
    ("mistral", 429, {"object": "error", "type": "rate_limited", "code": "1300"}, "rate_limited", "status"),
    ("cohere", 429, {"message": "limited to 1000 API calls / month"}, "quota_exhausted", "message"),
    ("cohere", 429, {"message": "limited to 20 API calls / minute"}, "rate_limited", "status"),
    ("huggingface", 503, {"error": "Model m is currently loading", "estimated_time": 20.0}, "overloaded", "status"),
    ("huggingface", 422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 9"}, "context_length", "message"),
    ("huggingface", 400, error(code="model_not_supported"), "no_model", "code"),
    ("together", 402, error("Credit limit exceeded"), "quota_exhausted", "status"),
    ("together", 403, error("more than the context length of the model"), "context_length", "message"),
    ("perplexity", 401, error(type="insufficient_quota"), "quota_exhausted", "code"),
    ("cerebras", 429, {"code": "queue_exceeded", "type": "too_many_requests_error"}, "overloaded", "code"),
    ("cerebras", 429, {"message": "Tokens per day limit exceeded", "code": "token_quota_exceeded"}, "daily_limit", "message"),
    ("zai", 429, error(code="1113"), "quota_exhausted", "code"),
    ("zai", 429, error(code="1302"), "concurrency_limited", "code"),
    ("zai", 429, error(code="1303"), "rate_limited", "status"),
    ("moonshot", 429, error("request reached max organization concurrency: 3", type="rate_limit_reached_error"), "concurrency_limited", "message"),
    ("moonshot", 429, error("request reached organization max RPM: 20", type="rate_limit_reached_error"), "rate_limited", "status"),
    ("scaleway", 429, error("You exceeded your current threshold of concurrent requests"), "concurrency_limited", "message"),
    ("qwen", 429, error("Too many concurrent requests for this model"), "concurrency_limited", "message"),
    ("zai", 429, error(code="1304"), "daily_limit", "code"),
    ("zai", 429, error(code="1312"), "overloaded", "code"),
    ("zai", 400, error(code="1261"), "context_length", "code"),
    ("zai", 400, error(code="1301"), "refused", "code"),
    ("alibaba", 400, error(code="Arrearage"), "quota_exhausted", "code"),
    ("alibaba", 400, error(code="data_inspection_failed"), "refused", "code"),
    ("alibaba", 400, error("Range of input length should be [1, 9]"), "context_length", "message"),
    ("alibaba", 429, error(code="limit_burst_rate"), "ramp_limited", "code"),
    ("alibaba", 429, error("Allocated quota exceeded", code="insufficient_quota"), "rate_limited", "status"),
    ("ollama", 404, {"error": "model 'm' not found"}, "no_model", "status"),
    ("llamacpp", 503, error("Loading model", type="unavailable_error", code=503), "overloaded", "status"),
    ("llamacpp", 500, error("broken", type="server_error", code=500), "server_error", "status"),
    ("bedrock", 400, {"__type": "ThrottlingException", "message": "slow"}, "rate_limited", "code"),
    ("bedrock", 429, {"message": "Too many tokens per day, please wait"}, "daily_limit", "message"),
    ("bedrock", 400, {"message": "Input is too long for requested model."}, "context_length", "message"),
    ("bedrock", 403, {"message": "You don't have access to the model with that ID"}, "no_model", "message"),
    ("bedrock", 403, {"message": "The security token included is invalid"}, "auth", "status"),
    ("bedrock", 424, {"message": "the model failed"}, "server_error", "status"),
    ("gemini", 400, [error("API key not valid", code=400, status="INVALID_ARGUMENT")], "auth", "message"),
    ("gemini", 429, [error(status="RESOURCE_EXHAUSTED", details=[{"violations": [{"quotaId": "RequestsPerDay"}]}])], "daily_limit", "code"),
    ("anthropic", 402, error(type="billing_error"), "quota_exhausted", "status"),
    ("anthropic", 400, error("reached your specified API usage limits", type="invalid_request_error"), "quota_exhausted", "message"),
    ("anthropic", 429, error("would exceed your acceleration limit", type="rate_limit_error"), "ramp_limited", "message"),
    ("anthropic", 429, error("Number of concurrent connections has exceeded your rate limit.", type="rate_limit_error"), "concurrency_limited", "message"),
    ("anthropic", 429, error("This request would exceed your account's rate limit.", type="rate_limit_error"), "rate_limited", "status"),
    ("anthropic", 413, b"<html><title>413 Request Entity Too Large</title></html>", "too_large", "status"),
    ("anthropic", 403, error("Request not allowed", type="forbidden"), "no_model", "message"),
    ("anthropic", 403, error("key lacks permission", type="permission_error"), "auth", "status"),
    ("anthropic", 400, error("Output blocked by content filtering policy"), "refused", "message"),
    ("anthropic", 500, error(type="overloaded_error"), "overloaded", "code"),
    ("anthropic", 400, error("input length and max_tokens exceed context limit"), "context_length", "message"),
]  # fmt: skip
SPOKEN = {"anthropic": "anthropic", "azure": "azure"}


@pytest.mark.parametrize(
    ("vendor", "status", "body", "kind", "by"), DOCUMENTED, ids=lambda value: str(value)[:40]
)
def test_a_documented_refusal_is_of_its_class_and_says_what_told_it(
    vendor: str, status: int, body: Any, kind: str, by: str
) -> None:
    fault = refused(status, body, speaks=SPOKEN.get(vendor, "openai"))
    assert (fault.kind.value, fault.by) == (kind, by), fault.because
    assert f"{status}" in fault.because


def test_aws_names_its_exception_in_a_header() -> None:
    named = "ThrottlingException:http://internal.amazon.com/coral/"
    fault = refused(400, {"message": "slow"}, x_amzn_errortype=named)
    assert (fault.kind, fault.code) == (FaultClass.RATE_LIMITED, "ThrottlingException")


@pytest.mark.parametrize("status", [300, *range(400, 432), *range(498, 512), *range(520, 530), 599])
def test_a_status_alone_has_a_class(status: int) -> None:
    fault = refused(status, b"")
    assert (fault.kind, fault.by) == (by_status(status), "status")
    if status not in (401, 402, 403, 404, 408, 409, 413, 424, 429, 503, 529):
        assert fault.kind is (FaultClass.BAD_REQUEST if 400 <= status < 500 else FaultClass.SERVER_ERROR)


def test_a_failing_server_is_not_excused_by_the_words_it_fails_with() -> None:
    for body in (error(code="insufficient_quota"), error(code="context_length_exceeded"), error("per day")):
        assert refused(500, body).kind is FaultClass.SERVER_ERROR


def test_what_a_model_lacks_may_be_had_elsewhere_and_what_is_wrong_may_not() -> None:
    lacking = refused(400, error("Unsupported parameter", code="unsupported_parameter"))
    wrong = refused(400, error("temperature must be at most 2", code="decimal_above_max_value"))
    assert (lacking.kind, lacking.elsewhere) == (FaultClass.BAD_REQUEST, True)
    assert (wrong.kind, wrong.elsewhere) == (FaultClass.BAD_REQUEST, False)


# --- the error of another vendor, passed on -----------------------------------------------------


def passed_on(raw: Any, **metadata: Any) -> dict[str, Any]:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return error("Provider returned error", code=400, metadata={"raw": text, **metadata})


def test_what_the_vendor_behind_a_gateway_said_decides_and_is_shown() -> None:
    fault = refused(400, passed_on(error("too long", code="context_length_exceeded", param="messages")))
    assert (fault.kind, fault.by, fault.param) == (FaultClass.CONTEXT_LENGTH, "code", "messages")
    assert fault.message == "Provider returned error: too long"
    assert (
        refused(400, passed_on(error(status="INVALID_ARGUMENT", message="API key expired"))).kind
        is FaultClass.AUTH
    )


def test_headers_that_a_gateway_quotes_count_where_it_sends_none() -> None:
    quoted = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795514460000"}
    body = error("free-models-per-min", code=429, metadata={"headers": quoted})
    assert refused(429, body, date=DATE).retry_after == 60
    assert refused(429, body, date=DATE, x_ratelimit_reset="1795514430000").retry_after == 30


def test_errors_within_errors_are_not_followed_for_ever() -> None:
    body: Any = error("deepest", code="insufficient_quota")
    for _ in range(6):
        body = passed_on(body)
    assert refused(400, body).kind is FaultClass.BAD_REQUEST


# --- the day's end ------------------------------------------------------------------------------


def test_googles_day_ends_at_pacific_midnight_whatever_the_hint_says() -> None:
    details = [{"violations": [{"quotaId": "RequestsPerDay"}]}, {"retryDelay": "18s"}]
    body = error(status="RESOURCE_EXHAUSTED", code=429, details=details)
    for name in ("google", "openai"):
        fault = refused(429, body, speaks=name, date=DATE)
        # 10:00 UTC in November is 2:00 in California.
        assert (fault.retry_after, fault.day_ends_in) == (18, 22 * 3600)
        assert fault.closed_for == 22 * 3600


def test_another_vendors_day_ends_at_midnight_utc_unless_it_names_a_reset() -> None:
    body = error("on requests per day (RPD): Limit 200")
    assert refused(429, body, date=DATE).day_ends_in == 14 * 3600
    named = refused(
        429, body, date=DATE, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="7m12s"
    )
    assert named.day_ends_in == 432
    assert refused(429, error("(TPD). Please try again in 6m0s."), date=DATE).day_ends_in == 360
    assert refused(429, body).day_ends_in == 86_400


def test_only_a_daily_limit_has_an_end_of_the_day() -> None:
    assert refused(429, error("slow down"), date=DATE).day_ends_in is None
    assert refused(429, error("slow down"), date=DATE).closed_for is None


# --- within an answer of status 200 -------------------------------------------------------------

WITHIN: list[tuple[Any, str]] = [
    ({"message": "x", "status_code": 503}, "overloaded"),
    (
        {"message": "x", "code": "tool_use_failed", "type": "invalid_request_error", "status_code": 400},
        "bad_request",
    ),
    ({"message": "x", "code": 429}, "rate_limited"),
    ({"message": "x", "code": "502"}, "server_error"),
    ({"message": "x", "http_status_code": 422}, "bad_request"),
    ({"message": "x", "type": "overloaded_error"}, "overloaded"),
    ({"message": "x", "code": "server_error", "type": "server_error"}, "server_error"),
    ({"message": "x", "code": "rate_limit_exceeded"}, "rate_limited"),
    ({"message": "x", "code": "insufficient_quota"}, "quota_exhausted"),
    ({"message": "x", "code": "context_length_exceeded"}, "context_length"),
    ({"message": "x", "code": 503, "status": "UNAVAILABLE"}, "overloaded"),
    ({"message": "x", "status": "DEADLINE_EXCEEDED"}, "server_error"),
    ({"message": "maximum context length"}, "in_stream_error"),
    ({"message": "x", "code": 7}, "in_stream_error"),
    ("broken", "in_stream_error"),
]


@pytest.mark.parametrize(("raw", "kind"), WITHIN, ids=str)
def test_an_error_within_an_answer_is_of_its_inner_class(raw: Any, kind: str) -> None:
    body = json.dumps({"error": raw}).encode()
    decoder = dialect().decoder()
    last = [*decoder.feed(b"data: " + body + b"\n\n"), *decoder.close()][-1]
    assert isinstance(last, Failed)
    assert last.fault.kind.value == kind
    assert last.fault.status is None
    with pytest.raises(VendorFault) as refusal:
        dialect().completion(body)
    assert refusal.value.fault == last.fault


def test_an_error_after_content_keeps_its_class_and_is_billed_for_what_came() -> None:
    decoder = dialect().decoder()
    content = {"choices": [{"index": 0, "delta": {"content": "Once"}}]}
    events = decoder.feed(f"data: {json.dumps(content)}\n\n".encode())
    events += decoder.feed(b'data: {"error": {"message": "x", "type": "overloaded_error"}}\n\n')
    failed = events[-1]
    assert any(isinstance(event, TextDelta) for event in events)
    assert isinstance(failed, Failed)
    assert failed.fault.kind is FaultClass.OVERLOADED
    assert consequence(failed.fault.kind, failed.fault.status).money is Money.NONE
    assert consequence(failed.fault.kind, failed.fault.status, committed=True).money is Money.PARTIAL


# --- the tables themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_rule_says_who_says_so_and_what_tells_it(name: str) -> None:
    for rule in TABLES[name]:
        assert rule.said_by
        assert rule.words or rule.message, rule


@pytest.mark.parametrize("name", TABLES)
def test_no_word_stands_in_two_rules_of_the_same_evidence(name: str) -> None:
    seen: Counter[tuple[str, str | None, str]] = Counter()
    for rule in TABLES[name]:
        pattern = None if rule.message is None else rule.message.pattern
        for word in rule.words:
            for status in (400, 403, 429, 500, 503):
                if status in rule.statuses:
                    seen[word, pattern, str(status)] += 1
    repeated = {key[0] for key, count in seen.items() if count > 1 and key[1] is None}
    # A vendor's words may come through the table of those who pass them on as well.
    assert repeated <= {"authentication_error"}


def test_a_rule_holds_for_refusals_unless_it_names_statuses_of_its_own() -> None:
    rule = Rule(kind=FaultClass.AUTH, said_by="nobody", words=("x",))
    assert rule.statuses is REFUSALS
    assert set(REFUSALS) < set(ANY)


@pytest.mark.parametrize(
    "body",
    [
        b"<" * 65_000,
        b"<title" * 10_000,
        b"[" * 65_000,
        b'{"error":' * 7_000,
        b'{"error": {"message": "' + b"enable billing " * 4_000 + b'"}}',
        b'{"error": {"message": "' + b"wait 1" * 10_000 + b'"}}',
        b'{"error": {"code": ' + b"1" * 6_000 + b"}}",
        b'{"estimated_time": ' + b"9" * 6_000 + b"}",
    ],
    ids=lambda body: body[:24].decode(),
)
@pytest.mark.parametrize("speaks", ["openai", "anthropic", "google", "cohere"])
def test_a_hostile_body_is_read_in_no_time_and_shown_in_part(body: bytes, speaks: str) -> None:
    fault = refused(400, body, speaks=speaks)
    assert len(fault.message) < 2_100
    assert len(fault.code or "") <= 200
    assert len(fault.because) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "code", "message", "type", "status", "detail", "details", "metadata", "raw",
                 "headers", "innererror", "violations", "reason", "loc", "param"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)  # fmt: skip


@pytest.mark.slow
@given(
    status=st.integers(300, 599),
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    speaks=st.sampled_from(["openai", "azure", "anthropic", "google", "cohere"]),
)
def test_no_body_is_beyond_recognising(status: int, body: bytes, speaks: str) -> None:
    fault = dialect(speaks).fault(Answer(status, {}, body))
    assert fault.status == status
    assert fault.message
    assert fault.because
