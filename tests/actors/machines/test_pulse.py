"""Who is worth asking when there is nobody better."""

import pytest
from llm_dispatcher.actors.machines.breaker import Verdict
from llm_dispatcher.actors.machines.pulse import KEPT, Pulse


def felt(*verdicts: Verdict) -> Pulse:
    pulse = Pulse()
    for verdict in verdicts:
        pulse.feel(verdict)
    return pulse


WELL, FAILED = Verdict.SUCCESS, Verdict.FAILURE


@pytest.mark.parametrize(
    ("answers", "alive"),
    [
        ([], False),
        ([FAILED] * 5, False),
        ([WELL] * 100 + [FAILED] * 15, True),
        ([WELL] * 100 + [FAILED] * 16, False),
        ([FAILED] * 100 + [WELL] * 4, False),
        ([FAILED] * 100 + [WELL] * 5, True),
        ([FAILED, FAILED, WELL, FAILED], True),
        ([FAILED, FAILED, WELL, FAILED, FAILED], False),
    ],
)
def test_it_lives_while_a_quarter_of_the_last_twenty_answers_are_good(
    answers: list[Verdict], alive: bool
) -> None:
    assert KEPT == 20
    assert felt(*answers).alive is alive


def test_a_stream_that_breaks_is_no_good_answer_and_counts_once() -> None:
    assert not felt(*[WELL, Verdict.STREAM_BROKEN] * 20).alive
    assert felt(*[WELL] * 4, *[Verdict.STREAM_BROKEN] * 3).alive
    assert not felt(*[WELL] * 5, *[Verdict.STREAM_BROKEN] * 4).alive


def test_what_proves_nothing_is_not_counted() -> None:
    nothing = [Verdict.RATE_LIMITED, Verdict.NEUTRAL, Verdict.STREAM_OK]
    assert not felt(*nothing).alive
    assert felt(WELL, *nothing * 20).alive
