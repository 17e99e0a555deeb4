"""The fair queue: shares, order, bypass and bounds, as a tenant would notice them."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.fair_queue import FairQueue, FairQueueSettings

FOREVER = 1e9


def filled(queue: FairQueue[str], *entries: tuple[str, float], now: float = 0.0) -> FairQueue[str]:
    """`queue` with an entry for each tenant and cost; the items are `tenant0`, `tenant1`, ..."""
    seen = Counter[str]()
    for tenant, cost in entries:
        item = f"{tenant}{seen[tenant]}"
        seen[tenant] += 1
        assert queue.push(item, tenant=tenant, cost=cost, size=1, deadline=FOREVER, now=now, key=item)
    return queue


def drained(queue: FairQueue[str], now: float = 0.0) -> list[str]:
    items = []
    while (entry := queue.pop(now)) is not None:
        items.append(entry.item)
    return items


def served(costs: dict[str, Sequence[float]], settings: FairQueueSettings) -> list[tuple[str, float]]:
    """Who is served at which cost, until the first tenant has nothing left that waits."""
    queue = FairQueue[str](settings)
    left = {tenant: len(each) for tenant, each in costs.items()}
    for tenant, each in costs.items():
        filled(queue, *[(tenant, cost) for cost in each])
    order = []
    while min(left.values()) > 0:
        entry = queue.pop(0.0)
        assert entry is not None
        left[entry.tenant] -= 1
        order.append((entry.tenant, entry.cost))
    return order


COSTS = st.lists(st.floats(1, 50) | st.integers(1, 2000).map(float), min_size=1, max_size=40)


@pytest.mark.slow
@given(a=COSTS, b=COSTS, quantum=st.sampled_from([1.0, 30.0, 1000.0]))
def test_two_tenants_get_the_same_but_for_a_quantum_and_a_request(
    a: list[float], b: list[float], quantum: float
) -> None:
    order = served({"a": a, "b": b}, FairQueueSettings(quantum=quantum))
    largest = max(*a, *b)
    so_far = {"a": 0.0, "b": 0.0}
    differences = [0.0]
    for tenant, cost in order:
        so_far[tenant] += cost
        difference = so_far["a"] - so_far["b"]
        assert abs(difference) <= quantum + largest + 1e-6
        differences.append(difference)
    # And over any stretch of it: by one largest request more, carried over from before.
    assert max(differences) - min(differences) <= quantum + 2 * largest + 1e-6


@pytest.mark.slow
def test_a_greedy_tenant_among_a_hundred_gets_no_more_than_the_others() -> None:
    rng = random.Random(7)
    queue = FairQueue[str](FairQueueSettings(entries=100_000, quantum=1000.0, lifo_after=1e9))
    for number in range(100):
        many, largest = (2000, 4000) if number == 0 else (100, 1000 + 30 * number)
        for item in range(many):
            queue.push(
                f"{number}/{item}",
                tenant=str(number),
                cost=rng.uniform(1, largest),
                size=1,
                deadline=FOREVER,
                now=0.0,
                key=(number, item),
            )
    shares = Counter[str]()
    for _ in range(4000):
        entry = queue.pop(0.0)
        assert entry is not None
        shares[entry.tenant] += entry.cost  # type: ignore[assignment]  # tokens may be fractions
    total = sum(shares.values())
    jain = total**2 / (100 * sum(share**2 for share in shares.values()))
    assert jain >= 0.99
    assert shares["0"] <= 1.1 * total / 100


def test_a_tenant_of_double_weight_gets_double() -> None:
    queue = FairQueue[str](FairQueueSettings(quantum=10.0), {"a": 2.0})
    filled(queue, *[("a", 5.0)] * 60, *[("b", 5.0)] * 60)
    first = [item[0] for item in drained(queue)[:60]]
    assert first.count("a") == 40


def test_who_comes_late_waits_no_longer_than_a_round() -> None:
    queue = filled(FairQueue[str](FairQueueSettings(quantum=10.0)), *[("greedy", 10.0)] * 200)
    for _ in range(5):
        queue.pop(0.0)
    filled(queue, ("modest", 10.0))
    assert "modest0" in drained(queue)[:2]


def test_a_request_many_quanta_large_gets_its_turn() -> None:
    queue = filled(FairQueue[str](FairQueueSettings(quantum=10.0)), ("big", 1000.0), *[("small", 10.0)] * 200)
    order = drained(queue)
    assert 98 <= order.index("big0") <= 101


def test_the_oldest_goes_first_until_it_has_waited_too_long() -> None:
    settings = FairQueueSettings(lifo_after=1.0)
    line = [("a", 1.0)] * 4
    assert drained(filled(FairQueue[str](settings), *line), now=1.0) == ["a0", "a1", "a2", "a3"]
    assert drained(filled(FairQueue[str](settings), *line), now=1.5) == ["a3", "a2", "a1", "a0"]
    never = FairQueueSettings(lifo_after=math.inf)
    assert drained(filled(FairQueue[str](never), *line), now=100.0) == ["a0", "a1", "a2", "a3"]


def test_what_was_put_back_is_the_next_again() -> None:
    queue = filled(FairQueue[str](), ("a", 5.0), ("a", 5.0), ("b", 5.0))
    first, second = queue.pop(0.0), queue.pop(0.0)
    assert first is not None
    assert second is not None
    # In the order in which two refusals happen to come back: their old order holds.
    queue.put_back(first, 0.1)
    queue.put_back(second, 0.1)
    assert queue.statistics(0.1).served == 0
    assert drained(queue) == ["a0", "a1", "b0"]


def test_nothing_waits_twice() -> None:
    queue = filled(FairQueue[str](), ("a", 5.0))
    with pytest.raises(ValueError, match="waits already"):
        filled(queue, ("a", 5.0))
    entry = queue.pop(0.0)
    assert entry is not None
    queue.put_back(entry, 0.0)
    with pytest.raises(ValueError, match="waits already"):
        queue.put_back(entry, 0.0)


def test_a_large_request_is_overtaken_eight_times_and_then_saved_up_for() -> None:
    queue = filled(FairQueue[str](), ("a", 100.0), *[("a", 1.0)] * 10, *[("b", 1.0)] * 10)
    taken = []
    while (entry := queue.pop(0.0, lambda item: item == "a0")) is not None:
        taken.append(entry.item)
    assert len(taken) == 8
    head = queue.peek(0.0)
    assert head is not None
    assert (head.item, head.bypassed) == ("a0", 8)
    # It can be had now: it is served, and the others go on.
    assert drained(queue)[0] == "a0"


def test_one_that_overtook_and_comes_back_overtook_nobody() -> None:
    queue = filled(FairQueue[str](), ("a", 100.0), ("a", 1.0))
    for _ in range(20):
        entry = queue.pop(0.0, lambda item: item == "a0")
        assert entry is not None
        queue.put_back(entry, 0.0)
    assert queue.statistics(0.0).bypassed == 0


def test_nothing_is_served_when_nothing_fits() -> None:
    queue = filled(FairQueue[str](), *[("a", 50_000.0)] * 3, *[("b", 1.0)] * 3)
    assert queue.pop(0.0, lambda item: True) is None
    assert queue.pop(0.0, lambda item: item.startswith("a")) is not None


def test_a_full_queue_refuses_and_counts_it() -> None:
    queue = FairQueue[str](FairQueueSettings(entries=2, bytes=10))
    assert queue.push("x", tenant="", cost=1, size=6, deadline=5.0, now=0.0)
    assert not queue.push("y", tenant="", cost=1, size=5, deadline=5.0, now=0.0)
    assert queue.push("y", tenant="", cost=1, size=4, deadline=9.0, now=0.0)
    assert not queue.push("z", tenant="", cost=1, size=0, deadline=9.0, now=4.9)
    # The first one's time is up, so there is room; and it is not lost.
    assert queue.push("z", tenant="", cost=1, size=1, deadline=9.0, now=5.0)
    assert [entry.item for entry in queue.expired(5.0)] == ["x"]
    assert queue.expired(5.0) == []
    found = queue.statistics(6.0)
    assert (found.waiting, found.bytes, found.refused, found.expired, found.oldest) == (2, 5, 2, 1, 6.0)


def test_an_expired_request_is_never_given_out() -> None:
    queue = FairQueue[str]()
    queue.push("x", tenant="", cost=1, size=1, deadline=5.0, now=0.0)
    assert queue.next_deadline() == 5.0
    entry = queue.pop(4.0)
    assert entry is not None
    queue.put_back(entry, 4.5)
    assert queue.pop(5.0) is None
    assert [each.item for each in queue.expired(5.0)] == ["x"]


def test_a_caller_that_goes_leaves_nothing_behind() -> None:
    queue = FairQueue[object]()
    items = [object() for _ in range(3)]
    for item in items:
        queue.push(item, tenant="", cost=1, size=1, deadline=FOREVER, now=0.0)
    # Known by identity unless a key was given.
    assert queue.remove(id(items[1])) is not None
    assert queue.remove(id(items[1])) is None
    found = queue.statistics(0.0)
    assert (found.waiting, found.bytes, found.removed) == (2, 2, 1)


def test_its_memory_does_not_grow_with_those_long_gone() -> None:
    queue = FairQueue[int]()
    queue.push(-1, tenant="", cost=1, size=1, deadline=0.5, now=0.0, key=-1)
    for number in range(10_000):
        queue.push(number, tenant=str(number), cost=1, size=1, deadline=FOREVER, now=0.0, key=number)
        queue.remove(number)
    assert len(queue._deadlines) <= 32
    assert len(queue._ring) == 1


def test_it_says_what_will_be_served_before_a_newcomer() -> None:
    queue = filled(FairQueue[str](FairQueueSettings(quantum=10.0)), *[("a", 10.0)] * 5, *[("b", 20.0)] * 5)
    assert queue.ahead("c", 10.0, 0.0) == 10.0
    assert queue.ahead("c", 20.0, 0.0) == 40.0
    assert queue.ahead("a", 10.0, 0.0) == 90.0
    assert FairQueue[str]().ahead("a", 10.0, 0.0) == 0.0


def test_what_makes_no_sense_is_refused() -> None:
    queue = FairQueue[str]()
    for cost, size, deadline in ((-1.0, 1, 1.0), (math.inf, 1, 1.0), (1.0, -1, 1.0), (1.0, 1, math.nan)):
        with pytest.raises(ValueError, match="impossible"):
            queue.push("x", tenant="", cost=cost, size=size, deadline=deadline, now=0.0)
    for broken in ({"entries": 0}, {"quantum": 0.0}, {"lifo_after": -1.0}):
        with pytest.raises(ValueError, match="a queue needs"):
            FairQueueSettings(**broken)
    unfair = FairQueue[str](weights={"a": 0.0})
    unfair.push("x", tenant="a", cost=1, size=1, deadline=1.0, now=0.0)
    with pytest.raises(ValueError, match="the weight"):
        unfair.pop(0.0)


def test_one_that_does_not_fit_keeps_its_turn_however_often_it_is_looked_at() -> None:
    queue = filled(FairQueue[str](), ("a", 100.0), *[("b", 1.0)] * 20)
    taken = 0
    for _ in range(30):
        queue.peek(0.0, lambda item: item == "a0")
        taken += queue.pop(0.0, lambda item: item == "a0") is not None
    assert taken == 8
    assert drained(queue)[0] == "a0"


def test_a_look_changes_nothing_of_who_is_served_and_who_was_overtaken() -> None:
    settings = FairQueueSettings(quantum=4.0, bypasses=2)
    costs = [("a", 9.0), ("a", 70.0), ("b", 3.0), ("b", 70.0), ("a", 70.0)]
    looked_at, left_alone = (filled(FairQueue[str](settings, {"a": 2.0}), *costs) for _ in range(2))
    for expected in ("a1", "b1", None):
        looked_at.peek(0.0, {"a0", "b0"}.__contains__)
        for queue in (looked_at, left_alone):
            entry = queue.pop(0.0, {"a0", "b0"}.__contains__)
            assert (entry and entry.item) == expected


def test_in_a_full_queue_whoever_has_the_most_waiting_makes_room_for_others() -> None:
    queue = filled(FairQueue[str](FairQueueSettings(entries=4)), ("greedy", 5.0), *[("greedy", 1.0)] * 3)
    assert not queue.push("b0", tenant="b", cost=2, size=1, deadline=FOREVER, now=0.0)
    assert queue.displace("greedy", 1.0, 0.0) is None
    displaced = queue.displace("b", 2.0, 0.0)
    assert displaced is not None
    assert displaced.item == "greedy3"
    filled(queue, ("b", 2.0))
    # What would be left of the other is less than what this one would have then.
    assert queue.displace("b", 6.0, 0.0) is None
    assert sorted(drained(queue)) == ["b0", "greedy0", "greedy1", "greedy2"]


def test_an_empty_queue_has_nobody_to_make_room() -> None:
    assert FairQueue[str]().displace("a", 1.0, 0.0) is None
