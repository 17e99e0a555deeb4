"""Plausible English that means nothing, says that it is simulated, and quotes what it was asked.

Sentences are templates whose slots are filled at random: short, cheap to make, and different each time, so
that a demonstration is pleasant to watch and a cache or a duplicate is easily noticed.
"""

from __future__ import annotations

import random
import re
from string import Formatter
from typing import Final

__all__ = ["pieces_of", "quote", "reply", "reply_to_tool"]

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "animal": ("otter", "heron", "badger", "pangolin", "tortoise", "magpie", "hedgehog", "octopus", "walrus"),
    "person": ("archivist", "lighthouse keeper", "night editor", "beekeeper", "tram driver", "clockmaker"),
    "thing": (
        "teapot",
        "umbrella",
        "barometer",
        "typewriter",
        "weather vane",
        "filing cabinet",
        "gramophone",
    ),
    "idea": ("patience", "good bookkeeping", "a second opinion", "careful queueing", "plain arithmetic"),
    "place": ("the harbour", "the reading room", "platform nine", "the greenhouse", "the ferry", "the attic"),
    "quality": (
        "remarkable",
        "sensible",
        "surprisingly tidy",
        "mildly alarming",
        "promising",
        "long overdue",
    ),
    "manner": (
        "quietly",
        "with some ceremony",
        "twice",
        "before breakfast",
        "in alphabetical order",
        "at once",
    ),
    "verb": ("measured", "catalogued", "admired", "postponed", "rehearsed", "repaired", "borrowed"),
}

_SENTENCES: Final = (
    "The {animal} in charge of {place} {verb} it {manner}.",
    "In short, {idea} is {quality}, and the {thing} helps.",
    "The {person} I consulted calls the matter {quality}.",
    "First, one {animal} {verb} the {thing}; then another {verb} the {animal}.",
    "There are three views on this, and two of them were {verb} {manner}.",
    "Nobody at {place} expected the {thing} to be so {quality}.",
    "If in doubt, ask the {person} for {idea}.",
    "On balance the {thing} seems {quality}, though the {animal} disagrees.",
    "Experts recommend {idea}, preferably at {place}.",
    "By the time the {person} arrived, everything had been {verb} {manner}.",
    "It follows that every {thing} deserves one {animal}.",
    "Historically, {place} was {verb} by a {quality} {person}.",
    "The evidence for {idea} remains {quality}.",
    "Please note that no {animal} was {verb} for this answer.",
)

_OPENINGS: Final = (
    'This is a simulated answer to "{quote}".',
    'You asked "{quote}"; this vendor is simulated, so it can only guess.',
    'Simulated, but trying: about "{quote}" there is much to say.',
    'No model was troubled for this simulated reply to "{quote}".',
)

_AFTER_TOOL: Final = (
    'The tool says "{quote}" (and this summary of it is simulated).',
    'According to the tool: "{quote}". The rest of this answer is simulated.',
)

_QUOTED: Final = 48
"""Characters of the question that are quoted at most."""

_PIECE = re.compile(r"\s*\S{1,5}|\s+")

_SLOTS: Final = {
    sentence: [name for _, name, _, _ in Formatter().parse(sentence) if name] for sentence in _SENTENCES
}


def pieces_of(text: str) -> list[str]:
    """`text` cut into pieces of about four characters, which stand for tokens."""
    return _PIECE.findall(text)


def quote(text: str) -> str:
    """The beginning of `text` on one line, cut at a word."""
    line = " ".join(text[: 4 * _QUOTED].split())
    if len(line) <= _QUOTED:
        return line
    return line[:_QUOTED].rsplit(" ", 1)[0] + "..."


def reply(rng: random.Random, question: str, tokens: int) -> str:
    """An answer of about `tokens` tokens to `question`, ending with a whole sentence."""
    opening = rng.choice(_OPENINGS).format(quote=quote(question)) if question else ""
    if not opening or len(pieces_of(opening)) > max(tokens, 12) * 1.5:
        opening = "A simulated answer."
    return _lengthened(rng, opening, tokens)


def reply_to_tool(rng: random.Random, result: str, tokens: int) -> str:
    """An answer of about `tokens` tokens that passes on what a tool said."""
    return _lengthened(rng, rng.choice(_AFTER_TOOL).format(quote=quote(result)), tokens)


def _sentence(rng: random.Random) -> str:
    template = rng.choice(_SENTENCES)
    filled = template.format_map({slot: rng.choice(_WORDS[slot]) for slot in _SLOTS[template]})
    return filled[0].upper() + filled[1:]


def _lengthened(rng: random.Random, text: str, tokens: int) -> str:
    """`text` with sentences added while that brings it nearer to `tokens`."""
    sentences = [text]
    length = len(pieces_of(text))
    while length < tokens:
        sentence = _sentence(rng)
        longer = length + len(pieces_of(sentence))
        if longer - tokens > tokens - length:
            break
        sentences.append(sentence)
        length = longer
    return " ".join(sentences)
