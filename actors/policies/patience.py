"""Waiting for the preferred candidate, or going on to the next.

Both ways are priced in seconds: the wait until it takes the request, the time to its first content, and the money, at an
exchange rate. Waiting is worth as long as the preferred one is still no dearer than the next:

    wait + first content + money  <=  the next one's wait + first content + money

A prefix in the preferred one's prompt cache is a discount there: it would have to be read anew elsewhere.

The vendor alone knows how long the wait is, to the millisecond, so it is told how long is worth having, and answers at
once with a lease in the future or with a refusal.
"""

from __future__ import annotations

from typing import Final

from .base import Candidate, View
from .cost import expected_dollars
from .latency import LEAST_SUCCESS

__all__ = ["late", "patience"]

LONGEST: Final = 10.0
SHARE: Final = 0.25
"""Of the time that remains, what may be spent waiting while somebody else could be asked."""
SHORTEST: Final = 0.25
"""Seconds for which it is always better to wait than to lose a prompt cache, a learned limit and a tried order."""
SECONDS_PER_DOLLAR: Final = 100.0
"""A cent is worth a second."""
CACHED: Final = 0.5
"""Of the time to the first content and of the price of the input, what is left to pay where the prefix is cached."""


def patience(candidate: Candidate, next_best: Candidate | None, view: View, *, cached: bool = False) -> float:
    """Seconds for which waiting for `candidate` is better than going on to `next_best`.

    Between `SHORTEST` and the lesser of `LONGEST` and `SHARE` of the time left; all of that time when there is no
    `next_best`. `cached`: the request's prefix is in the prompt cache of `candidate`.
    """
    left = view.remaining()
    if next_best is None:
        return left
    here, there = _first_content(candidate, view), _first_content(next_best, view)
    gain = 0.0
    if here is not None and there is not None:
        gain += there - here
    if cached and here is not None:
        gain += (1 - CACHED) * here
    gain += _dollars_saved(candidate, next_best, view, cached=cached) * SECONDS_PER_DOLLAR
    gain += max(0.0, view.load(next_best).closed_until - view.now)
    return min(left, max(SHORTEST, min(gain, SHARE * left, LONGEST)))


def late(candidate: Candidate, view: View) -> bool:
    """Whether less time is left than a request of this size usually takes there to its first content."""
    usual = view.usual(candidate)
    return usual is not None and view.remaining() < usual


def _first_content(candidate: Candidate, view: View) -> float | None:
    """Expected, failures included, in seconds; None where nothing is known."""
    ranking = view.ranking(candidate)
    if ranking.first_token is None:
        return None
    return ranking.first_token / max(LEAST_SUCCESS, 1.0 - ranking.failures)


def _dollars_saved(candidate: Candidate, next_best: Candidate, view: View, *, cached: bool) -> float:
    """What `candidate` is cheaper than `next_best`, negative if it is dearer; 0 where a price is not known."""
    here, there = candidate.input_price, next_best.input_price
    if here is None or there is None or candidate.output_price is None or next_best.output_price is None:
        return 0.0
    dearer, cheaper = expected_dollars((next_best, candidate), view)
    saved = dearer - cheaper
    if cached:
        saved += (1 - CACHED) * view.route.input_tokens * here / 1e6
    return saved
