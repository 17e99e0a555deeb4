"""What is written on the command line: distributions, objectives, simulated vendors."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.load.house import simulated_house, simulated_vendor
from llm_dispatcher.benchmarks.load.jobs import Job, prompt
from llm_dispatcher.benchmarks.load.objectives import Objective, parse_objective
from llm_dispatcher.benchmarks.load.sizes import Distribution, parse_distribution
from llm_dispatcher.runtime import Dispatcher

# --- distributions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("300", Distribution("fixed", 300)),
        ("50-400", Distribution("uniform", 50, 400)),
        ("250ms-2s", Distribution("uniform", 0.25, 2)),
        ("1k", Distribution("fixed", 1000)),
        ("lognormal:300,0.6", Distribution("lognormal", 300, 0.6)),
        ("lognormal: 1.5k, 1", Distribution("lognormal", 1500, 1)),
        ("exp:500ms", Distribution("exp", 0.5)),
    ],
)
def test_distributions_are_read(text: str, read: Distribution) -> None:
    assert parse_distribution(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "many",
        "-5",
        "400-50",
        "lognormal:0,1",
        "lognormal:5",
        "lognormal:5,9",
        "exp:",
        "1e9",
        "9999999999",
    ],
)
def test_what_is_no_distribution_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|at most|above 0|smaller"):
        parse_distribution(text)


@settings(max_examples=30, deadline=None)
@given(low=st.integers(0, 500), more=st.integers(0, 500), seed=st.integers())
def test_counts_keep_within_a_uniform_distribution_and_are_at_least_1(low: int, more: int, seed: int) -> None:
    drawn = parse_distribution(f"{low}-{low + more}").draw_count(random.Random(seed))
    assert max(1, low) <= drawn <= max(1, low + more)


def test_the_median_and_the_mean_are_as_written() -> None:
    rng = random.Random(4)
    lognormal, exponential = parse_distribution("lognormal:300,0.6"), parse_distribution("exp:2s")
    assert statistics.median(lognormal.draw(rng) for _ in range(4000)) == pytest.approx(300, rel=0.05)
    assert statistics.mean(exponential.draw(rng) for _ in range(4000)) == pytest.approx(2, rel=0.06)


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 10**9), tokens=st.integers(1, 30_000))
def test_a_prompt_has_four_characters_a_token(number: int, tokens: int) -> None:
    assert len(prompt(Job(number, 0.0, tokens, 1))) == 4 * tokens


def test_no_two_prompts_are_alike() -> None:
    assert len({prompt(Job(number, 0.0, 50, 1)) for number in range(100)}) == 100


# --- objectives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric", "quantile", "comparison", "bound"),
    [
        ("ttft_p99<500ms", "ttft", 0.99, "<", 0.5),
        ("latency_p95 <= 2s", "latency", 0.95, "<=", 2.0),
        ("gap_p99.9<1", "gap", 0.999, "<", 1.0),
        ("error_rate<1%", "error_rate", None, "<", 0.01),
        ("error_rate<=0.005", "error_rate", None, "<=", 0.005),
        ("throughput>45/s", "throughput", None, ">", 45.0),
        ("cost<$0.50", "cost", None, "<", 0.5),
    ],
)
def test_objectives_are_read(
    text: str, metric: str, quantile: float | None, comparison: str, bound: float
) -> None:
    read = parse_objective(text)
    assert (read.text, read.metric, read.comparison) == (text, metric, comparison)
    assert read.quantile == (None if quantile is None else pytest.approx(quantile))
    assert read.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no objective"),
        ("fast", "no objective"),
        ("latencie_p99<1s", "did you mean `latency_p99`"),
        ("latency<1s", "has a percentile"),
        ("cost_p99<1", "has no percentile"),
        ("latency_p99>1s", "write < or <="),
        ("latency_p99<soon", "'soon' is not a duration"),
        ("error_rate<few", "'few' is not a share"),
        ("throughput>nan", "'nan' is not answers a second"),
        ("cost<-1", "'-1' is not dollars"),
    ],
)
def test_what_is_no_objective_is_said_to_be_none(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|did you mean|write <|is not") as told:
        parse_objective(text)
    assert said in str(told.value)


def test_what_cannot_be_told_keeps_no_objective() -> None:
    read: Objective = parse_objective("throughput>=2")
    assert read.met_by(2.0)
    assert not read.met_by(1.9)
    assert not read.met_by(None)


# --- simulated vendors --------------------------------------------------------------------------


def test_a_simulated_vendor_is_one_that_the_dispatcher_takes() -> None:
    text = "first_token=200ms, spread=0.1,tokens_per_second=90,server_error=5%,cut=0.01,"
    assert simulated_vendor(text)["faults"] == {"server_error": 0.05, "cut": 0.01}
    (vendor,) = Dispatcher.open(simulated_house([text])).config.vendors
    assert vendor.simulate is not None
    assert (vendor.simulate.first_token, vendor.simulate.faults.server_error) == (0.2, 0.05)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first_token", "is not KEY=VALUE"),
        ("server_eror=0.1", "did you mean `server_error`"),
        ("cut=2", "between 0 and 1"),
        ("cut=often", "is no number"),
        ("tokens_per_second=fast", "is no number"),
    ],
)
def test_a_simulated_vendor_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"=|did|number|share|between you mean") as told:
        simulated_vendor(text)
    assert said in str(told.value)
