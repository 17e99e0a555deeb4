"""What a scripted vendor is to do: plain data, written in TOML or JSON or made in Python.

A script has `steps`, each played once (or `times` times) in order, then `rules`, which stand for as long as
their `when` holds, then a `default`, which is a sound answer unless it says otherwise. The first step that
matches and is not used up decides an attempt; else the first rule that matches; else the default. ::

    [[steps]]                          # the first attempt is refused, the second answers
    error = "rate_limited"
    retry_after = 7

    [[rules]]                          # fails for a minute, then heals
    when = { until = 60 }
    error = "server_error"

    [[rules]]                          # 5 % of all streams break off after 50 tokens
    when = { stream = true }
    chance = 0.05
    stop = { after_tokens = 50, how = "reset" }

    [default]
    tokens = { uniform = [20, 200] }
    delay = { first_event = { lognormal = [0.3, 0.5] }, between = 0.02 }

`connections` are rules for what happens before any request is read; `limits` are the vendor's own rate limits,
which it keeps exactly; `billing` is what it charges for answers that went wrong.

Times are seconds, or text such as `"250ms"`; windows count from the moment the script began to be played.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from .chance import Amount, Spread, check_amount

__all__ = [
    "Bill",
    "Billing",
    "ConnectionRule",
    "Delays",
    "ErrorEvent",
    "ErrorKind",
    "Limit",
    "Quota",
    "RetryStyle",
    "Script",
    "Step",
    "Stop",
    "When",
]

ErrorKind: TypeAlias = Literal[
    "auth",
    "bad_gateway",
    "bad_request",
    "concurrency_limited",
    "context_length",
    "gateway_timeout",
    "gemini_per_day",
    "insufficient_quota",
    "invalid_parameter",
    "no_model",
    "overloaded",
    "permission",
    "rate_limited",
    "refused",
    "request_too_large",
    "server_error",
    "slow_down",
    "timeout",
    "too_large",
    "unavailable",
]
"""Errors by name; each format renders them as its vendor does, with status, headers and body."""

Bill: TypeAlias = Literal["nothing", "input", "generated"]
"""What is charged: nothing, the input, or the input and every token generated until the attempt ended."""

RetryStyle: TypeAlias = Literal["seconds", "date", "ms", "body"]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Status: TypeAlias = Annotated[int, Meta(ge=200, le=599)]


_LARGEST_HEAD: Final = 64 * 2**20


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a script: a key that it does not have is an error."""


