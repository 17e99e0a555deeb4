"""From a request to its answer: the loop over attempts, shared by whole and streamed answers.

`reach` makes attempts until one answers: with the whole answer, or with the first content of a stream. Before that a
failure is invisible to the caller as long as another attempt can help. What comes after the first content of a
stream is `stream`'s business.
"""

from __future__ import annotations

import trio

from .attempt import Attempt
from .canon import Completion, Request
from .house import House
from .journey import Journey
from .race import begin, race
from .reply import Reply

__all__ = ["answer", "reach", "whole"]


async def reach(journey: Journey) -> Attempt:
    """Make attempts until one answers; it is returned unsettled. Raises `DispatchError`.

    The caller's scope keeps the deadline.
    """
    while True:
        attempt = await journey.attempt()
        if attempt.lease.hedge_after is not None and journey.may_hedge(attempt):
            attempt, fault = await race(journey, attempt)
        else:
            fault = await begin(journey, attempt)
        if fault is None:
            journey.answered(attempt)
            return attempt
        go_on = journey.goes_on(attempt, fault)
        journey.finish(attempt, last=not go_on)
        await attempt.close()
        if not go_on:
            raise journey.error()


async def whole(journey: Journey) -> Attempt:
    """The attempt that brought the whole answer, settled and closed. Raises `DispatchError`; keeps the deadline."""
    try:
        with trio.CancelScope(deadline=journey.deadline):
            attempt = await reach(journey)
            journey.finish(attempt, last=True)
            await attempt.close()
            if attempt.answer is not None:
                return attempt
        raise journey.too_late()
    except BaseException as error:
        journey.over(error)
        raise


async def answer(house: House, request: Request, request_id: str) -> Reply:
    """The whole reply to `request`. Raises `DispatchError`."""
    journey = Journey(house, request, stream=False, request_id=request_id)
    attempt = await whole(journey)
    if not isinstance(attempt.answer, Completion):
        raise TypeError(f"{type(attempt.answer).__name__} came for a chat request")
    return journey.reply(attempt, attempt.answer)
