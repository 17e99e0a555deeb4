"""Text completion: a bare text in, and how it goes on out. The interface before chat.

A deployment that declares `completions` is asked in that interface itself: a base model continues the text, and what
only it can do (a suffix, echoes, log probabilities, prompts of tokens) is passed on. One that only chats gets the text
as a user's message. That is what most people who still call the old interface want of a chat model, and no more: what
has no meaning there is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from ..canon import Completion, Fault, Finished, Prompt, Request
from ..dialects.base import Built, Decoder, Dialect, TextsHalf
from ..dialects.wishes import Wishes
from ..estimate import Facts
from .chat import Chat

__all__ = ["TEXTS", "Texts"]

TEXTS: Final = "texts"
"""The capability of every deployment that chats, or completes texts."""

_BARE: Final = "completions"
"""The wire format of what was not asked in a chat (`dialects.formats.completions`, which nobody need import for its name)."""

_NEEDS: Final = frozenset({TEXTS})
_REMEDY: Final = 'a chat model is asked; name one whose `operations` have "completions"'


class Texts(Chat):
    """See the module's docstring."""

    name: ClassVar[str] = TEXTS
    described: ClassVar[str] = "text completion"

    def facts(self, wanted: Request, long_context: int) -> Facts:
        """See `Operation.facts`."""
        found = super().facts(wanted, long_context)
        tokens = len(wanted.prompt.tokens or ()) if wanted.prompt is not None else 0
        return msgspec.structs.replace(
            found, input_tokens=found.input_tokens + tokens, needs=(found.needs - {"chat"}) | _NEEDS
        )

    def build(self, dialect: Dialect, wanted: Request, *, stream: bool) -> Built:
        """See `Operation.build`."""
        half = dialect.texts
        if half is not None:
            return half.build(wanted, stream=stream)
        dropped = _emulated(wanted.prompt or Prompt(), wanted.n or 1, lenient=dialect.target.lenient)
        built = dialect.build(msgspec.structs.replace(wanted, prompt=None), stream=stream)
        return Built(built.request, (*dropped, *built.dropped)) if dropped else built

    def read(self, dialect: Dialect, body: bytes, _wanted: Request, _built: Built) -> Completion:
        """See `Operation.read`."""
        half: Dialect | TextsHalf = dialect.texts or dialect
        return half.completion(body)

    def empty(self, dialect: Dialect, finishes: Sequence[Finished], wanted: Request, /) -> bool:
        """See `Operation.empty`. A base model may well have nothing to add."""
        return dialect.texts is None and super().empty(dialect, finishes, wanted)

    def flaw(self, answer: Completion, wanted: Request) -> Fault | None:
        """See `Operation.flaw`."""
        return None if answer.format == _BARE else super().flaw(answer, wanted)

    def decoder(self, dialect: Dialect, _built: Built) -> Decoder:
        """See `Operation.decoder`."""
        half: Dialect | TextsHalf = dialect.texts or dialect
        return half.decoder()


def _emulated(prompt: Prompt, n: int, *, lenient: bool) -> list[str]:
    """What of `prompt` is dropped when its text becomes a user's message. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    if prompt.tokens is not None:
        # Without its text nothing is left to ask.
        Wishes(lenient=False).cannot("a prompt of tokens", "send it as text")
    if prompt.echo:
        wishes.cannot("echo", _REMEDY)
    if prompt.suffix:
        wishes.cannot("suffix", _REMEDY)
    if prompt.logprobs is not None:
        wishes.cannot("logprobs", _REMEDY)
    if prompt.best_of is not None and prompt.best_of != n:
        wishes.cannot("best_of", _REMEDY)
    return wishes.dropped
