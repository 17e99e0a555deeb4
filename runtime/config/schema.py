"""What a configuration may say: every table and key of `dispatcher.toml`, with its default and meaning.

The structs here are the documentation's source: `llm-dispatcher check` prints what they hold, an unknown
key is an error that names its path, and a test keeps the annotated `dispatcher.toml` complete.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from ...actors.machines.overload import Criticality
from .units import ByteCount, Seconds, TokenCount, Usd

__all__ = [
    "NO_OUTPUT_PRICE",
    "Backoff",
    "Breaker",
    "Capability",
    "Config",
    "Faults",
    "Hedging",
    "Kind",
    "LimitModel",
    "Limits",
    "Logging",
    "Mode",
    "Model",
    "OperationName",
    "Overload",
    "Price",
    "PriceTier",
    "Program",
    "Retry",
    "Route",
    "Rule",
    "Server",
    "ServerTLS",
    "Simulation",
    "Streams",
    "Supervision",
    "TargetTable",
    "Timeouts",
    "Vendor",
    "Waiting",
]

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[^\s/#][^\s#]*$", max_length=128)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, Meta(ge=0)]
Capability: TypeAlias = Literal["tools", "vision", "json", "reasoning", "seed", "logprobs", "prefill"]
OnBreak: TypeAlias = Literal["error", "continue"]
LimitModel: TypeAlias = Literal["openai", "azure", "anthropic", "gemini", "groq", "default"]
Kind: TypeAlias = Literal["chat", "tools", "vision", "long_context", "json", "embeddings"]
OperationName: TypeAlias = Literal["chat", "completions", "embeddings"]


_SPEAKING: Final = frozenset({"chat", "completions"})
_TEXTS: Final = frozenset({"texts"})


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration: a key that it does not have is an error."""


class Timeouts(Table, frozen=True, kw_only=True):
    """How long each phase of an attempt may take."""

    connect: Seconds = Seconds(3)
    """To a connection, TLS included."""
    first_token: Seconds = Seconds(60)
    """From the request's last byte to the first content; for an answer that is not streamed, `total` counts."""
    between_tokens: Seconds = Seconds(30)
    """From content to content; pings and comments do not count."""
    least_pace: Annotated[float, Meta(ge=0, le=1000)] = 0.2
    """Contents a second, over a minute of waiting, below which a stream is given up as dripping; 0: any pace will do."""
    total: Seconds = Seconds(600)
    """The whole request, over queueing and every attempt. The caller's own deadline counts if it is sooner."""


class Limits(Table, frozen=True, kw_only=True):
    """What a vendor allows, per account (in a vendor's table) or per deployment (in a model's table)."""

    requests_per_minute: TokenCount | None = None
    tokens_per_minute: TokenCount | None = None
    """Input and output together."""
    input_tokens_per_minute: TokenCount | None = None
    output_tokens_per_minute: TokenCount | None = None
    """Input and output each, in place of both together."""
    requests_per_day: TokenCount | None = None
    dollars_per_hour: Usd | None = None
    """By the models' prices, which must be known."""
    concurrent: TokenCount | None = None
    """Requests in flight at once."""
    adaptive: bool = True
    """Whether that number also learns: lowered when the vendor goes on refusing what is above it, raised again when it takes
    more, never above `concurrent`. False in a vendor's table holds for its models too."""
    burst: Share = 0.1
    """How much of a minute's requests may start at once, 0 to 1; one always may. Of tokens a whole minute's may, and of
    dollars a whole hour's."""
    shared: bool = False
    """Others use the same account: only 95 % of the limits are used."""
    strict: bool = False
    """Reserve the longest answer that a request allows, and not what is usual: then no limit is exceeded even for a moment."""
    ramp_floor: TokenCount | None = None
    """Input tokens per minute above which traffic may only grow by `ramp_growth` in 15 minutes. None: as the vendor advises
    (OpenAI: 1M for each model), or, for a while, once it has complained."""
    ramp_growth: Annotated[float, Meta(gt=1, le=100)] = 1.5


NO_OUTPUT_PRICE: Final = Usd("0")
"""The price of output where none is given: told by its identity from a zero that somebody wrote."""


