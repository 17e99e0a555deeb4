"""The canonical request, reply, events and usage: the one language spoken indoors.

Every wire format is translated into this language at the door and out of it again at the other; no
other module knows what a vendor's JSON looks like. The words:

- a `Request` holds `Message`s; a message's content is text or a list of *parts*;
- a streamed answer is a sequence of *events*; an answer that was not streamed is a `Completion`.
  `runtime.assembly` builds the second from the first, so that both always agree;
- `Usage` is a sum of kinds of tokens, with one meaning whatever the vendor calls them.

What one format can say and no other understands travels as `Opaque` (a part), `OpaqueDelta` (an
event) or `Request.extra`: kept to the letter for the same format, refused or dropped for others.

Parts, messages and requests are values (frozen); the events are not tracked by the garbage
collector, since a stream makes thousands of them and none can be part of a cycle.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from ..actors.faults import FaultClass
from ..actors.machines.overload import Criticality

__all__ = [
    "CONTENT_EVENTS",
    "Audio",
    "Choice",
    "Completion",
    "Criticality",
    "Event",
    "Failed",
    "Fault",
    "File",
    "FinishReason",
    "Finished",
    "Image",
    "JsonOutput",
    "Message",
    "Opaque",
    "OpaqueDelta",
    "Opened",
    "Part",
    "Prompt",
    "Reasoning",
    "Refusal",
    "RefusalDelta",
    "Request",
    "Restarted",
    "Role",
    "Seam",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolResult",
    "Usage",
    "UsageReported",
]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error", "other"]
"""Why an answer ended. `pause`: the vendor stopped a long server-side turn and expects to be asked to
go on; `content_filter` covers the vendor's refusals and safety stops; `other`: a reason that this
version does not know (the vendor's own word stands beside it)."""


Midstream: TypeAlias = Literal["error", "continue", "restart"]
"""After a break in the middle of a stream: it ends with an error; another vendor goes on where it broke; or
another begins anew, after a `Restarted` that takes back everything before it."""


# --- what a message is made of ------------------------------------------------------------------


class Text(Struct, frozen=True, tag="text", omit_defaults=True):
    """Plain text. `signature` is a vendor's seal on it (Gemini's thought signature)."""

    text: str
    signature: str | None = None
    extra: dict[str, Any] | None = None
    """Further fields of the part in its own format (such as `cache_control` or `annotations`)."""


class Image(Struct, frozen=True, tag="image", omit_defaults=True, kw_only=True):
    """An image: either at a `url`, or as base64 `data` with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: dict[str, Any] | None = None


class File(Struct, frozen=True, tag="file", omit_defaults=True, kw_only=True):
    """A document (a PDF, a text): either at a `url`, or as base64 `data` with its `media_type`. `name` is its file name
    or title."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    name: str | None = None
    extra: dict[str, Any] | None = None


class Audio(Struct, frozen=True, tag="audio", omit_defaults=True, kw_only=True):
    """Sound that the model shall listen to: either at a `url`, or as base64 `data` with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    extra: dict[str, Any] | None = None


class ToolCall(Struct, frozen=True, tag="tool_call", omit_defaults=True):
    """A call that the model asks for. `arguments` is JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str | None = None
    extra: dict[str, Any] | None = None


class ToolResult(Struct, frozen=True, tag="tool_result", omit_defaults=True):
    """The answer to a `ToolCall`; stands in a message whose role is `tool`."""

    call_id: str
    content: str | list[Part] = ""
    name: str | None = None
    is_error: bool = False
    extra: dict[str, Any] | None = None


class Thinking(Struct, frozen=True, tag="thinking", omit_defaults=True):
    """The model's reasoning, as far as the vendor shows it.

    A `signature` (or `redacted` data) is bound to the format, vendor and model that made it; `format`
    names the first of these, so that a foreign seal is dropped and not sent where it is refused.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    format: str | None = None
    extra: dict[str, Any] | None = None


class Refusal(Struct, frozen=True, tag="refusal", omit_defaults=True):
    """The model's own words for declining (OpenAI's `refusal`)."""

    text: str
    extra: dict[str, Any] | None = None


class Opaque(Struct, frozen=True, tag="opaque", omit_defaults=True):
    """A part that only one wire format understands: `payload` is its JSON object, to the letter."""

    format: str
    payload: dict[str, Any]


Part: TypeAlias = Text | Image | File | Audio | ToolCall | ToolResult | Thinking | Refusal | Opaque


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation."""

    role: Role
    content: str | list[Part] = ""
    name: str | None = None
    extra: dict[str, Any] | None = None


# --- the request --------------------------------------------------------------------------------


