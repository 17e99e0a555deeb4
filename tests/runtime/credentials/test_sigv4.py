"""Signatures against the examples that Amazon publishes, and against botocore."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime import clock
from llm_dispatcher.runtime.credentials.aws import AwsSignature, access_key
from llm_dispatcher.runtime.credentials.sigv4 import AccessKey, sign

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # the secret of Amazon's own examples
KEY = AccessKey("AKIDEXAMPLE", SECRET)
WHEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].partition("Signature=")[2]


def test_the_example_of_the_user_guide() -> None:
    """ "ListUsers", of the IAM user guide."""
    headers = sign(
        KEY,
        method="GET",
        path="/",
        query="Action=ListUsers&Version=2010-05-08",
        headers={
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
            "host": "iam.amazonaws.com",
        },
        body=b"",
        region="us-east-1",
        service="iam",
        now=WHEN,
    )
    assert signature(headers) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert headers["x-amz-date"] == "20150830T123600Z"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/", "Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    ],
    ids=["get-vanilla", "post-vanilla", "get-vanilla-empty-query-key"],
)
def test_the_published_test_suite(method: str, path: str, query: str, expected: str) -> None:
    headers = sign(
        KEY,
        method=method,
        path=path,
        query=query,
        headers={"host": "example.amazonaws.com"},
        body=b"",
        region="us-east-1",
        service="service",
        now=WHEN,
    )
    assert signature(headers) == expected


@settings(max_examples=40, deadline=None)
@given(
    model=st.text(min_size=1, max_size=30),
    body=st.binary(max_size=80),
    token=st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=20),
    query=st.dictionaries(st.text("ab z", min_size=1, max_size=3), st.text("xy&=ü", max_size=4), max_size=3),
)
def test_whatever_is_signed_botocore_signs_alike(
    model: str, body: bytes, token: str | None, query: dict[str, str]
) -> None:
    auth = pytest.importorskip("botocore.auth")
    credentials: Any = pytest.importorskip("botocore.credentials").Credentials("AKID", "secret", token)
    request_kind: Any = pytest.importorskip("botocore.awsrequest").AWSRequest
    path = f"/model/{quote(model, safe='')}/converse"
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    url = f"https://bedrock-runtime.eu-west-3.amazonaws.com{path}{'?' + text if text else ''}"
    request = request_kind(method="POST", url=url, data=body, headers={"content-type": "application/json"})
    auth.SigV4Auth(credentials, "bedrock", "eu-west-3").add_auth(request)
    stamp = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign(
        AccessKey("AKID", "secret", token),
        method="POST",
        path=path,
        query=text,
        headers={"content-type": "application/json", "host": "bedrock-runtime.eu-west-3.amazonaws.com"},
        body=body,
        region="eu-west-3",
        service="bedrock",
        now=stamp.timestamp(),
    )
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


# --- keys as they are configured ------------------------------------------------------------------


def test_a_key_is_an_api_key_or_an_access_key_with_or_without_a_session() -> None:
    assert access_key("ABSKplain") is None
    assert access_key("AKID:secret") == AccessKey("AKID", "secret")
    assert access_key("AKID:secret:") == AccessKey("AKID", "secret")
    assert access_key("AKID:secret:token") == AccessKey("AKID", "secret", "token")
    for wrong in ("AKID:", ":secret", "a:b:c:d"):
        with pytest.raises(ValueError, match="AWS_SECRET_ACCESS_KEY"):
            access_key(wrong)


def test_a_key_does_not_show_its_secrets() -> None:
    assert "secret" not in repr(AccessKey("AKID", "secret", "session-secret"))


async def test_a_request_is_signed_as_it_is_sent_and_by_the_clock() -> None:
    request = httpx.Request(
        "POST",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/converse",
        headers={"host": "bedrock-runtime.us-east-1.amazonaws.com", "content-type": "application/json"},
        stream=httpx.ByteStream(b"{}"),
    )
    signer = AwsSignature(KEY, region="us-east-1", service="bedrock")
    with clock.simulated(lambda: WHEN):
        headers = await signer.headers(request)
    assert headers == sign(
        KEY,
        method="POST",
        path="/model/a%3A0/converse",
        query="",
        headers={"host": "bedrock-runtime.us-east-1.amazonaws.com", "content-type": "application/json"},
        body=b"{}",
        region="us-east-1",
        service="bedrock",
        now=WHEN,
    )
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request" in headers["authorization"]