class Rates(Table, frozen=True, kw_only=True):
    """Dollars per million tokens, by kind. A kind without a price of its own costs what its sum costs."""

    input: Usd
    output: Usd = NO_OUTPUT_PRICE
    """May be left out of models that only make embeddings: nobody bills what comes out of those."""
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    reasoning: Usd | None = None
    audio_input: Usd | None = None
    audio_output: Usd | None = None


class PriceTier(Rates, frozen=True, kw_only=True):
    """What everything in a request costs whose input is larger: it replaces the whole price, kind by kind."""

    above: TokenCount
    """Tokens of input, cached ones included."""


class Price(Rates, frozen=True, kw_only=True):
    """What a model costs."""

    requests: Usd | None = None
    """Dollars per thousand requests, beside the tokens."""
    tiers: list[PriceTier] = []
    """Prices of long requests, the smallest `above` first."""


class Model(Table, frozen=True, kw_only=True):
    """One model that a vendor serves."""

    name: Name
    """What callers say. The same name at several vendors makes them alternatives."""
    id: str | None = None
    """What the vendor calls it (Azure: the deployment's name); `name` if absent."""
    context: TokenCount | None = None
    """The context window in tokens; of a model that makes embeddings, what its longest input may have. None: as the
    published lists say, else 128k."""
    operations: Annotated[frozenset[OperationName], Meta(min_length=1)] = frozenset({"chat"})
    """What it does: `chat`, `embeddings`, `completions` (goes on with a bare text, in the vendor's own interface for that)."""
    max_output: TokenCount | None = None
    capabilities: frozenset[Capability] = frozenset({"tools", "vision", "json"})
    quality: Share = 0.5
    """How good its answers are, 0 to 1, in your judgement; `sophisticated` and `auto` go by it."""
    price: Price | None = None
    """None: as the published lists say. Where they say nothing the cost is reported as unknown, never as zero."""
    limits: Limits = Limits()
    weight: Weight = 1.0
    options: dict[str, Any] = {}
    """Settings of the dialect for this model alone; they replace the vendor's of the same name."""

    @property
    def does(self) -> frozenset[str]:
        """What requests may need of it: capabilities, operations, and `texts` where a bare text can be gone on with, be it
        as a chat."""
        texts = _TEXTS if self.operations & _SPEAKING else frozenset[str]()
        return self.capabilities | self.operations | texts

    @property
    def window(self) -> int:
        """The context window to reckon with."""
        return 128_000 if self.context is None else int(self.context)


class Faults(Table, frozen=True, kw_only=True):
    """How often a simulated vendor misbehaves: shares of its requests, 0 to 1."""

    server_error: Share = 0.0
    overloaded: Share = 0.0
    rate_limited: Share = 0.0
    cut: Share = 0.0
    """Streams that end in the middle."""
    stall: Share = 0.0
    """Streams that go silent."""
    refuse_connection: Share = 0.0


class Simulation(Table, frozen=True, kw_only=True):
    """How a simulated vendor answers: in this process, without a network, in the OpenAI format."""

    first_token: Seconds = Seconds(0.35)
    """Median time to the first token."""
    spread: Share = 0.35
    """How much that varies: the sigma of a log-normal distribution."""
    tokens_per_second: Annotated[float, Meta(gt=0)] = 70.0
    reply_tokens: TokenCount = TokenCount(60)
    """Mean length of an answer, unless the request says less."""
    faults: Faults = Faults()
    seed: int | None = None
    """The same seed gives the same lengths, times and faults."""


class Program(Table, frozen=True, kw_only=True):
    """A program on this machine that is started for every request (dialect `program`). No shell reads the command."""

    command: Annotated[list[str], Meta(min_length=1)]
    """The program and its arguments; the program is looked for in PATH unless it is written with a `/`."""
    at_once: Annotated[int, Meta(ge=1, le=1000)] = 4
    """How many of it may run at the same time. Further requests wait in line."""
    directory: str | None = None
    """Where it runs. None: where the dispatcher does."""
    environment: dict[str, str] = {}
    """Variables for it, beside PATH, HOME and the like: it does not see ours, which hold the keys of other vendors."""


