"""The retry budget bounds what it promises to bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.budget import ClassedBudget, RetryBudget

LIFE = 60.0
SLICE = LIFE / 10

steps_of = st.sampled_from([0.0, 0.3, 6.0, 30.0, 72.0])


@given(steps=st.lists(st.tuples(steps_of, st.integers(0, 300), st.integers(0, 80)), min_size=1, max_size=20))
def test_any_life_holds_at_most_the_floor_and_the_share_of_its_requests(
    steps: list[tuple[float, int, int]],
) -> None:
    """As long as nothing is known to help."""
    budget, now = RetryBudget(), 0.0
    requests, retries = list[int](), list[int]()
    for step, arrivals, wishes in steps:
        now += step
        for _ in range(arrivals):
            budget.deposit(now)
            requests.append(int(now // SLICE))
        for _ in range(wishes):
            if budget.withdraw(now):
                budget.learn(False, now)
                retries.append(int(now // SLICE))
    for last in retries:
        spent = sum(1 for tick in retries if last - 10 < tick <= last)
        earned = sum(1 for tick in requests if last - 10 < tick <= last)
        assert spent <= LIFE + 0.1 * earned + 1e-6


@given(
    steps=st.lists(
        st.tuples(steps_of, st.integers(0, 100), st.integers(0, 80), st.integers(0, 80), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_retries_that_come_to_nothing_are_bounded_but_for_those_that_were_under_way(
    steps: list[tuple[float, int, int, int, bool]],
) -> None:
    """Whatever helps in between: the oracle knows how many were out at once."""
    budget, now, out, most_out = RetryBudget(), 0.0, 0, 0
    requests, in_vain = list[int](), list[int]()
    for step, arrivals, wishes, endings, helped in steps:
        now += step
        for _ in range(arrivals):
            budget.deposit(now)
            requests.append(int(now // SLICE))
        for _ in range(wishes):
            out += budget.withdraw(now)
        most_out = max(most_out, out)
        for _ in range(min(endings, out)):
            out -= 1
            budget.learn(helped, now)
            if not helped:
                in_vain.append(int(now // SLICE))
    for last in in_vain:
        spent = sum(1 for tick in in_vain if last - 10 < tick <= last)
        earned = sum(1 for tick in requests if last - 10 < tick <= last)
        assert spent <= LIFE + 0.1 * earned + most_out + 1e-6


def test_while_retries_help_only_those_in_vain_are_counted() -> None:
    """Half a minute's requests fail together, and another vendor answers them all."""
    budget = RetryBudget(floor=0.1)
    assert sum(budget.withdraw(0.0) for _ in range(20)) == 6
    for _ in range(6):
        budget.learn(True, 1.0)
    assert all(budget.withdraw(1.0) for _ in range(500))
    for _ in range(5):
        budget.learn(False, 2.0)
    assert sum(budget.withdraw(2.0) for _ in range(5)) == 5
    budget.learn(False, 3.0)
    assert not budget.withdraw(3.0), "as many helped as came to nothing"


def test_one_class_s_retries_that_help_are_no_leave_for_another_class() -> None:
    budget = ClassedBudget(["a", "b"], share=0.0, floor=0.1)
    for _ in range(6):
        budget.withdraw("a", 0.0)
        budget.learn("a", True, 0.0)
    assert sum([budget.withdraw("a", 1.0) for _ in range(100)]) == 100
    assert sum([budget.withdraw("b", 1.0) for _ in range(100)]) == 6


def test_over_a_long_outage_retries_are_a_tenth_of_the_requests_and_one_a_second() -> None:
    budget, granted = RetryBudget(), 0
    for tick in range(6000):
        now = tick / 10
        for _ in range(10):
            budget.deposit(now)
        granted += sum(budget.withdraw(now) for _ in range(30))
    assert granted <= 60_000 * 0.1 + 600 + LIFE
    assert granted >= 60_000 * 0.1


def test_an_idle_budget_grants_its_reserve_and_no_more() -> None:
    budget = RetryBudget()
    assert sum(budget.withdraw(50.0) for _ in range(80)) == 60
    assert budget.statistics(50.0).balance == 0
    assert budget.withdraw(50.0 + LIFE)


def test_a_busy_hour_saves_up_nothing_for_the_next_outage() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.deposit(0.0)
    assert budget.balance(LIFE - 1) == pytest.approx(160)
    assert budget.balance(LIFE) == pytest.approx(60)


def test_a_refused_withdrawal_costs_nothing() -> None:
    budget = RetryBudget(floor=0.1, life=10.0)
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
    granted = [budget.withdraw(name, 0.0) for name in "abc" for _ in range(100)]
    assert sum(granted) == 60
    left = budget.statistics(0.0)
    assert (left[""].withdrawals, left["a"].withdrawals, left["c"].withdrawals) == (60, 60, 0)
