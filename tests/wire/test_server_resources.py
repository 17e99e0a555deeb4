"""Addresses and file descriptors are counted right, and given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.addresses import AddressQuota, is_loopback
from llm_dispatcher.runtime.wire.descriptors import Descriptors


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_exempt(host: str) -> None:
    quota = AddressQuota(1)
    assert is_loopback(host)
    assert [quota.take(host) for _ in range(3)] == ["", "", ""]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("not an address", "not an address", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    quota = AddressQuota(1)
    assert quota.take(one)
    assert (quota.take(other) is None) == same


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from(["192.0.2.1", "192.0.2.2"])), max_size=60))
def test_no_address_ever_holds_more_than_its_share(steps: list[tuple[bool, str]]) -> None:
    quota = AddressQuota(3)
    held: dict[str, list[str]] = {"192.0.2.1": [], "192.0.2.2": []}
    for come, host in steps:
        if come:
            network = quota.take(host)
            assert (network is None) == (len(held[host]) == 3)
            if network is not None:
                held[host].append(network)
        elif held[host]:
            quota.give_back(held[host].pop())


def test_without_a_limit_or_an_address_nothing_is_counted() -> None:
    assert AddressQuota(0).take("192.0.2.1") == ""
    assert AddressQuota(1).take(None) == ""


@given(limit=st.integers(20, 2000), growth=st.integers(0, 1))
def test_accepting_stops_before_the_last_tenth_is_touched_and_goes_on_after(limit: int, growth: int) -> None:
    used = 5

    def count() -> int:
        return used

    descriptors = Descriptors(limit, count)
    for _ in range(2 * limit):
        if descriptors.full():
            break
        used += 1 + growth
    assert 0.9 * limit <= used <= 0.9 * limit + 2
    used = limit // 2
    assert not descriptors.full()


def test_where_nobody_knows_the_number_accepting_goes_on() -> None:
    assert not Descriptors(None).full()
    assert not Descriptors(100, lambda: None).full()
