"""Access tokens of Google's clouds: asked for, kept, and asked for anew well before they expire.

Who asks is said by a vendor's key, which is the path of one of the files that Google hands out (of a service account, or what
`gcloud auth application-default login` leaves behind), or the word `metadata`, on Google's own machines. A service account signs
its question (RFC 7523), which takes the extra `vertex`; the others need nothing.

One task for each account asks, by the vendor's own way out (and through its proxy, if it has one); a request never does. It takes the token that there is, and waits only where there is none
yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec
import trio
from msgspec import Struct

from ...actors.log import Log
from ..clock import wall_now
from .base import Credentials, Refused

__all__ = [
    "METADATA",
    "AuthorizedUser",
    "GoogleToken",
    "Grant",
    "Metadata",
    "ServiceAccount",
    "grant_of",
    "names_a_grant",
]

log = Log("llm_dispatcher.credentials")

METADATA: Final = "metadata"
_METADATA_URL: Final = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
)
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_QUESTION_LIVES: Final = 3600
_AHEAD: Final = 300.0
"""Seconds before a token expires at which the next is asked for. The metadata server keeps a token of its own, and gives a
new one from four minutes before its end."""
_LEAST: Final = 1.0
"""Seconds between two questions that were answered, however short what they brought may live."""
_PATIENCE: Final = 10.0
"""Seconds that a request waits for the first token."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_ASK_WITHIN: Final = 20.0
_MOST: Final = 64 * 2**10
_REFUSALS: Final = range(400, 500)


class Grant(ABC):
    """A way to a token."""

    project: str | None = None
    """Whose quota counts, where that is not the project in the address (`x-goog-user-project`)."""

    @abstractmethod
    def question(self, now: float) -> httpx.Request:
        """What to ask, at `now` in seconds since the epoch."""


class Metadata(Grant):
    """The machine's own account, asked of the server that knows it."""

    def __init__(self, url: str = _METADATA_URL) -> None:
        self._url = url

    def question(self, now: float) -> httpx.Request:
        """See `Grant.question`."""
        _ = now
        return httpx.Request("GET", self._url, headers={"metadata-flavor": "Google"})


class AuthorizedUser(Grant):
    """A person, by a refresh token."""

    class _File(Struct):
        client_id: str
        client_secret: str
        refresh_token: str
        token_uri: str = _TOKEN_URI
        quota_project_id: str | None = None

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Raises `msgspec.ValidationError` for what is no such file."""
        self._file = msgspec.convert(raw, AuthorizedUser._File)
        self.project = self._file.quota_project_id

    def question(self, now: float) -> httpx.Request:
        """See `Grant.question`."""
        _ = now
        file = self._file
        fields = {
            "grant_type": "refresh_token",
            "client_id": file.client_id,
            "client_secret": file.client_secret,
            "refresh_token": file.refresh_token,
        }
        return _form(file.token_uri, fields)


class ServiceAccount(Grant):
    """A program, by a question that it signs with its private key."""

    class _File(Struct):
        client_email: str
        private_key: str
        private_key_id: str | None = None
        token_uri: str = _TOKEN_URI
        quota_project_id: str | None = None

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Raises `msgspec.ValidationError` for what is no such file, and `ValueError` for a key that cannot be used."""
        self._file = msgspec.convert(raw, ServiceAccount._File)
        self.project = self._file.quota_project_id
        self._key = _private_key(self._file.private_key)

    def question(self, now: float) -> httpx.Request:
        """See `Grant.question`."""
        file = self._file
        return _form(file.token_uri, {"grant_type": _JWT_GRANT, "assertion": self._assertion(int(now))})

    def _assertion(self, now: int) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        file = self._file
        head = {"alg": "RS256", "typ": "JWT"}
        if file.private_key_id:
            head["kid"] = file.private_key_id
        claims = {
            "iss": file.client_email,
            "scope": _SCOPE,
            "aud": file.token_uri,
            "iat": now,
            "exp": now + _QUESTION_LIVES,
        }
        text = b".".join(_base64url(msgspec.json.encode(part)) for part in (head, claims))
        signature = self._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return b".".join([text, _base64url(signature)]).decode()


def names_a_grant(key: str) -> bool:
    """Whether a vendor's key names a way to a token, and is not one itself, nor an API key."""
    return key == METADATA or key.endswith(".json") or "/" in key


