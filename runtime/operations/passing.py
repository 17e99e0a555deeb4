"""Passing on: a request of the vendor's own interface, as it came. It needs nothing of a deployment but its key.

Its answer is never held as a whole: what is not a stream of events is a stream of bytes.
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpx

from ...actors.faults import FaultClass
from ..canon import Completion, Fault, Usage
from ..dialects.base import Built, Decoder, Dialect, Unsupported
from ..estimate import Facts
from ..money import Bill
from ..passing.own import with_own_fields
from ..passing.passage import Passage
from ..passing.paths import address
from ..passing.reading import PassingDecoder
from .base import Operation

__all__ = ["PassingOperation"]

_UNTOUCHED: Final = frozenset(
    {
        FaultClass.CONNECT,
        FaultClass.TLS,
        FaultClass.NOT_PROCESSED,
        FaultClass.AUTH,
        FaultClass.QUOTA_EXHAUSTED,
        FaultClass.RATE_LIMITED,
        FaultClass.DAILY_LIMIT,
        FaultClass.RAMP_LIMITED,
        FaultClass.OVERLOADED,
    }
)
"""Faults after which the vendor has done nothing of what was asked, whatever that was."""


class PassingOperation(Operation[Passage, Completion]):
    """See the module's docstring."""

    name: ClassVar[str] = "passing"
    described: ClassVar[str] = "requests that are passed on"
    fixed: ClassVar[bool] = True

    def facts(self, wanted: Passage, _long_context: int) -> Facts:
        """See `Operation.facts`. What nobody can read counts as a request, and as no tokens."""
        known = wanted.known
        tokens = (0, 0) if known is None else (known.input_tokens, known.output_tokens)
        return Facts(*tokens, frozenset(), frozenset(), len(wanted.body), window=0)

    def most(self, wanted: Passage, most_output: int) -> Usage:
        """See `Operation.most`."""
        return Usage(input_tokens=len(wanted.body), output_tokens=most_output)

    def build(self, dialect: Dialect, wanted: Passage, *, stream: bool) -> Built:
        """See `Operation.build`."""
        if not stream:
            raise Unsupported("an answer that is passed on whole")
        if dialect.target.vendor != wanted.vendor:
            # Whatever names may come to mean: what is meant for one vendor is no other's business.
            raise Unsupported(f"a request that is meant for {wanted.vendor!r}")
        url = address(httpx.URL(dialect.target.base_url), wanted.path, wanted.query)
        fields = [
            (b"host", url.netloc),
            *with_own_fields(dialect, wanted.headers),
            (b"accept-encoding", b"identity"),
        ]
        if wanted.body or wanted.method in ("POST", "PUT", "PATCH"):
            fields.append((b"content-length", b"%d" % len(wanted.body)))
        return Built(httpx.Request(wanted.method, url, headers=fields, stream=httpx.ByteStream(wanted.body)))

    def read(self, _dialect: Dialect, _body: bytes, _wanted: Passage, _built: Built) -> Completion:
        """See `Operation.read`: its answers are all streams."""
        raise Unsupported("an answer that is passed on whole")

    def decoder(self, _dialect: Dialect, _built: Built) -> Decoder:
        """See `Operation.decoder`; of a request that is recognised the usage is read by `passing.transit`."""
        return PassingDecoder(None)

    def count(self, answer: Completion, bill: Bill) -> None:
        """See `Operation.count`: there is no whole answer."""

    def flaw(self, _answer: Completion, _wanted: Passage) -> Fault | None:
        """See `Operation.flaw`: what an answer is worth is the client's to judge."""
        return None

    def repeatable(self, wanted: Passage, fault: Fault) -> bool:
        """See `Operation.repeatable`. Nobody knows what a request does that is not understood."""
        return wanted.repeatable or fault.kind in _UNTOUCHED
