"""Embeddings of more texts than a vendor takes in one call: split, sent, and put together again.

How much one call may hold is the vendor's (`dialects.base.BatchLimits`), and who will serve a call is not known before it is
leased: so a part is small enough for every deployment that could. Each part has a journey of its own, with its own
retries, its own place in the vendor's limits and its own bill; together they have one deadline and one end. If a part
fails for good the others are broken off, and the request fails; what was spent is booked all the same, part by part.

All vectors of one reply are of one model. Where a route allows several, the first part decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
import trio

from ..actors.faults import FaultClass
from ..actors.messages import Route
from ..actors.policies import Candidate
from ..actors.routing import RoutingTable
from .canon import Usage
from .dialects import BatchLimits
from .dispatch import whole
from .ending import Ending
from .errors import DispatchError, RequestRejected
from .house import House
from .journey import Journey
from .operations import operation_of
from .operations.embeddings import EMBEDDINGS, tokens_of
from .reply import EmbeddingsReply, cost_of_attempts
from .vectors import Embed, Embeddings, Vector

__all__ = ["MOST_INPUTS", "embed", "limits_of", "split"]

MOST_INPUTS: Final = 10_000
"""Texts in one request: their vectors are kept in memory until the last one has come, some 120 MB at 3,072 dimensions."""

_MOST_AT_ONCE: Final = 4
"""Parts of one request that are under way at once: enough to hide the way there and back, too few to crowd others out."""

Inputs: TypeAlias = Sequence[str | list[int]]


def limits_of(house: House, candidates: Sequence[Candidate]) -> BatchLimits | None:
    """What every one of these deployments takes in one call; None if none of them makes embeddings."""
    known = [house.deployments[each.deployment].batch for each in candidates]
    limits = [each for each in known if each is not None]
    if not limits:
        return None
    tokens = [each.tokens for each in limits if each.tokens is not None]
    return BatchLimits(min([each.inputs for each in limits]), min(tokens, default=None))


def split(inputs: Inputs, limits: BatchLimits) -> list[slice]:
    """The parts, in order. By estimated tokens; an input that is too large by itself is a part of its own."""
    parts: list[slice] = []
    start = tokens = 0
    for index, text in enumerate(inputs):
        size = 0 if limits.tokens is None else tokens_of(text)
        full = index - start == limits.inputs
        if index > start and (full or (limits.tokens is not None and tokens + size > limits.tokens)):
            parts.append(slice(start, index))
            start, tokens = index, 0
        tokens += size
    parts.append(slice(start, len(inputs)))
    return parts


def _able(routing: RoutingTable, wanted: Embed) -> list[Candidate]:
    """The deployments that the model's name stands for and that make embeddings."""
    facts = operation_of(wanted).facts(wanted, 0)
    route = Route(
        model=wanted.model,
        mode=wanted.mode,
        user=wanted.user,
        kinds=facts.kinds,
        input_tokens=facts.input_tokens,
        deadline=0.0,
    )
    selection = routing.select(route)
    found = () if selection is None else selection.candidates
    return [each for each in found if EMBEDDINGS in each.capabilities]


async def embed(house: House, routing: RoutingTable, wanted: Embed, request_id: str) -> EmbeddingsReply:
    """The vectors of every input, in their order. Raises `DispatchError`."""
    if not 1 <= len(wanted.inputs) <= MOST_INPUTS:
        message = (
            f"between 1 and {MOST_INPUTS} inputs can be embedded in one request, not {len(wanted.inputs)}"
        )
        raise RequestRejected(message, kind=FaultClass.BAD_REQUEST, code="invalid_request", param="input")
    able = _able(routing, wanted)
    limits = limits_of(house, able)
    parts = [slice(0, len(wanted.inputs))] if limits is None else split(wanted.inputs, limits)
    models = {each.model for each in able}
    batch = _Batch(house, wanted, request_id, parts)
    if len(parts) > 1:
        batch.of_model = models.pop() if len(models) == 1 else await batch.send(0)
    await batch.send_rest()
    return batch.reply()


