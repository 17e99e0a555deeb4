"""Where vendors of the chat-completions format differ, declared as data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Quirks", "ReasoningWay"]

ReasoningWay = Literal["effort", "object", "switch", "flag", "template"]


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one vendor speaks the format. Every field is an option of the dialects that use it."""

    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    stream_usage: bool = True
    """Whether usage may be asked for in streams (`stream_options.include_usage`)."""
    done_marker: bool = True
    """Whether its streams end with `[DONE]`. If not, a stream is complete once every choice has finished."""
    developer_role: bool = True
    """Whether it knows the role `developer`; if not, such messages are sent as `system`."""
    json_schema: bool = True
    """Whether its answers can be bound to a JSON schema. If not, only to JSON of any shape; a schema is then asked for as
    that of a function (see `dialects.by_call`)."""
    seed_field: Literal["seed", "random_seed"] = "seed"
    top_k: bool = False
    """Whether it takes `top_k`, which OpenAI itself does not."""
    choices: bool = True
    """Whether several answers may be asked for at once (`n` above 1)."""
    reasoning: ReasoningWay = "effort"
    """How it is told how much to think; see `thinking`."""
    thoughts: Literal["as_sent", "reasoning_content", "reasoning", "drop"] = "as_sent"
    """What becomes of thoughts in earlier turns: sent under this name; or left as the client sent them; or left out, for a
    vendor that refuses fields that it does not know."""
    refuses: tuple[str, ...] = ()
    """Names of body fields that it refuses, such as `seed` or `parallel_tool_calls`."""
