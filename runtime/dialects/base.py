"""The contract of a dialect: how one vendor's interface is spoken. Pure translation, no I/O.

A *format* (`runtime.dialects.formats`) is what the JSON looks like; several vendors share one. A
*dialect* is a vendor's door: where to send a body of which format, with which headers, which of its
habits differ, and what it means when it refuses. There is one instance per deployment, made when the
configuration is loaded, so that whatever does not depend on the request is worked out once.

A dialect never raises for what a vendor sent, except `VendorFault`, which carries the recognised
`Fault`; and never for what a caller asked, except `Unsupported`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import httpx
from msgspec import Struct

from ..canon import Completion, Event, Fault, Request
from ..credentials.base import Credentials
from ..vectors import Embed, Embeddings

__all__ = [
    "Answer",
    "BatchLimits",
    "Built",
    "Decoder",
    "Dialect",
    "EmbeddingsHalf",
    "InvalidBody",
    "Target",
    "TextsHalf",
    "Unsupported",
    "VendorFault",
]


class Unsupported(Exception):
    """The request asks for something that this dialect cannot say. `feature` names it."""

    def __init__(self, feature: str, remedy: str = "") -> None:
        super().__init__(f"{feature} is not supported here{'; ' + remedy if remedy else ''}")
        self.feature = feature


class InvalidBody(Exception):
    """A client's body is not a request of the format that it came in. `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class VendorFault(Exception):
    """The vendor failed, or refused; `fault` says how."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Target(Struct, frozen=True, kw_only=True):
    """What a dialect needs to know about one deployment.

    `model` is the vendor's own name for it. `headers` are sent with every request, after the
    dialect's own and replacing those of the same name. `options` are the dialect's own settings (such
    as `api_version`); a dialect documents and checks them. With `lenient`, what the dialect cannot say
    is dropped and reported; otherwise it is refused.
    """

    vendor: str
    base_url: str
    model: str
    key: str | None = None
    headers: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    lenient: bool = False
    operations: frozenset[str] = frozenset({"chat"})
    """What the deployment does: `chat`, `completions`, `embeddings`."""


class Built(Struct, frozen=True):
    """A request ready to send, and the names of what had to be dropped from it."""

    request: httpx.Request
    dropped: tuple[str, ...] = ()
    by_call: bool = False
    """Whether the answer will be the call of a function (see `by_call`)."""


class Answer(Struct, frozen=True):
    """A refusal as it arrived: status, headers (names in lower case) and at most 64 KiB of body.

    `wall_now` is the local time in seconds since the epoch, for hints given as a date when the answer
    carries no `Date` of its own.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    wall_now: float | None = None


class Decoder(Protocol):
    """One streamed answer, from bytes to events, cut wherever the network cut it."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. An error in the stream is a last `Failed` event;
        so is a stream that is malformed or oversized. Nothing is ever raised."""

    def close(self) -> list[Event]:
        """The body ended. Ends with a `Failed` (class TRUNCATED) unless the vendor finished its answer."""

    @property
    def finished(self) -> bool:
        """Whether the vendor's own terminal event has been seen: nothing more needs to be read."""


class BatchLimits(Struct, frozen=True):
    """The most that one call for embeddings may hold. `tokens` are of all inputs together; None: no bound is known."""

    inputs: int
    tokens: int | None = None


class EmbeddingsHalf(ABC):
    """How a deployment's embeddings are asked for. What its refusals mean is `Dialect.fault`'s business, as of chat."""

    most: BatchLimits

    @abstractmethod
    def build(self, wanted: Embed, /) -> Built:
        """The HTTP request for `wanted`, which keeps within `most`. Raises `Unsupported` unless the target is lenient."""

    @abstractmethod
    def embeddings(self, body: bytes, wanted: Embed, /) -> Embeddings:
        """A buffered answer of status 200. Raises `VendorFault` if it is an error in disguise, or malformed. Whether the
        vectors are those of `wanted` (their number, lengths and values) is checked elsewhere, for all dialects."""


class TextsHalf(Protocol):
    """How a deployment is asked to go on with a bare text (`Request.prompt`). The methods as those of `Dialect`."""

    def build(self, request: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""

    def completion(self, body: bytes, /) -> Completion:
        """See `Dialect.completion`."""

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""


class Dialect(ABC):
    """One deployment's interface: chat in its own methods, and a half for each further operation that it can say.

    See the module's docstring. A subclass that can say more than chat names it in `operations`, and makes the halves
    that `target.operations` asks for.
    """

    name: ClassVar[str]
    """As written in the configuration: `dialect = "openai"`."""
    format: ClassVar[str]
    """The wire format: `chat_completions`, `messages`, `responses`, `generate_content`, `cohere_chat`, `converse`, `ollama_chat`."""
    operations: ClassVar[frozenset[str]] = frozenset({"chat"})
    """What can be said in it."""
    emulates: ClassVar[frozenset[str]] = frozenset()
    """Names of `features` that the vendor's interface does not have, and that are had in another way; what is asked for
    `by_call` needs no mention."""
    embedder: EmbeddingsHalf | None = None
    texts: TextsHalf | None = None

    def __init__(self, target: Target) -> None:
        """Raises `ValueError`, naming the option and the remedy, when `target` is not usable."""
        unsaid = target.operations - self.operations
        if unsaid:
            raise ValueError(
                f"the dialect {self.name!r} has no {', '.join(sorted(unsaid))} (wanted of {target.model!r}); "
                f"it has {', '.join(sorted(self.operations))}"
            )
        self.target = target

    @abstractmethod
    def build(self, request: Request, /, *, stream: bool) -> Built:
        """The HTTP request for `request`. Raises `Unsupported` unless the target is lenient."""

    @abstractmethod
    def completion(self, body: bytes) -> Completion:
        """A buffered answer of status 200. Raises `VendorFault` if it is an error in disguise, or malformed."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A decoder for one streamed answer of status 200."""

    def credentials(self) -> Credentials | None:
        """What has to be put on every request at the way out; None where a key in a header is all. Called once for each
        account, whose models share what it gives."""
        return None

    @abstractmethod
    def fault(self, answer: Answer) -> Fault:
        """What kind of refusal an answer of any other status is. Never raises, whatever the body holds."""