class Tool(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call. `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    extra: dict[str, Any] | None = None


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """Whether the model may (`auto`), must not (`none`) or must (`required`) call a tool, or must call `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class JsonOutput(Struct, frozen=True, omit_defaults=True):
    """The answer shall be JSON: any (`schema` is None) or such as the JSON schema describes."""

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(Struct, frozen=True, omit_defaults=True):
    """How much the model shall think before it answers.

    Vendors count in different units: `effort` is a word (`none`, `minimal`, `low`, `medium`, `high`,
    `xhigh`, ...), `budget_tokens` a number of tokens (0: off, -1: the model decides). A dialect translates
    whichever is given. `include` asks for the thoughts (or a summary) in the answer.
    """

    effort: str | None = None
    budget_tokens: int | None = None
    include: bool | None = None
    adaptive: bool = False
    """The model decides how much to think (Anthropic's `adaptive`)."""


class Prompt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request says that came as a bare text to be gone on with (`/v1/completions`, the interface before chat).

    The text itself is the request's one message, the user's: that is what a deployment is asked that only chats.
    """

    tokens: list[int] | None = None
    """The text as tokens of the model's own; the message is empty then."""
    suffix: str | None = None
    """What follows the place that is to be filled."""
    best_of: int | None = None
    logprobs: int | None = None
    """How many log probabilities are wanted for each token."""
    echo: bool = False
    """Whether the vendor is to repeat the prompt before its answer."""


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks for.

    `model` is a model's name, `vendor/model`, a route's name or a mode (`fast`, `sophisticated`,
    `cost_saving`, `auto`); `mode` chooses and orders the deployments without changing the model name.
    A field that is None was not asked for and is not sent. `timeout` (seconds) is one deadline over
    queueing and every attempt; `user` is the end user, as vendors and routing rules see it; `criticality`
    says how badly the answer is needed when not everything can be served.
    """

    model: str
    messages: list[Message]
    mode: str | None = None
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: JsonOutput | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    criticality: Criticality = "critical"
    timeout: float | None = None
    hedge: bool | None = None
    """Whether a second vendor may be asked when the first is slow; None: as the route or mode says."""
    midstream: Midstream | None = None
    """What becomes of a stream that breaks after content was delivered; None: as the route or mode says."""
    prompt: Prompt | None = None
    """Not None: the request is one for text completion, and its message the text."""
    extra: dict[str, dict[str, Any]] = {}
    """Per wire format (`chat_completions`, `completions`, `messages`, `responses`, `generate_content`, ...): top-level fields of
    the body that have no canonical word. They are sent to vendors of that format and to no others."""


# --- usage --------------------------------------------------------------------------------------


class Usage(Struct, frozen=True, omit_defaults=True, gc=False):
    """Tokens by kind, with one meaning for all vendors.

    `input_tokens` counts everything that went in, cached or not; `output_tokens` everything that
    came out, reasoning included. The other fields say how much of that was of a kind with a price of
    its own; they are parts of the sums and never added to them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Written to the vendor's prompt cache, of any lifetime."""
    cache_write_1h_tokens: int = 0
    """The part of `cache_write_tokens` with the long lifetime (Anthropic's hour)."""
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Everything that went in and came out."""
        return self.input_tokens + self.output_tokens


# --- the answer, whole --------------------------------------------------------------------------


class Choice(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One of the answers (there is more than one only when `Request.n` asked for it)."""

    index: int = 0
    parts: list[Part] = []
    finish: FinishReason | None = None
    vendor_finish: str | None = None
    """The vendor's own word for `finish`."""
    logprobs: Any = None
    extra: dict[str, Any] | None = None
    """Further fields of the choice and its message in the vendor's own format."""

    @property
    def text(self) -> str:
        """All text parts together."""
        return "".join([part.text for part in self.parts if type(part) is Text])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that the model asks for, in order."""
        return [part for part in self.parts if type(part) is ToolCall]

    @property
    def thinking(self) -> str:
        """The reasoning text, as far as the vendor showed it."""
        return "".join([part.text for part in self.parts if type(part) is Thinking])

    @property
    def refusal(self) -> str | None:
        """The model's words for declining, or None."""
        return "".join([part.text for part in self.parts if type(part) is Refusal]) or None


class Completion(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A vendor's whole answer. `usage` is None when the vendor reported none."""

    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[Choice] = []
    usage: Usage | None = None
    format: str = ""
    """The wire format that it came in."""
    extra: dict[str, Any] | None = None
    """Further top-level fields in that format (`system_fingerprint`, `service_tier`, ...)."""


# --- the answer, event by event -----------------------------------------------------------------


class Opened(Struct, frozen=True, gc=False, tag="opened"):
    """The vendor began to answer. Not content: a failure after this is still invisible to the caller."""

    id: str = ""
    model: str = ""
    created: int = 0


class TextDelta(Struct, frozen=True, gc=False, tag="text"):
    """A piece of text."""

    text: str
    index: int = 0
    signature: str | None = None


class ThinkingDelta(Struct, frozen=True, gc=False, tag="thinking"):
    """A piece of reasoning. `block` tells one thinking block from the next; a signature closes its block."""

    text: str = ""
    index: int = 0
    signature: str | None = None
    redacted: str | None = None
    format: str | None = None
    block: int = 0


class RefusalDelta(Struct, frozen=True, gc=False, tag="refusal"):
    """A piece of the model's refusal."""

    text: str
    index: int = 0


class ToolCallDelta(Struct, frozen=True, gc=False, tag="tool_call"):
    """A piece of a tool call. `call` numbers the calls of a choice from 0 in order of appearance.

    The first event of a call carries `id` and `name`; the following ones only more of `arguments`.
    """

    call: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    index: int = 0
    signature: str | None = None


class OpaqueDelta(Struct, frozen=True, tag="opaque"):
    """Something that only the vendor's own format understands: citations, server tools, log probabilities.

    `content` says whether the model produced it (and so whether it commits the stream). With `about` it is no part of
    its own, and its payload holds fields: for the `extra` of the part that begins next, of the one before, or of the
    whole answer, where lists of one name are added together; for the `extra` of the choice, where the last of one name
    counts; or pieces of what the choice's message (`extra[format]["message"]`) has beside the canonical words, and of its
    `logprobs`, where pieces of one name make a whole.
    """

    format: str
    payload: dict[str, Any]
    index: int = 0
    content: bool = True
    about: Literal["next", "last", "choice", "message", "logprobs", "answer"] | None = None


class Finished(Struct, frozen=True, gc=False, tag="finished"):
    """A choice is complete."""

    reason: FinishReason
    index: int = 0
    vendor_reason: str | None = None


class UsageReported(Struct, frozen=True, gc=False, tag="usage"):
    """What has been used so far. Each report replaces the one before it; they are never added."""

    usage: Usage


class Fault(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A failure as it was recognised.

    `retry_after` is the vendor's hint in seconds from the arrival of the answer; `should_retry` its explicit
    word, where it gives one. Both are about the attempt; how long a daily limit lasts is `day_ends_in`.
    """

    kind: FaultClass
    message: str
    status: int | None = None
    """The HTTP status of the answer; None when there was none, and for an error within an answer of status 200."""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    retry_after: float | None = None
    day_ends_in: float | None = None
    """Seconds until a daily limit is lifted; only of DAILY_LIMIT, and None for one that was
    told within an answer of status 200, where no clock is known. It stands beside `retry_after` because that may
    be a matter of seconds even when the day's limit is what was reached."""
    should_retry: bool | None = None
    request_id: str | None = None
    by: Literal["transport", "status", "code", "message"] = "transport"
    """What told the class: what happened on the wire, the vendor's HTTP status, its words for programs, or (the
    least certain) its text for people."""
    because: str = ""
    """The evidence, in words."""
    elsewhere: bool = False
    """The request was refused for what this vendor or model lacks: another may well take it."""

    @property
    def closed_for(self) -> float | None:
        """Seconds from now for which it is of no use to come back; None where nobody knows."""
        if self.retry_after is None or self.day_ends_in is None:
            return self.day_ends_in if self.retry_after is None else self.retry_after
        return max(self.retry_after, self.day_ends_in)


class Failed(Struct, frozen=True, tag="failed"):
    """The vendor reported an error within a stream that had begun well. Nothing follows it."""

    fault: Fault


class Seam(Struct, frozen=True, tag="seam"):
    """The stream broke here, and another deployment goes on with the text (`Midstream`, `continue`)."""

    before: str
    """The deployment that broke off."""
    after: str
    model: str
    """The model that goes on."""
    reason: str
    """The class of the fault."""


class Restarted(Struct, frozen=True, tag="restarted"):
    """The stream broke: everything before this is void, and another deployment begins anew. Fields as of `Seam`."""

    before: str
    after: str
    model: str
    reason: str


Event: TypeAlias = (
    Opened
    | TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolCallDelta
    | OpaqueDelta
    | Finished
    | UsageReported
    | Failed
    | Seam
    | Restarted
)

CONTENT_EVENTS = frozenset({TextDelta, ThinkingDelta, RefusalDelta, ToolCallDelta})
"""Event types that the model itself produced: the first of them commits the stream."""
