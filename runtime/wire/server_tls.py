"""TLS of the server: a certificate and its key, read from files and read anew when they change.

Certificates are replaced while a server runs, by certbot or by Kubernetes, and often in two steps. So the files are looked
at now and then, connections keep what they began with, and a pair that does not fit together changes nothing.
"""

from __future__ import annotations

import os
import ssl
from typing import Final, NoReturn

import structlog
import trio

__all__ = ["Certificate", "CertificateError"]

log = structlog.get_logger("llm_dispatcher.server")

_EVERY: Final = 10.0
"""Seconds between two looks at the files."""


class CertificateError(Exception):
    """The certificate, its key or the clients' authority are of no use; the message says which and why."""


class Certificate:
    """The server's certificate. `context` is what new connections use.

    `certificate`: a PEM file, the server's own first, then those between it and the root. `key`: its private key, without a
    passphrase; None if it stands in the same file. `client_ca`: only clients with a certificate of this authority
    are let in; None lets in everybody. Raises `CertificateError`.
    """

    def __init__(self, certificate: str, key: str | None = None, client_ca: str | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._seen = self._fingerprint()
        self.context = self._load()

    def refresh(self) -> bool:
        """Read the files anew if they have changed; whether they had, and were of use. What is of no use is said in the log."""
        seen = self._fingerprint()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context = self._load()
        except CertificateError as error:
            log.error("the new certificate is not used, the old one stays", error=str(error))
            return False
        log.info("certificate read anew", certificate=self._certificate)
        return True

    async def watch(self) -> None:
        """Keep it up to date for ever."""
        while True:
            await trio.sleep(_EVERY)
            self.refresh()

    def _fingerprint(self) -> list[tuple[int, int, int] | None]:
        """What changes when one of the files does."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._certificate, self._key, self._client_ca):
            try:
                status = os.stat(path) if path else None
            except OSError:
                status = None
            found.append(None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino))
        return found

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._readable("certificate", self._certificate)
        if self._key is not None:
            self._readable("key", self._key)
        try:
            # Without a function that refuses, OpenSSL would ask for a passphrase at the terminal.
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except ssl.SSLError as error:
            raise CertificateError(
                _reason(error, self._certificate, self._key or self._certificate)
            ) from error
        if self._client_ca is not None:
            self._readable("client_ca", self._client_ca)
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError as error:
                raise CertificateError(f"client_ca: {self._client_ca} holds no PEM certificate") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @staticmethod
    def _readable(what: str, path: str) -> None:
        try:
            with open(path, "rb"):
                return
        except OSError as error:
            raise CertificateError(f"{what}: cannot read {path}: {error.strerror}") from error


def _no_passphrase() -> NoReturn:
    raise CertificateError(
        "key: it is protected by a passphrase, for which nobody can be asked; write it without one"
    )


def _reason(error: ssl.SSLError, certificate: str, key: str) -> str:
    """What OpenSSL means, in words."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"key: {key} does not belong to the certificate in {certificate}"
    if error.library == "PEM" or error.reason is None:
        return f"certificate or key: no PEM certificate in {certificate}, or no private key in {key}"
    return f"certificate or key: {error.reason.replace('_', ' ').lower()} ({certificate}, {key})"
