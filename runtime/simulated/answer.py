"""Decides what a simulated vendor answers: a text, a call of a tool, or JSON; how long; and why it ends.

The whole answer is made before its first token is sent, so a stream and an answer in one piece agree.
"""

from __future__ import annotations

import random
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from . import speech
from .body import Body, Function, NamedTool, prompt_tokens
from .schema import invent

__all__ = ["Answer", "Finish", "Said", "compose"]

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]

_SPREAD: Final = 0.3
"""Sigma of the log-normal distribution of lengths."""


class Said(Struct, frozen=True, kw_only=True):
    """One choice: its text in pieces, one for each token, or the arguments of a call likewise."""

    pieces: list[str]
    finish: Finish
    call_id: str | None = None
    function: str | None = None
    """The function that is called; None for text."""

    @property
    def whole(self) -> str:
        """All pieces together."""
        return "".join(self.pieces)


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer, ready to be sent in one piece or in many."""

    id: str
    model: str
    choices: list[Said]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """Tokens of all choices."""
        return sum([len(said.pieces) for said in self.choices])

    @property
    def total_tokens(self) -> int:
        """Everything that went in and came out."""
        return self.prompt_tokens + self.completion_tokens


def compose(body: Body, reply_tokens: float, rng: random.Random) -> Answer:
    """The answer to `body`, of about `reply_tokens` tokens. The request's own `seed` replaces `rng`'s."""
    identity = f"chatcmpl-sim{rng.getrandbits(96):024x}"
    if body.seed is not None:
        rng = random.Random(body.seed)
    return Answer(
        id=identity,
        model=body.model,
        choices=[_say(body, reply_tokens, rng) for _ in range(body.n or 1)],
        prompt_tokens=prompt_tokens(body),
    )


def _say(body: Body, reply_tokens: float, rng: random.Random) -> Said:
    function = _called(body, rng)
    if function is not None:
        arguments = msgspec.json.encode(invent(function.parameters, rng) or {}).decode()
        pieces, cut = _cut(speech.pieces_of(arguments), body.most_tokens)
        call_id = f"call_sim{rng.getrandbits(64):016x}"
        return Said(
            pieces=pieces,
            finish="length" if cut else "tool_calls",
            call_id=call_id,
            function=function.name,
        )
    pieces, cut = _cut(speech.pieces_of(_text(body, reply_tokens, rng)), body.most_tokens)
    return Said(pieces=pieces, finish="length" if cut else "stop")


def _cut(pieces: list[str], most: int | None) -> tuple[list[str], bool]:
    """At most `most` pieces, and whether any were left out."""
    if most is None or len(pieces) <= most:
        return pieces, False
    return pieces[:most], True


def _called(body: Body, rng: random.Random) -> Function | None:
    """The function that this request makes the vendor call, if any."""
    functions = [tool.function for tool in body.tools or ()]
    choice = body.tool_choice
    if not functions or choice == "none":
        return None
    if isinstance(choice, NamedTool):
        return next((function for function in functions if function.name == choice.function.name), None)
    last = body.messages[-1]
    spoken = last.text.lower() if last.role == "user" else ""
    for function in functions:
        name = function.name.lower()
        if name in spoken or name.replace("_", " ") in spoken:
            return function
    return rng.choice(functions) if choice == "required" else None


def _text(body: Body, reply_tokens: float, rng: random.Random) -> str:
    wanted = body.response_format
    if wanted is not None and wanted.type != "text":
        schema = wanted.json_schema.schema if wanted.json_schema is not None else None
        return msgspec.json.encode(invent(schema, rng)).decode()
    length = max(1, round(reply_tokens * rng.lognormvariate(-(_SPREAD**2) / 2, _SPREAD)))
    if body.most_tokens is not None and length > body.most_tokens:
        # Enough to be cut: whoever sets a limit below what the model has to say meets `length`.
        length = body.most_tokens + 16
    last = body.messages[-1]
    if last.role == "tool":
        text = speech.reply_to_tool(rng, last.text, length)
    else:
        asked = next((turn.text for turn in reversed(body.messages) if turn.role == "user"), "")
        text = speech.reply(rng, asked, length)
    return _until_stop(text, body.stops)


def _until_stop(text: str, stops: list[str]) -> str:
    """`text` up to the first of the stop sequences."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else text