class Vendor(Table, frozen=True, kw_only=True):
    """One vendor, or one account with it."""

    name: Name
    catalogue: str | None = None
    """The vendor that it is, as `llm-dispatcher vendors` lists them: what is not written here is taken from there. None: the
    one of the same name, if no address is written."""
    dialect: str = "openai"
    base_url: str = ""
    api_key: str | None = None
    api_keys: list[str] = []
    """Several keys (accounts): each has limits and a health of its own."""
    serve: Literal["always", "with_key", "when_alone", "never"] = "always"
    """`with_key`: only if a key is given; `when_alone`: only if no vendor of the first two kinds is served."""
    models: list[Model] = []
    timeouts: Timeouts | None = None
    """Replaces the top-level `[timeouts]`, as a whole."""
    limits: Limits = Limits()
    limit_model: LimitModel | None = None
    """How it counts against its limits. None: by the dialect and the address."""
    prices: str | None = None
    """Whose published prices are its own: a provider of genai-prices, or "none". None: by the catalogue and the address."""
    headers: dict[str, str] = {}
    proxy: str | None = None
    """`scheme://[user:password@]host:port` with the scheme http, https, socks5 or socks5h; `none`: no proxy. Absent: as the
    environment says (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."""
    max_connections: Annotated[int, Meta(ge=1)] = 1000
    """Open at once; with HTTP/2, requests under way at once."""
    warm: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Connections kept open in readiness, those in use included, so that a request need not wait for a handshake."""
    http2: bool = False
    """Speak HTTP/2 where the vendor does: many requests share a connection. Wants the extra `http2`."""
    on_unsupported: Literal["strict", "drop"] = "strict"
    """What happens to a wish that the vendor's interface cannot express: refused, or dropped and named in
    the answer's `x-dispatch-dropped`."""
    on_disconnect: Literal["abort", "drain"] = "abort"
    """When a caller leaves: close the connection at once, or read on to the end, so that the bill is exact."""
    passthrough: bool | str = False
    """Whether the whole of its interface can be had below `/{name}/`, with its key, by whoever reaches the port; a text: below
    `/{text}/`."""
    options: dict[str, Any] = {}
    """Settings of the dialect, such as Azure's `api_version`."""
    program: Program | None = None
    """A program on this machine instead of an address."""
    simulate: Simulation | None = None
    """A simulated vendor: no network, no key."""

    @property
    def passed_below(self) -> str | None:
        """The first segment of the paths that are passed on to it; None if none are."""
        if isinstance(self.passthrough, str):
            return self.passthrough
        return self.name if self.passthrough else None

    @property
    def is_here(self) -> bool:
        """Whether it is no address that is asked: it is simulated, or a program."""
        return self.simulate is not None or self.program is not None

    def __repr__(self) -> str:
        """Without keys, headers and proxy: a representation ends in logs."""
        models = [model.name for model in self.models]
        return f"Vendor(name={self.name!r}, dialect={self.dialect!r}, base_url={self.base_url!r}, models={models!r})"


class TargetTable(Table, frozen=True, kw_only=True):
    """A deployment in a route, with its weight."""

    to: str
    """`vendor/model`, or a model's name for all who serve it."""
    weight: Weight = 1.0


class Route(Table, frozen=True, kw_only=True):
    """A name that callers may use as a model, the deployments behind it, and how they are ordered."""

    name: Name
    targets: list[str | TargetTable]
    """In order of preference, each `vendor/model` or a model's name."""
    policy: str = "priority"
    mixed_embeddings: bool = False
    """Whether its targets may be different embedding models, whose vectors do not fit together. Without it that is refused."""
    hedge: bool = False
    """Whether a second vendor is asked when the first is slow; see `Hedging`."""
    midstream: OnBreak | None = None
    """As in `[streams]`, for this name alone."""
    hold: Seconds | None = None
    """As in `[streams]`, for this name alone."""


