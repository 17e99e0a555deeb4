"""Our own outage or the vendors': against a list of everything that happened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.network import LocalNetwork

VENDORS = "abcd"


@given(
    vendors=st.integers(0, 5),
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 4.0, 6.0]), st.sampled_from(VENDORS), st.booleans()), max_size=40
    ),
)
def test_it_is_down_when_enough_vendors_failed_within_seconds_and_none_was_reached_in_between(
    vendors: int, steps: list[tuple[float, str, bool]]
) -> None:
    network, now, needed = LocalNetwork(vendors), 0.0, max(2, min(3, vendors))
    events: list[tuple[float, str, bool]] = []
    down = False
    for step, vendor, reached in steps:
        now += step
        if reached:
            assert network.reached(vendor, now) is down
            down = False
        else:
            changed = network.failed(vendor, now)
            events.append((now, vendor, False))
            since = max((n for n, (_, _, contact) in enumerate(events) if contact), default=-1)
            lately = {name for at, name, _ in events[since + 1 :] if now - at <= 5}
            assert changed is (not down and len(lately) >= needed)
            down = down or changed
        if reached or down:
            events.append((now, vendor, True))
        assert network.down is down


def test_a_single_vendor_that_cannot_be_reached_is_that_vendors_matter() -> None:
    network = LocalNetwork(1)
    assert not any(network.failed("a", float(second)) for second in range(20))
    assert network.admit(20)


def test_two_of_two_are_enough_and_two_of_three_are_not() -> None:
    two, three = LocalNetwork(2), LocalNetwork(3)
    assert not two.failed("a", 0)
    assert two.failed("b", 1)
    assert not three.failed("a", 0)
    assert not three.failed("b", 1)
    assert three.failed("c", 2)
    assert not three.failed("c", 2), "what is known is no change"


def test_while_down_one_probe_at_a_time_finds_out_ever_more_slowly() -> None:
    network, now, probes = LocalNetwork(2), 0.0, list[float]()
    network.failed("a", 0)
    network.failed("b", 0)
    for tenth in range(600):
        now = tenth / 10
        if network.admit(now):
            probes.append(now)
            network.failed("a", now)
    assert probes == [1, 3, 7, 15, 25, 35, 45, 55]
    assert network.retry_at == 65


def test_one_contact_ends_it_and_the_next_outage_begins_anew() -> None:
    network = LocalNetwork(2)
    network.failed("a", 0)
    network.failed("b", 0)
    assert network.admit(1)
    assert network.reached("a", 1.5)
    assert network.restored == ("a", 1.5)
    assert all(network.admit(1.5) for _ in range(100))
    assert not network.failed("a", 2)
    assert network.failed("b", 2)
    assert not network.admit(2.9)
    assert network.admit(3)
    shown = network.statistics()
    assert (shown.down_since, shown.retry_at, shown.outages) == (2, 5, 2)


def test_it_remembers_no_more_vendors_than_fail_at_once() -> None:
    network = LocalNetwork(3)
    for number in range(1000):
        network.failed(f"v{number}", number * 4.0)
    assert len(network._failed_at) <= 2


def test_times_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="first"):
        LocalNetwork(3, first=20)