class _Batch:
    """One request's parts, and what has come of them."""

    def __init__(self, house: House, wanted: Embed, request_id: str, parts: Sequence[slice]) -> None:
        self.of_model: str | None = None
        self._house = house
        self._wanted = wanted
        self._request_id = request_id
        self._parts = parts
        self._begun = trio.current_time()
        self._ending = Ending(len(parts))
        self._journeys: dict[int, Journey] = {}
        self._replies: dict[int, EmbeddingsReply] = {}
        self._error: DispatchError | None = None

    async def send(self, number: int) -> str:
        """Send one part; returns the model that answered. Raises `DispatchError`."""
        part = msgspec.structs.replace(self._wanted, inputs=self._wanted.inputs[self._parts[number]])
        journey = self._journeys[number] = Journey(
            self._house,
            part,
            stream=False,
            request_id=self._request_id,
            begun=self._begun,
            ending=self._ending,
            of_model=self.of_model,
        )
        attempt = await whole(journey)
        if not isinstance(attempt.answer, Embeddings):
            raise TypeError(f"{type(attempt.answer).__name__} came for embeddings")
        deployment = attempt.deployment
        self._replies[number] = EmbeddingsReply(
            request_id=self._request_id,
            vendor=deployment.vendor,
            deployment=deployment.name,
            model=deployment.model.name,
            attempts=journey.attempts,
            cost=cost_of_attempts(journey.records),
            seconds=trio.current_time() - self._begun,
            dropped=attempt.dropped,
            panic=attempt.lease.desperate,
            embeddings=attempt.answer,
        )
        return deployment.model.name

    async def send_rest(self) -> None:
        """Send what has not been sent, a few parts at once. The first failure breaks the others off, and is raised."""
        left = [number for number in range(len(self._parts)) if number not in self._replies]
        if len(left) == 1:
            # Nearly always: nothing was split.
            await self.send(left[0])
            return
        queue = iter(left)
        async with trio.open_nursery() as nursery:
            for _ in range(min(_MOST_AT_ONCE, len(left))):
                nursery.start_soon(self._send_some, queue, nursery)
        if self._error is not None:
            raise self._with_all_attempts(self._error)

    async def _send_some(self, queue: Iterator[int], nursery: trio.Nursery) -> None:
        """Send parts one after another, as long as there are any that nobody has taken."""
        try:
            for number in queue:
                await self.send(number)
        except DispatchError as error:
            if self._error is None:
                self._error = error
                nursery.cancel_scope.cancel()

    def _with_all_attempts(self, error: DispatchError) -> DispatchError:
        """The failed part's error, which tells of every part's attempts; those of the failed one are the last."""
        mine = error.attempts
        others = [
            each for journey in self._journeys.values() for each in journey.attempts if each not in mine
        ]
        error.attempts = (*others, *mine)
        return error

    def reply(self) -> EmbeddingsReply:
        """All parts as one."""
        replies = [self._replies[number] for number in range(len(self._parts))]
        first = replies[0]
        if len(replies) == 1:
            return first
        attempts = tuple([record for reply in replies for record in reply.attempts])
        vectors: list[Vector] = [vector for reply in replies for vector in reply.embeddings.vectors]
        return msgspec.structs.replace(
            first,
            attempts=attempts,
            cost=cost_of_attempts(attempts),
            seconds=trio.current_time() - self._begun,
            dropped=tuple(dict.fromkeys([name for reply in replies for name in reply.dropped])),
            panic=any(reply.panic for reply in replies),
            embeddings=msgspec.structs.replace(
                first.embeddings, vectors=vectors, usage=_sum([reply.usage for reply in replies])
            ),
        )


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    total = 0
    for usage in usages:
        if usage is None:
            return None
        total += usage.input_tokens
    return Usage(input_tokens=total)