class Mode(Table, frozen=True, kw_only=True):
    """One of the named modes: how deployments are chosen and ordered, and among which."""

    policy: str
    targets: list[str | TargetTable] = []
    """Those it chooses from when the mode is named as the model; all deployments if empty."""
    minimum_quality: Share = 0.0
    """Deployments below it are only used when no other is left."""
    hedge: bool = False
    """As of a route."""
    midstream: OnBreak | None = None
    hold: Seconds | None = None


class Rule(Table, frozen=True, kw_only=True):
    """Sends requests that match every given condition to a route or a policy. The first match counts."""

    users: list[str] = []
    models: list[str] = []
    """Patterns such as `gpt-*`."""
    kinds: list[Kind] = []
    min_input_tokens: TokenCount | None = None
    route: str | None = None
    """A route, mode, model or `vendor/model` to use in place of what the caller named."""
    policy: str | None = None


class Backoff(Table, frozen=True, kw_only=True):
    """The wait before the same deployment is asked again; another deployment is asked at once."""

    kind: Literal["exponential", "linear", "fixed"] = "exponential"
    base: Seconds = Seconds(0.25)
    cap: Seconds = Seconds(8)
    jitter: Literal["full", "equal", "none"] = "full"


class Retry(Table, frozen=True, kw_only=True):
    """How failed attempts are repeated, always before the first content has been delivered."""

    attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    """At most so many attempts a request, the first included."""
    longest_hint: Seconds = Seconds(120)
    """A vendor that asks for more patience than this is not asked again within the request."""
    backoff: Backoff = Backoff()
    budget: Share = 0.1
    """Retries allowed per request, over all requests of the last minute. While more retries help than fail, only those
    that fail are counted."""
    floor: Annotated[float, Meta(ge=0)] = 1.0
    """Retries per second that are allowed besides, whatever the traffic."""


class Hedging(Table, frozen=True, kw_only=True):
    """How much may be spent on asking a second vendor while the first is slow, where a route or mode allows it."""

    share: Share = 0.02
    """Of the requests that may be hedged, at most; every hedge is a retry besides, and wants its budget too."""
    dollars: Usd = Usd("1")
    """An hour, at most, reckoned by the price of the slow deployment; one without a price is not hedged."""


class Streams(Table, frozen=True, kw_only=True):
    """How streamed answers are handed on."""

    midstream: OnBreak = "error"
    """When a stream breaks after content was delivered: end it with an error, or let another vendor that can
    (capability `prefill`) go on with the text."""
    hold: Seconds = Seconds(0)
    """How long the first content is held back, at most 0.5 s: a break meanwhile is made good unseen."""


class Waiting(Table, frozen=True, kw_only=True):
    """Requests that a limit keeps back, and that could still be answered in time, wait in line: one line for each set of
    deployments that can serve them. Tenants (a request's `user`) take turns."""

    requests: Annotated[int, Meta(ge=1)] = 256
    """In one line, at most; more are refused with 429 and the time at which to come again."""
    bytes: ByteCount = ByteCount(64 * 2**20)
    """Of requests in one line, at most."""
    weights: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """A tenant's share relative to that of others, which is 1."""


class Breaker(Table, frozen=True, kw_only=True):
    """When a deployment that fails is left alone, and for how long."""

    consecutive_failures: Annotated[int, Meta(ge=1)] = 5
    failure_rate: Share = 0.5
    window: Seconds = Seconds(30)
    minimum_samples: Annotated[int, Meta(ge=1)] = 10
    open_time: Seconds = Seconds(5)
    """The first time; doubled each time up to `longest_open_time`."""
    longest_open_time: Seconds = Seconds(300)


class Supervision(Table, frozen=True, kw_only=True):
    """How crashed actors are restarted."""

    most_restarts: Annotated[int, Meta(ge=0)] = 5
    period: Seconds = Seconds(60)
    """More than `most_restarts` within `period` puts a vendor in quarantine and stops the house for others."""
    quarantine: Seconds = Seconds(300)


class Overload(Table, frozen=True, kw_only=True):
    """How much the daemon may be short of before it refuses requests: from 85 % of a limit those of the class
    `sheddable`, from 90 % `sheddable_plus` too, from 95 % all but `critical_plus`. Requests under way go on."""

    loop_lag: Seconds = Seconds(0.25)
    """So late the event loop may be, over three seconds: when it is, more work comes in than can be done."""
    memory: ByteCount | None = None
    """The process's resident memory; if absent what its container, else the machine has."""


