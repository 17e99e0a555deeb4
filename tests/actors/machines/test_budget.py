"""The retry budget bounds what it promises to bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.budget import ClassedBudget, RetryBudget

SLICE = 1.0


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 1.0, 5.0, 12.0]), st.integers(0, 40), st.integers(0, 15)),
        min_size=1,
        max_size=20,
    )
)
def test_any_life_holds_at_most_the_floor_and_the_share_of_its_requests(
    steps: list[tuple[float, int, int]],
) -> None:
    budget, now = RetryBudget(), 0.0
    requests, retries = list[int](), list[int]()
    for step, arrivals, wishes in steps:
        now += step
        for _ in range(arrivals):
            budget.deposit(now)
            requests.append(int(now // SLICE))
        for _ in range(wishes):
            if budget.withdraw(now):
                retries.append(int(now // SLICE))
    for last in retries:
        spent = sum(1 for tick in retries if last - 10 < tick <= last)
        earned = sum(1 for tick in requests if last - 10 < tick <= last)
        assert spent <= 10 + 0.1 * earned + 1e-6


def test_over_a_long_outage_retries_are_a_tenth_of_the_requests_and_one_a_second() -> None:
    budget, granted = RetryBudget(), 0
    for tick in range(6000):
        now = tick / 10
        for _ in range(10):
            budget.deposit(now)
        granted += sum(budget.withdraw(now) for _ in range(30))
    assert granted <= 60_000 * 0.1 + 600 + 10
    assert granted >= 60_000 * 0.1


def test_an_idle_budget_grants_its_reserve_and_no_more() -> None:
    budget = RetryBudget()
    assert sum(budget.withdraw(50.0) for _ in range(20)) == 10
    assert budget.statistics(50.0).balance == 0
    assert budget.withdraw(60.0)


def test_a_busy_hour_saves_up_nothing_for_the_next_outage() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.deposit(0.0)
    assert budget.balance(9.0) == pytest.approx(110)
    assert budget.balance(10.0) == pytest.approx(10)


def test_a_refused_withdrawal_costs_nothing() -> None:
    budget = RetryBudget(floor=0.1)
    assert [budget.withdraw(0.0) for _ in range(5)] == [True, False, False, False, False]
    assert budget.statistics(0.0).withdrawals == 1


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.7])
def test_rounding_never_withholds_a_retry_that_was_paid_for(share: float) -> None:
    budget = RetryBudget(share=share, floor=0.0)
    for _ in range(10):
        budget.deposit(0.0)
    assert sum(budget.withdraw(0.0) for _ in range(10)) == round(share * 10)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        RetryBudget(share=-0.1)


def test_a_class_that_spends_everything_leaves_the_others_what_they_paid_for() -> None:
    budget = ClassedBudget(["greedy", "modest"], share=0.1, floor=0.0)
    for _ in range(1000):
        budget.deposit("greedy", 0.0)
    for _ in range(50):
        budget.deposit("modest", 0.0)
    assert sum([budget.withdraw("greedy", 0.0) for _ in range(500)]) == 100
    assert sum([budget.withdraw("modest", 0.0) for _ in range(500)]) == 5


def test_the_classes_together_stay_within_the_budget_for_all() -> None:
    budget = ClassedBudget(["a", "b", "c"], share=0.0, floor=1.0)
    granted = [budget.withdraw(name, 0.0) for name in "abc" for _ in range(10)]
    assert sum(granted) == 10
    left = budget.statistics(0.0)
    assert (left[""].withdrawals, left["a"].withdrawals, left["c"].withdrawals) == (10, 10, 0)