def grant_of(key: str) -> Grant:
    """The way to a token that a vendor's key names. Reads the file. Raises `ValueError`, with the remedy."""
    if key == METADATA:
        return Metadata()
    try:
        raw = msgspec.json.decode(Path(key).expanduser().read_bytes(), type=dict[str, Any])
        kind = raw.get("type")
        if kind == "service_account":
            return ServiceAccount(raw)
        if kind == "authorized_user":
            return AuthorizedUser(raw)
    except OSError as error:
        raise ValueError(
            f"the key names the file {key!r}, which cannot be read: {error.strerror or error}"
        ) from error
    except msgspec.MsgspecError as error:
        raise ValueError(f"{key!r} is no file of credentials as Google hands them out: {error}") from error
    raise ValueError(
        f"{key!r} holds credentials of the type {kind!r}; service_account and authorized_user can be used"
    )


class GoogleToken(Credentials):
    """One account's token."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self._token: str | None = None
        self._expires_at = 0.0
        self._problem: Refused | None = None
        self._tried = trio.Event()

    async def headers(self, request: httpx.Request) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        _ = request
        with trio.move_on_after(_PATIENCE):
            await self._tried.wait()
        if self._token is None or trio.current_time() >= self._expires_at:
            raise self._problem or Refused("no access token came in time", passing=True)
        headers = {"authorization": f"Bearer {self._token}"}
        if self._grant.project:
            headers["x-goog-user-project"] = self._grant.project
        return headers

    async def run(self, transport: httpx.AsyncBaseTransport) -> None:
        """See `Credentials.run`."""
        wait = _FIRST_WAIT
        while True:
            try:
                lives = await self._ask(transport)
            except Refused as refusal:
                self._problem = refusal
                log.warning("no access token", reason=str(refusal), again_in=wait)
                pause, wait = wait, min(2 * wait, _LONGEST_WAIT)
            else:
                wait = _FIRST_WAIT
                pause = max(lives - _AHEAD if lives > 2 * _AHEAD else lives / 2, _LEAST)
            self._tried.set()
            await trio.sleep(pause)

    async def _ask(self, transport: httpx.AsyncBaseTransport) -> float:
        """Ask for a token; how many seconds it lives. Raises `Refused`."""
        asked_at = trio.current_time()
        status, body = None, b""
        with trio.move_on_after(_ASK_WITHIN):
            try:
                status, body = await _exchange(transport, self._grant.question(wall_now()))
            except httpx.HTTPError as error:
                raise Refused(f"an access token could not be asked for: {error}", passing=True) from error
        if status is None:
            raise Refused(
                f"an access token was asked for, and nothing came within {_ASK_WITHIN:g} s", passing=True
            )
        try:
            told = msgspec.json.decode(body, type=_Answer)
        except msgspec.MsgspecError:
            told = _Answer()
        if status != 200 or not told.access_token:
            why = told.error_description or told.error or body[:200].decode("utf-8", "replace")
            # A 4xx is a word about the account; anything else may be different the next time.
            raise Refused(
                f"no access token was given (status {status}): {why}", passing=status not in _REFUSALS
            )
        self._token, self._expires_at = told.access_token, asked_at + told.expires_in
        self._problem = None
        return told.expires_in


class _Answer(Struct):
    access_token: str = ""
    expires_in: float = 3600.0
    error: str = ""
    error_description: str = ""


async def _exchange(transport: httpx.AsyncBaseTransport, question: httpx.Request) -> tuple[int, bytes]:
    question.extensions = {"timeout": {"connect": 5.0, "read": 15.0, "write": 5.0, "pool": 5.0}}
    response = await transport.handle_async_request(question)
    try:
        body = bytearray()
        stream = response.stream
        if isinstance(stream, AsyncIterable):
            async for piece in stream:
                body += piece
                if len(body) > _MOST:
                    break
        return response.status_code, bytes(body)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 0.1):
            await response.aclose()


def _form(url: str, fields: Mapping[str, str]) -> httpx.Request:
    return httpx.Request(
        "POST",
        url,
        headers={"content-type": "application/x-www-form-urlencoded"},
        content=urlencode(fields).encode(),
    )


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _private_key(pem: str) -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ValueError(
            "signing for a service account needs a further package: pip install 'llm-dispatcher[vertex]'"
        ) from error
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the service account's private key cannot be read: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the service account's private key is no RSA key")
    return key