class ServerTLS(Table, frozen=True, kw_only=True):
    """TLS at the daemon's front door. The files are read anew within ten seconds when they change."""

    certificate: str
    """A PEM file: the daemon's own certificate, then those between it and the root."""
    key: str | None = None
    """A PEM file with its private key, without a passphrase; if absent, the key stands in the file of the certificate."""
    client_ca: str | None = None
    """A PEM file: only callers with a certificate of this authority are let in."""


class Server(Table, frozen=True, kw_only=True):
    """The daemon's front door."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 4000
    workers: Annotated[int, Meta(ge=0, le=256)] = 0
    """Processes that serve. 1: this one alone; 0: one for each core, and one where only simulated vendors are served."""
    unix_socket: Annotated[str, Meta(min_length=1)] | None = None
    """The path of a unix socket to listen at, in place of `host` and `port`."""
    unix_socket_mode: Annotated[str, Meta(pattern="^[0-7]{3,4}$")] = "660"
    """Permissions of its file, as `chmod` takes them: who may write to it may connect."""
    backlog: Annotated[int, Meta(ge=1)] = 4096
    """Connections that the kernel keeps waiting until they are accepted; it lowers this to its own limit."""
    reuse_port: bool = False
    """Let other daemons listen at the same address and port (SO_REUSEPORT): the kernel spreads connections over them."""
    tls: ServerTLS | None = None
    max_body: ByteCount = ByteCount(16 * 2**20)
    max_connections: Annotated[int, Meta(ge=1)] = 10_000
    """For a further one the longest idle connection is closed."""
    max_connections_per_address: Annotated[int, Meta(ge=0)] = 2500
    """Of one client, this machine excepted; 0 is without limit."""
    keep_alive: Seconds = Seconds(75)
    head_timeout: Seconds = Seconds(10)
    """From the first byte of a request's head to its last."""
    stall_timeout: Seconds = Seconds(30)
    """A client that takes nothing of its answer, or sends nothing of its request, for so long is cut off."""
    slowest_client: ByteCount = ByteCount(1024)
    """Bytes a second. A client that has kept us waiting for a minute (for a request's body: five seconds) and
    moved less than that is cut off."""
    default_criticality: Criticality = "critical"
    """The class of requests without the header `x-dispatch-criticality`."""
    orders: Literal["loopback", "any"] = "loopback"
    """From whom operators' orders (`POST /v1/orders`) are taken: from this machine only, or from anybody who can connect."""
    overload: Overload = Overload()
    drain: Seconds = Seconds(120)
    """After SIGTERM or Ctrl-C: how long running requests may go on. A second signal stops at once."""
    lame_duck: Seconds = Seconds(5)
    """The part of `drain` in which new requests are still taken after SIGTERM, while anybody is connected: load
    balancers need a moment to notice that `/ready` says no."""


class Logging(Table, frozen=True, kw_only=True):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, else JSON lines."""


class Config(Table, frozen=True, kw_only=True):
    """The whole configuration."""

    server: Server = Server()
    logging: Logging = Logging()
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    hedging: Hedging = Hedging()
    streams: Streams = Streams()
    waiting: Waiting = Waiting()
    breaker: Breaker = Breaker()
    supervision: Supervision = Supervision()
    policy: str = "priority"
    """How the deployments of a model are ordered when neither route nor mode says."""
    max_waiting: Annotated[int, Meta(ge=1)] = 10_000
    """Requests that may be under way or waiting at once, over all vendors; more are refused with 503."""
    long_context: TokenCount = TokenCount(32_000)
    """From how many input tokens a request is of the kind `long_context`."""
    vendors: list[Vendor] = []
    routes: list[Route] = []
    modes: dict[str, Mode] = field(default_factory=dict)
    """`fast`, `sophisticated`, `cost_saving` and `auto` exist without being written; each can be replaced."""
    rules: list[Rule] = []
