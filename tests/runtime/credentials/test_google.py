"""Google's access tokens: one task asks, ahead of time; requests take what there is and never ask."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import clock
from llm_dispatcher.runtime.credentials import google
from llm_dispatcher.runtime.credentials.base import Refused
from llm_dispatcher.runtime.credentials.google import (
    AuthorizedUser,
    GoogleToken,
    Metadata,
    ServiceAccount,
    grant_of,
    names_a_grant,
)
from llm_dispatcher.runtime.credentials.signing import SigningTransport
from llm_dispatcher.runtime.dialects import VendorFault

REQUEST = httpx.Request("POST", "https://vertex.test/")
USER = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


class Office:
    """Gives tokens one after the other, as `answers` say: seconds of life, or a status, or an exception."""

    def __init__(self, *answers: float | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[float, httpx.Request]] = []

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((trio.current_time(), request))
        await trio.sleep(0.25)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json={"access_token": f"t{len(self.asked)}", "expires_in": answer})

    @property
    def times(self) -> list[float]:
        first = self.asked[0][0]
        return [round(at - first, 2) for at, _ in self.asked]


async def keeping(nursery: trio.Nursery, office: Office) -> GoogleToken:
    token = GoogleToken(AuthorizedUser(USER))
    nursery.start_soon(token.run, httpx.MockTransport(office.respond))
    return token


async def bearer(token: GoogleToken) -> str:
    return (await token.headers(REQUEST))["authorization"]


# --- keeping ------------------------------------------------------------------------------------


async def test_a_token_is_asked_for_once_and_again_five_minutes_before_it_expires(
    autojump_clock: Any,
) -> None:
    office = Office(3600)
    async with trio.open_nursery() as nursery:
        token = await keeping(nursery, office)
        assert [await bearer(token) for _ in range(5)] == ["Bearer t1"] * 5
        await trio.sleep(3290)
        assert await bearer(token) == "Bearer t1"
        await trio.sleep(20)
        assert await bearer(token) == "Bearer t2"
        assert len(office.asked) == 2
        nursery.cancel_scope.cancel()


async def test_a_token_that_lives_shortly_is_asked_for_at_half_its_life(autojump_clock: Any) -> None:
    office = Office(100)
    async with trio.open_nursery() as nursery:
        token = await keeping(nursery, office)
        await bearer(token)
        await trio.sleep(160)
        assert office.times == [0, 50.25, 100.5, 150.75]
        nursery.cancel_scope.cancel()


async def test_while_the_next_is_not_to_be_had_the_old_one_serves_to_its_end(autojump_clock: Any) -> None:
    office = Office(600, httpx.Response(503, text="busy"))
    async with trio.open_nursery() as nursery:
        token = await keeping(nursery, office)
        await bearer(token)
        await trio.sleep(599)
        assert await bearer(token) == "Bearer t1"
        assert office.times[1:6] == [300.25, 301.5, 303.75, 308, 316.25]
        await trio.sleep(2)
        with pytest.raises(Refused, match="status 503") as caught:
            await bearer(token)
        assert caught.value.passing
        nursery.cancel_scope.cancel()


async def test_questions_that_fail_are_repeated_ever_more_rarely_and_once_a_minute_at_last(
    autojump_clock: Any,
) -> None:
    office = Office(httpx.ConnectError("down"))
    async with trio.open_nursery() as nursery:
        await keeping(nursery, office)
        await trio.sleep(400)
        gaps = [round(b - a, 2) for a, b in zip(office.times, office.times[1:], strict=False)]
        assert gaps[:7] == [1.25, 2.25, 4.25, 8.25, 16.25, 32.25, 60.25]
        assert set(gaps[7:]) == {60.25}
        nursery.cancel_scope.cancel()


async def test_a_request_waits_for_the_first_token_and_not_for_ever(autojump_clock: Any) -> None:
    never = GoogleToken(Metadata())
    begun = trio.current_time()
    with pytest.raises(Refused, match="came in time"):
        await never.headers(REQUEST)
    assert trio.current_time() - begun == 10


@pytest.mark.parametrize(
    ("answer", "words", "passing"),
    [
        (httpx.Response(400, json={"error": "invalid_grant", "error_description": "Account deleted"}), "Account deleted", False),
        (httpx.Response(401, json={"error": "invalid_client"}), "invalid_client", False),
        (httpx.Response(500, text="oh"), "oh", True),
        (httpx.Response(200, text="<html>"), "<html>", True),
        (httpx.Response(200, json={"expires_in": 5}), "expires_in", True),
        (httpx.ConnectError("no route"), "no route", True),
    ],
)  # fmt: skip
async def test_why_there_is_no_token_is_said_and_whether_it_may_pass(
    answer: httpx.Response | Exception, words: str, passing: bool, autojump_clock: Any
) -> None:
    async with trio.open_nursery() as nursery:
        token = await keeping(nursery, Office(answer))
        with pytest.raises(Refused, match=words) as caught:
            await bearer(token)
        assert caught.value.passing is passing
        nursery.cancel_scope.cancel()


async def test_a_question_that_nobody_answers_is_given_up(autojump_clock: Any) -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    token = GoogleToken(Metadata())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(token.run, httpx.MockTransport(silent))
        await trio.sleep(20.5)
        with pytest.raises(Refused, match="nothing came within 20 s"):
            await token.headers(REQUEST)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("passing", "kind"), [(True, FaultClass.CONNECT), (False, FaultClass.AUTH)])
async def test_without_credentials_nothing_is_sent(passing: bool, kind: FaultClass) -> None:
    class Penniless(GoogleToken):
        async def headers(self, request: httpx.Request) -> Any:
            raise Refused("none", passing=passing)

    def respond(_: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    transport = SigningTransport(httpx.MockTransport(respond), Penniless(Metadata()))
    with pytest.raises(VendorFault) as caught:
        await transport.handle_async_request(REQUEST)
    assert caught.value.fault.kind is kind


# --- asking -------------------------------------------------------------------------------------


def written(folder: Path, held: Any) -> str:
    file = folder / "credentials.json"
    file.write_text(held if isinstance(held, str) else json.dumps(held))
    return str(file)


def fields(request: httpx.Request) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(request.read().decode()).items()}


def test_a_person_asks_with_a_refresh_token(tmp_path: Path) -> None:
    grant = grant_of(written(tmp_path, {**USER, "quota_project_id": "q"}))
    question = grant.question(0)
    assert (question.method, str(question.url)) == ("POST", "https://oauth2.googleapis.com/token")
    assert fields(question) == {
        "grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r",
    }  # fmt: skip
    assert grant.project == "q"


def test_a_machine_asks_its_metadata_server() -> None:
    question = grant_of("metadata").question(0)
    assert (question.method, question.url.host) == ("GET", "metadata.google.internal")
    assert question.headers["metadata-flavor"] == "Google"


def service_account(**more: Any) -> tuple[dict[str, Any], Any]:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    words = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(words.Encoding.PEM, words.PrivateFormat.PKCS8, words.NoEncryption()).decode()
    held = {
        "type": "service_account",
        "client_email": "a@p.iam.gserviceaccount.com",
        "private_key": pem,
        "private_key_id": "kid-1",
        "token_uri": "https://oauth2.test/token",
        **more,
    }
    return held, key.public_key()


def test_a_service_account_signs_its_question(tmp_path: Path) -> None:
    held, public = service_account()
    grant = grant_of(written(tmp_path, held))
    assert isinstance(grant, ServiceAccount)
    question = grant.question(1_700_000_000.9)
    assert str(question.url) == "https://oauth2.test/token"
    told = fields(question)
    assert told["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = told["assertion"].split(".")
    assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert decoded(claims) == {
        "iss": "a@p.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.test/token",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    padding = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    public.verify(raw(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decoded(text: str) -> Any:
    return json.loads(raw(text))


async def test_the_question_is_dated_by_the_clock(autojump_clock: Any) -> None:
    held, _ = service_account()
    office = Office(3600)
    async with trio.open_nursery() as nursery:
        token = GoogleToken(ServiceAccount(held))
        with clock.simulated(lambda: 1_234_567.0):
            nursery.start_soon(token.run, httpx.MockTransport(office.respond))
            await bearer(token)
        nursery.cancel_scope.cancel()
    assert decoded(fields(office.asked[0][1])["assertion"].split(".")[1])["iat"] == 1_234_567


def _unreadable(folder: Path) -> str:
    return str(folder / "absent.json")


def _key_of_another_kind(folder: Path) -> str:
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    words = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(words.Encoding.PEM, words.PrivateFormat.PKCS8, words.NoEncryption()).decode()
    return written(folder, {"type": "service_account", "client_email": "a", "private_key": pem})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_unreadable, "cannot be read: No such file"),
        (lambda folder: written(folder, "no json"), "no file of credentials as Google hands them out"),
        (
            lambda folder: written(folder, {"type": "external_account"}),
            "'external_account'; service_account and",
        ),
        (
            lambda folder: written(folder, {"type": "service_account"}),
            "missing required field `client_email`",
        ),
        (
            lambda folder: written(
                folder, {"type": "service_account", "client_email": "a", "private_key": "x"}
            ),
            "private key cannot be read",
        ),
        (_key_of_another_kind, "no RSA key"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(make: Callable[[Path], str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        grant_of(make(tmp_path))


def test_without_the_package_that_signs_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.asymmetric.rsa", None)
    with pytest.raises(ValueError, match=r"pip install 'llm-dispatcher\[vertex\]'"):
        google._private_key("")


def test_which_keys_name_a_way_to_a_token() -> None:
    assert names_a_grant("metadata")
    assert names_a_grant("/etc/keys/sa")
    assert names_a_grant("sa.json")
    assert not names_a_grant("ya29.a0Af_-x")
    assert not names_a_grant("AIzaSyA-1")