class When(Table, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Which attempts are meant; what is left out matches everything.

    `model` and `key` are shell patterns (`gpt-*`). `nth` counts from 1 the attempts that match all the rest,
    the window included; `from` (inclusive) and `until` (exclusive) are seconds since the script began.
    """

    model: str | None = None
    key: str | None = None
    stream: bool | None = None
    nth: Positive | list[Positive] | None = None
    from_: float = 0.0
    until: float | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.until <= self.from_:
            raise ValueError("`until` must be later than `from`")

    def within(self, elapsed: float) -> bool:
        """Whether the window is open."""
        return self.from_ <= elapsed and (self.until is None or elapsed < self.until)


class Delays(Table, frozen=True, kw_only=True):
    """Seconds in each phase of an answer.

    An answer in one piece comes when its last token would have come in a stream.
    """

    before_head: Amount = 0.0
    """From the request's last byte to the answer's head."""
    first_event: Amount = 0.0
    """From the head to the first event, and so to the first token."""
    between: Amount = 0.0
    """From token to token, and from ping to ping."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_amount(name, getattr(self, name))


class Stop(Table, frozen=True, kw_only=True):
    """The answer breaks off. Exactly one of the `after_...` says when; an answer that ends before it is whole.

    Events are those of the stream, in order; pings and comments do not count. A body that is not streamed has no
    events: it is cut in its middle, unless `after_bytes` says where.
    """

    after_bytes: Count | None = None
    """Bytes of the body, without the framing of HTTP."""
    after_events: Count | None = None
    after_tokens: Count | None = None
    how: Literal["end", "eof", "reset", "stall"] = "eof"
    """`end`: the body ends as HTTP wants it, as if it were whole. `eof`: the connection closes in the middle of the
    body (FIN). `reset`: the same by RST. `stall`: nothing more comes, and the connection stays."""
    where: Literal["boundary", "mid_event", "mid_character"] = "boundary"
    """With events or tokens: cut there, or halfway through the event after it, or within a character of it."""

    def __post_init__(self) -> None:
        given = [self.after_bytes, self.after_events, self.after_tokens]
        if sum(each is not None for each in given) != 1:
            raise ValueError("give exactly one of `after_bytes`, `after_events` and `after_tokens`")
        if self.after_bytes is not None and self.where != "boundary":
            raise ValueError(
                "`where` goes with `after_events` and `after_tokens`; `after_bytes` is exact already"
            )


class ErrorEvent(Table, frozen=True, kw_only=True):
    """An error within a stream of status 200, after so many tokens; the stream ends with it."""

    kind: ErrorKind
    after_tokens: Count = 0


class Quota(Table, frozen=True, kw_only=True):
    """What limit headers say of one dimension: `requests`, `tokens`, `input_tokens`, `output_tokens`."""

    limit: Count
    remaining: Count
    reset: float
    """Seconds until it is full again."""


class Step(Table, frozen=True, kw_only=True):
    """What one attempt meets. Without any field: a sound answer of 20 tokens, at once."""

    name: str = ""
    """How the history calls it; by default, what it does."""
    when: When = When()
    times: Positive | None = None
    """How often it is played: once for a step and without end for a rule, if not said."""
    chance: Share | None = None
    """The share of matching attempts that it takes. The chances of several rules add up: one draw an attempt
    decides among them, so 0.2 and 0.3 take 20 % and 30 %, and leave half."""

    act: Literal["answer", "close", "reset", "blackhole"] = "answer"
    """`close` and `reset`: the request is read and the connection ends without a byte; `blackhole`: it stays open."""
    delay: Delays = Delays()

    error: ErrorKind | None = None
    status: Status | None = None
    """Replaces the status of the answer or the error."""
    headers: dict[str, str] = {}
    """Added to the answer's, replacing those of the same name."""
    body: str | None = None
    """Sent as it is, in place of the answer's or the error's body; never streamed."""
    json: Any | UnsetType = UNSET
    """The same, given as data."""
    content_type: str | None = None
    retry_after: Annotated[float, Meta(ge=0)] | None = None
    retry_style: list[RetryStyle] | None = None
    """How `retry_after` is said: `retry-after` in whole `seconds` or as a `date`, `retry-after-ms`, or in the error's
    `body` (Gemini's RetryInfo). By default as the vendor does: `body` for Gemini, `seconds` for others."""
    date_skew: float = 0.0
    """Seconds by which the vendor's clock is ahead of ours, in `Date` and in dates of retry headers."""
    quota: dict[Literal["requests", "tokens", "input_tokens", "output_tokens"], Quota] = {}
    """Limit headers in the vendor's own spelling; for limits that are really kept, see `Script.limits`."""

    tokens: Count | Spread = 20
    """Content tokens, one an event; never more than the request allows."""
    text: str | None = None
    """What is said, in place of made-up speech; its pieces of about four characters are the tokens."""
    pings: Count = 0
    """Pings (comments, where the format has none) before the first content, `delay.between` apart."""
    empty_events: Count = 0
    """Events without content (only a role, an empty text) before the first content."""
    error_event: ErrorEvent | None = None
    omit: list[Literal["opening", "finish", "usage", "terminal"]] = []
    """Parts of a stream that are left out: the first event, the finish reason, usage, the terminal event."""
    stop: Stop | None = None

    spoil: (
        Literal["bad_chunk_size", "empty", "endless_line", "html", "huge_body", "huge_head", "malformed_json"]
        | None
    ) = None
    """`html`: a web page with status 200. `empty`: 200 and no body. `malformed_json`: one event, or the body, is no JSON.
    `bad_chunk_size`: HTTP's framing breaks. `endless_line`, `huge_body`: `spoil_bytes` without a line end, or of sound
    events. `huge_head`: a head with a header of `spoil_bytes`."""
    spoil_after: Count = 0
    """Tokens before the spoilt event of a stream."""
    spoil_bytes: Positive | None = None
    """10 GiB if not said, and for a head 1 MiB."""

    framing: Literal["normal", "close"] = "normal"
    """`close`: neither length nor chunks; the end of the connection is the end of the body."""
    drip: Annotated[float, Meta(gt=0)] | None = None
    """Bytes a second at which the body is sent, framing included."""
    slice: Positive | None = None
    """At most so many bytes a write, as a network may cut them."""
    then: Literal["keep", "close", "reset"] = "keep"
    """What becomes of the connection after a whole answer, without `Connection: close` having announced it."""

    bill: Bill | None = None
    """What this attempt is charged, in place of what `billing` says. With `generated`, an error hides `tokens` tokens
    that were generated and never sent (a gateway that timed out)."""

    def __post_init__(self) -> None:
        if self.body is not None and self.json is not UNSET:
            raise ValueError("give either `body` or `json`")
        if isinstance(self.tokens, Spread) and self.text is not None:
            raise ValueError("give either `text` or `tokens`")
        if self.spoil == "huge_head" and (self.spoil_bytes or 0) > _LARGEST_HEAD:
            raise ValueError("`spoil_bytes` of a head are at most 64 MiB: it is made in one piece")


class ConnectionRule(Table, frozen=True, kw_only=True):
    """What a connection meets before anything is read. The first rule that matches decides; else `accept`.

    `refuse` (in a window: nothing listens, and connections that are still open are reset at their next request),
    `reset` (RST at once), `blackhole` (accepted, never answered). Over streams in memory also
    `drop` (never established), `unresolved` (no address for the name) and `untrusted` (its certificate has
    expired); over sockets, where the kernel accepts before we are asked, `drop` is played as `blackhole` and the
    other two are refused when the server is opened: let a name or a certificate be wrong instead.
    Without a window, sockets play `refuse` as `reset`.
    """

    act: Literal["accept", "refuse", "reset", "blackhole", "drop", "unresolved", "untrusted"] = "accept"
    delay: Amount = 0.0
    """Seconds before it happens."""
    nth: Positive | list[Positive] | None = None
    """Counts connections from 1, over the whole run."""
    window: When = When()
    """Only `from` and `until` count."""
    chance: Share | None = None

    def __post_init__(self) -> None:
        check_amount("delay", self.delay)
        if self.window != When(from_=self.window.from_, until=self.window.until):
            raise ValueError("`window` has only `from` and `until`")

    @property
    def certain(self) -> bool:
        """Whether it holds for every connection of its window."""
        return self.nth is None and self.chance is None


class Limit(Table, frozen=True, kw_only=True):
    """One rate limit: in every window of `per` seconds, at most `most` of `what`.

    Tokens are those that the answer will have, known when the request comes; an answer that ends early gives
    the rest back. `concurrency` counts attempts under way and has no window.
    """

    what: Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency"]
    most: Positive
    per: Amount = 60.0
    scope: Literal["vendor", "key", "model", "key_and_model"] = "key"
    """What has a limit of its own."""
    enforce: bool = True
    """False: nothing is refused, and each attempt beyond the limit is only recorded as a violation."""
    counts_refused: bool = False
    """Whether requests that were refused for a rate count as well (OpenAI's do)."""

    def __post_init__(self) -> None:
        check_amount("per", self.per)
        if isinstance(self.per, Spread) or self.per == 0:
            raise ValueError("`per` is a fixed time above 0")


class Billing(Table, frozen=True, kw_only=True):
    """What an attempt is charged, by its outcome (see `meter.Outcome`)."""

    complete: Bill = "generated"
    refused: Bill = "nothing"
    unanswered: Bill = "nothing"
    broken: Bill = "generated"
    client_closed: Bill = "generated"


class Script(Table, frozen=True, kw_only=True):
    """A whole script. See the module's text."""

    about: str = ""
    seed: int = 0
    models: list[str] = []
    """Models that are served; any other is unknown. None given: every model is."""
    steps: list[Step] = []
    rules: list[Step] = []
    default: Step = Step()
    connections: list[ConnectionRule] = []
    limits: list[Limit] = []
    billing: Billing = Billing()
    keep_alive: Annotated[float, Meta(gt=0)] | None = None
    """Seconds after which an idle connection is closed; None: never."""

    def __post_init__(self) -> None:
        if (self.default.when, self.default.times, self.default.chance) != (When(), None, None):
            raise ValueError("`default` is what always remains: it has no `when`, `times` or `chance`")
