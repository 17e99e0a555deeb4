"""The channel between a worker and the parent, in pieces and in error."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from llm_dispatcher.actors.machines.claims import Answer, Claim, Entry, Heard, Report
from llm_dispatcher.runtime.workers.channel import MOST_BYTES, Channel, ChannelBroken
from llm_dispatcher.runtime.workers.protocol import FromWorker, Ready, ToWorker

REPORT = Report(
    era=1,
    number=2,
    entries={"requests of v/m": Entry(spent=1.5, refunds=((1, 0.5),), heard=Heard(60.0, 1.0, None, 0.1))},
    claims=(Claim(3, {"tokens of v/m": 10.0}),),
    wants={"requests of v/m": 2.0},
)


async def test_what_is_said_arrives_as_it_was_said() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    to_parent, to_worker = Channel[FromWorker](ours, FromWorker), Channel[ToWorker](theirs, ToWorker)
    answer = Answer(era=1, number=2, lent={"requests of v/m": 2.0}, waits={3: float("inf")})
    await to_parent.send(answer)
    await to_worker.send(REPORT)
    assert await to_worker.receive() == answer
    assert await to_parent.receive() == REPORT


async def test_where_the_pieces_are_cut_makes_no_difference() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    body = msgspec.msgpack.encode(REPORT)
    wire = (len(body).to_bytes(4, "big") + body) * 2
    channel = Channel[FromWorker](ours, FromWorker)
    found: list[Any] = []
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            while (message := await channel.receive()) is not None:
                found.append(message)

        nursery.start_soon(read)
        for cut in range(0, len(wire), 7):
            await theirs.send_all(wire[cut : cut + 7])
            await trio.testing.wait_all_tasks_blocked()
        await theirs.aclose()
    assert found == [REPORT, REPORT]


@pytest.mark.parametrize(
    "wire", [(MOST_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\3abc", b"\0\0\0\1\x80", b"\0\0\0\2\xff\xff"]
)
async def test_what_cannot_be_understood_ends_the_channel(wire: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(wire)
    with pytest.raises(ChannelBroken):
        await Channel[FromWorker](ours, FromWorker).receive()


async def test_an_end_that_is_gone_is_noticed_at_either_side() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    channel = Channel[FromWorker](ours, FromWorker)
    await theirs.aclose()
    assert await channel.receive() is None
    with pytest.raises(ChannelBroken):
        await channel.send(Ready())
