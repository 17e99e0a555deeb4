"""The mutations: each breaks one promise at one place, and names the tests that ought to notice.

A row is a small edit of the sources. `old` stands in its file exactly once, so a row whose place has been rewritten is
found out (`test_table.py`) and has to be rewritten with it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["BY_NAME", "MUTATIONS", "Mutation"]


class Mutation(Struct, frozen=True, kw_only=True):
    """One deliberate mistake. `tests` are files, or files with the name of a test (`file.py::name`), below `tests/`."""

    name: str
    breaks: str
    """What a user would be promised in vain."""
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


JITTER: Final = (
    Mutation(
        name="jitter-retries",
        breaks="callers that failed together come back together",
        file="actors/machines/backoff.py",
        old="drawn = rng.uniform(0.0, ceiling)",
        new="drawn = ceiling",
        tests=(
            "actors/machines/test_backoff.py",
            "house/test_retries.py::test_jitter_spreads_the_waits_over_the_whole_interval",
        ),
    ),
    Mutation(
        name="jitter-restarts",
        breaks="actors that crashed together start together",
        file="actors/machines/backoff.py",
        old="return min(cap, rng.uniform(base, max(base, 3.0 * previous)))",
        new="return min(cap, max(base, 3.0 * previous))",
        tests=("actors/machines/test_backoff.py", "actors/machines/test_restarts.py"),
    ),
    Mutation(
        name="jitter-open-times",
        breaks="all dispatchers probe a vendor at the same moment",
        file="actors/machines/breaker.py",
        old="return max(now + length * rng.uniform(1.0 - settings.open_jitter, 1.0 + settings.open_jitter), asked)",
        new="return max(now + length, asked)",
        tests=("actors/machines/test_breaker.py",),
    ),
    Mutation(
        name="jitter-probe-turns",
        breaks="all who were refused a probe's turn ask again at the same moment",
        file="actors/machines/breaker.py",
        old="return Refusal(now + self.settings.probe_retry * rng.uniform(0.5, 1.5), self.state)",
        new="return Refusal(now + self.settings.probe_retry, self.state)",
        tests=("actors/machines/test_breaker.py",),
    ),
    Mutation(
        name="jitter-shedding",
        breaks="all who were refused under overload come back at the same moment",
        file="runtime/gateway/admission.py",
        old="retry_after=self._rng.uniform(_SOONEST, _LATEST),",
        new="retry_after=_SOONEST,",
        tests=("runtime/gateway/test_admission.py",),
    ),
)

CANCELLATION: Final = (
    Mutation(
        name="permit-attempt",
        breaks="a request cancelled while its attempt begins keeps its permit",
        file="runtime/race.py",
        old="""    except BaseException as error:
        await journey.abandon(attempt, error)""",
        new="""    except Exception as error:
        await journey.abandon(attempt, error)""",
        tests=(
            "house/test_dispatch.py::test_cancelling_a_request_gives_everything_back",
            "house/test_cancellation.py",
        ),
    ),
    Mutation(
        name="permit-stream",
        breaks="a stream that its reader leaves keeps its permit",
        file="runtime/stream.py",
        old="            await journey.abandon(attempt)",
        new="            await attempt.close()",
        tests=("house/test_departure.py", "house/test_dispatch.py"),
    ),
    Mutation(
        name="permit-loser",
        breaks="the loser of a hedged race keeps its permit",
        file="runtime/race.py",
        old="            await self._journey.abandon(attempt, superseded=self._over.is_set())",
        new="            await attempt.close()",
        tests=("house/test_race.py",),
    ),
    Mutation(
        name="permit-result-nobody-takes",
        breaks="a race that was decided when its caller left keeps the winner's permit",
        file="runtime/race.py",
        old="        if decided is not None:",
        new="        if False:",
        tests=("house/test_cancellation.py",),
    ),
    Mutation(
        name="permit-dead-caller",
        breaks="a caller that was killed keeps its slot with the vendor for ever",
        file="actors/granting.py",
        old="if held.expires_at <= now]",
        new="if held.expires_at < 0]",
        tests=("actors/test_vendor.py::test_a_permit_that_nobody_settles_comes_back_after_its_deadline",),
    ),
    Mutation(
        name="permit-vendor-slot",
        breaks="the vendor forgets to free the slot of a settled attempt",
        file="actors/vault.py",
        old="""            for gauge in self.deployments[held.deployment].gauges:
                gauge.release()
        return held""",
        new="            pass\n        return held",
        tests=("actors/test_vendor.py", "actors/test_vault.py"),
    ),
    Mutation(
        name="permit-probe",
        breaks="a probe that its caller cancelled blocks all further ones",
        file="actors/machines/breaker.py",
        old="            self._probes.end(permit.number)\n\n    # Orders",
        new="            pass\n\n    # Orders",
        tests=(
            "actors/machines/test_breaker.py",
            "actors/test_vendor.py::test_a_cancelled_probe_gives_its_turn_back",
        ),
    ),
    Mutation(
        name="permit-asker-gone",
        breaks="a lease is granted to a caller who has left, and lost",
        file="actors/mailbox.py",
        old="""                if letter.forsaken:
                    continue
                mailbox.in_hand""",
        new="                mailbox.in_hand",
        tests=("actors/test_mailbox.py::test_nothing_is_handled_for_an_asker_who_has_left",),
    ),
    Mutation(
        name="permit-connection",
        breaks="a connection whose exchange was cancelled keeps its place in the pool",
        file="runtime/wire/client.py",
        old="""            except BaseException:
                self._pool.discard(connection)""",
        new="""            except Exception:
                self._pool.discard(connection)""",
        tests=("wire/test_client_cancellation.py",),
    ),
)

REFILL: Final = (
    Mutation(
        name="refill-vault",
        breaks="every restart of a vendor's actor begins with full buckets and no memory of cooldowns",
        file="runtime/dispatcher.py",
        old="lambda: VendorActor(state, router, rng=self._rng, mailbox=mailbox),",
        new="lambda: VendorActor(VendorState(state.spec), router, rng=self._rng, mailbox=mailbox),",
        tests=("house/test_supervision.py",),
    ),
    Mutation(
        name="refill-slice",
        breaks="what a killed worker held of a limit is lent once more, though it may have spent it",
        file="actors/machines/pools.py",
        old="        if amount > 0:\n            self._spend(amount, now)",
        new="        if amount < 0:\n            self._spend(amount, now)",
        tests=("actors/machines/test_quota.py::test_a_holder_that_was_killed_has_spent_what_it_held",),
    ),
    Mutation(
        name="refill-audit",
        breaks="limits that a crash has torn begin full again",
        file="actors/machines/bucket.py",
        old="        self.tat = max(now + self._span, self._closed_tat())\n        self._levels.note(0.0)",
        new="        self.tat = now\n        self._levels.note(0.0)",
        tests=("actors/machines/test_bucket.py", "actors/test_gauge.py", "actors/test_vault.py"),
    ),
    Mutation(
        name="refill-pessimise",
        breaks="an account whose limits a crash has torn begins with whatever its buckets say",
        file="actors/gauge.py",
        old="        for limit in self._limits.values():\n            limit.pessimise(now)",
        new="        return",
        tests=("actors/test_gauge.py", "actors/test_vault.py"),
    ),
    Mutation(
        name="refill-rescale",
        breaks="a limit that the vendor has raised comes with tokens nobody has",
        file="actors/machines/bucket.py",
        old="        missing = max(used, burst - available)",
        new="        missing = used",
        tests=("actors/machines/test_bucket.py",),
    ),
    Mutation(
        name="refill-late-refund",
        breaks="what time has paid back is given back once more",
        file="actors/machines/bucket.py",
        old="        returned = min(amount, self._levels.since(since))",
        new="        returned = amount",
        tests=("actors/machines/test_bucket.py", "actors/test_vendor.py"),
    ),
)

TRUNCATION: Final = (
    Mutation(
        name="eof-chat-completions",
        breaks="an OpenAI stream without [DONE] is shown as complete",
        file="runtime/dialects/formats/chat_completions/stream.py",
        old="        elif self._quirks.done_marker or not self._ended_choices or self._open_choices - self._ended_choices:",
        new="        elif False:",
        tests=("runtime/dialects/test_chat_completions.py::test_a_stream_that_ends_early_is_never_complete",),
    ),
    Mutation(
        name="eof-messages",
        breaks="an Anthropic stream without message_stop is shown as complete",
        file="runtime/dialects/formats/messages/stream.py",
        old="""            self._fail(events, FaultClass.TRUNCATED, "the stream ended before message_stop")""",
        new="            self._finished = True",
        tests=(
            "runtime/dialects/test_anthropic.py",
            "runtime/dialects/test_messages_faults.py",
        ),
    ),
    Mutation(
        name="eof-generate-content",
        breaks="a Gemini stream without a reason for its end is shown as complete",
        file="runtime/dialects/formats/generate_content/stream.py",
        old="        if residue or not (self._blocked or (words and all(words))):",
        new="        if residue:",
        tests=(
            "runtime/dialects/test_generate_content_answers.py::test_a_stream_that_ends_early_is_never_complete",
        ),
    ),
    Mutation(
        name="eof-attempt",
        breaks="the end of the bytes is taken for the end of the answer, whatever the dialect says",
        file="runtime/attempt.py",
        old="            events = decoder.feed(piece) if piece else decoder.close()",
        new="            events = decoder.feed(piece) if piece else []",
        tests=("house/test_dispatch.py", "house/test_scenarios.py"),
    ),
    Mutation(
        name="eof-broken-off",
        breaks="a stream whose reading was given up goes on as if nothing were missing",
        file="runtime/attempt.py",
        old="        if self._broken_off:",
        new="        if False:",
        tests=("house/test_departure.py",),
    ),
    Mutation(
        name="eof-connection",
        breaks="a connection closed in the middle of a body counts as the body's end",
        file="runtime/wire/client_parser.py",
        old="        if not self.head_complete or self.chunked or self._has_length():",
        new="        if not self.head_complete:",
        tests=("wire/test_client_parser.py",),
    ),
    Mutation(
        name="eof-of-event-streams",
        breaks="a stream of Bedrock that breaks off is an answer",
        file="runtime/dialects/formats/converse/stream.py",
        old="            if not self._ended:",
        new="            if not self._opened:",
        tests=("runtime/dialects/test_bedrock.py", "house/test_vendors_on_sockets.py"),
    ),
    Mutation(
        name="eof-unchecked-messages",
        breaks="a message that was spoiled on the way is read as it came",
        file="runtime/wire/eventstream.py",
        old="if zlib.crc32(whole[:-_CHECKSUM]) != checksum:",
        new="if zlib.crc32(whole[:-_CHECKSUM]) < 0:",
        tests=("wire/test_eventstream.py",),
    ),
)

PROBES: Final = (
    Mutation(
        name="stale-probe",
        breaks="an answer from before the outage closes the circuit",
        file="actors/machines/breaker.py",
        old="        if permit.epoch != self.epoch:\n            self.stragglers += 1\n            return None",
        new="        if permit.epoch > self.epoch:\n            self.stragglers += 1\n            return None",
        tests=("actors/machines/test_breaker.py",),
    ),
    Mutation(
        name="stale-no-probe",
        breaks="any answer while half open is taken for a probe's",
        file="actors/machines/breaker.py",
        old="        if not (permit.probe and self._probes.end(permit.number)):",
        new="        if self._probes.end(permit.number) and False:",
        tests=("actors/machines/test_breaker.py", "actors/machines/test_breaker_model.py"),
    ),
    Mutation(
        name="stale-probe-twice",
        breaks="one probe's answer counts as often as it is told",
        file="actors/machines/probes.py",
        old="        if number in self._lapsed:\n            del self._lapsed[number]\n            return True",
        new="        if number in self._lapsed:\n            return True",
        tests=("actors/machines/test_breaker.py", "actors/machines/test_breaker_model.py"),
    ),
    Mutation(
        name="stale-trial",
        breaks="yesterday's success ends the rest of a day whose limit is used up",
        file="actors/machines/trials.py",
        old="        if number < self._since or not self.holds(now):",
        new="        if not self.holds(now):",
        tests=("actors/machines/test_trials.py",),
    ),
)

MONEY: Final = (
    Mutation(
        name="money-retry",
        breaks="a failed attempt that the vendor may bill costs nothing once it is repeated",
        file="runtime/money.py",
        old="return BillState.ESTIMATED if money is Money.BILLED else _UNKNOWN",
        new="return BillState.ESTIMATED if money is Money.BILLED else _RELEASED",
        tests=("runtime/test_money.py", "house/test_retries.py"),
    ),
    Mutation(
        name="money-last-attempt-only",
        breaks="a request costs what its last attempt did",
        file="runtime/journey.py",
        old="            cost=cost_of_attempts(self.records),",
        new="            cost=cost_of_attempts(self.records[-1:]),",
        tests=(
            "house/test_retries.py",
            "house/test_race.py",
            "house/test_dispatch.py",
            "house/test_takeover.py",
        ),
    ),
    Mutation(
        name="money-ceiling",
        breaks="what may have been billed is reckoned as what was seen of it",
        file="runtime/money.py",
        old="        ceiling = cost if exact or cost is None else max(cost, most_cost_of(self._most(), self._price))",
        new="        ceiling = cost",
        tests=("runtime/test_money.py",),
    ),
    Mutation(
        name="money-unknown-comes-back",
        breaks="tokens that may have been used are given back to the limits",
        file="actors/gauge.py",
        old="            elif refused:\n                each.bucket.refund(cost, now, mark)",
        new="            else:\n                each.bucket.refund(cost, now, mark)",
        tests=("actors/test_gauge.py",),
    ),
    Mutation(
        name="money-long-requests",
        breaks="a long request costs what a short one would",
        file="runtime/prices.py",
        old="rates = rates_for(price, usage.input_tokens) if price.tiers else price",
        new="rates: Rates = price",
        tests=("runtime/test_prices.py",),
    ),
)

COOLDOWNS: Final = (
    Mutation(
        name="cooldown-gauge",
        breaks="a later, shorter hint shortens a cooldown",
        file="actors/gauge.py",
        old="        if until > self.closed_until:",
        new="        if until != self.closed_until:",
        tests=("actors/test_gauge.py", "actors/test_vendor.py"),
    ),
    Mutation(
        name="cooldown-hint",
        breaks="a vendor that asks for a long pause gets a short one",
        file="actors/settling.py",
        old="gauge.close(max(now, hint), Cause.COOLING)",
        new="gauge.close(now + limit.rest, Cause.COOLING)",
        tests=("actors/test_vendor.py", "house/test_dispatch.py"),
    ),
    Mutation(
        name="cooldown-overload-hint",
        breaks="an overloaded vendor that says when to come back is asked before that",
        file="actors/settling.py",
        old="                if hint is not None and row.breaker is Health.FAILURE:",
        new="                if hint is not None and row.breaker is Health.NEUTRAL:",
        tests=("actors/test_vendor.py", "actors/test_vendor_reach.py"),
    ),
    Mutation(
        name="cooldown-circuit",
        breaks="a circuit opens for less than the vendor asked for",
        file="actors/machines/breaker.py",
        old="        asked = retry_at if retry_at is not None and math.isfinite(retry_at) else now",
        new="        asked = now",
        tests=("actors/machines/test_breaker.py",),
    ),
    Mutation(
        name="cooldown-bucket",
        breaks="a later, shorter word reopens a closed bucket",
        file="actors/machines/bucket.py",
        old="        self.closed_until = max(self.closed_until, when)",
        new="        self.closed_until = when",
        tests=("actors/machines/test_bucket.py",),
    ),
    Mutation(
        name="cooldown-day",
        breaks="a spent day is over as soon as it is told again with an earlier end",
        file="actors/machines/trials.py",
        old="        self.until = max(self.until, until)",
        new="        self.until = until",
        tests=("actors/machines/test_trials.py",),
    ),
    Mutation(
        name="cooldown-retry",
        breaks="a repetition does not wait as long as the vendor asked",
        file="actors/machines/backoff.py",
        old="return hint if hint is not None and hint > delay else delay",
        new="return hint if hint is not None and hint < delay else delay",
        tests=("actors/machines/test_backoff.py", "house/test_retries.py"),
    ),
    Mutation(
        name="cooldown-crash",
        breaks="a crash that tears an account's limits ends its cooldown",
        file="actors/gauge.py",
        old="        self.closed_until = max((each for each in known if each <= latest), default=-math.inf)",
        new="        self.closed_until = -math.inf",
        tests=("actors/test_gauge.py", "actors/test_vault.py"),
    ),
)

SHIELDS: Final = (
    Mutation(
        name="shield-read-out",
        breaks="a vendor that sends its last event and no end keeps the caller waiting, beyond any cancellation",
        file="runtime/exchange.py",
        old="""            with trio.CancelScope(deadline=trio.current_time() + _LINGER, shield=True):
                await self._read_out()""",
        new="""            with trio.CancelScope(shield=True):
                await self._read_out()""",
        tests=("house/test_shields.py",),
    ),
    Mutation(
        name="shield-close",
        breaks="a connection that does not close keeps a cancelled caller waiting",
        file="runtime/exchange.py",
        old="""        with trio.CancelScope(deadline=trio.current_time() + _LINGER, shield=True):
            await response.aclose()""",
        new="""        with trio.CancelScope(shield=True):
            await response.aclose()""",
        tests=("house/test_shields.py",),
    ),
    Mutation(
        name="shield-background",
        breaks="an answer that is read on, and does not end, keeps the house from closing",
        file="runtime/detached.py",
        old="        with trio.move_on_after(grace, shield=True):",
        new="        with trio.CancelScope(shield=True):",
        tests=("house/test_shields.py",),
    ),
    Mutation(
        name="shield-transports",
        breaks="a way out that does not close keeps the house from closing",
        file="runtime/dispatcher.py",
        old="            with trio.move_on_after(1, shield=True):",
        new="            with trio.CancelScope(shield=True):",
        tests=("house/test_shields.py",),
    ),
)

BLAME: Final = (
    Mutation(
        name="blame-own-queue",
        breaks="a vendor is given up for the time that was waited for a connection of our own",
        file="runtime/exchange.py",
        old="            self._patience.deadline = math.inf if waiting else self.started_at + self._first",
        new="            pass",
        tests=("house/test_own_connections.py",),
    ),
    Mutation(
        name="blame-own-queue-billed",
        breaks="what never got a connection is booked as sent",
        file="runtime/exchange.py",
        old="        self.sent = not waiting",
        new="        self.sent = True",
        tests=("house/test_own_connections.py",),
    ),
    Mutation(
        name="budget-without-bound",
        breaks="an outage is made worse by retries that help nobody",
        file="actors/machines/budget.py",
        old="    spent = in_vain if helped > in_vain else withdrawals",
        new="    spent = in_vain",
        tests=("actors/machines/test_budget.py",),
    ),
    Mutation(
        name="budget-without-evidence",
        breaks="who was under way at a vendor that fails late gets an error, though another vendor answers",
        file="actors/machines/budget.py",
        old="    spent = in_vain if helped > in_vain else withdrawals",
        new="    spent = withdrawals",
        tests=("actors/machines/test_budget.py", "house/test_retries.py"),
    ),
    Mutation(
        name="drain-begun",
        breaks="a request that has just come is cut without a word when the server stops or needs the place",
        file="runtime/wire/server_connection.py",
        old="            if self.parser.has_head:",
        new="            if False:",
        tests=("wire/test_server_load.py::test_a_request_that_has_begun_is_not_cut_to_make_room",),
    ),
    Mutation(
        name="drain-on-its-way",
        breaks="a request that is on its way when the server stops gets no answer",
        file="runtime/wire/server.py",
        old="            connection.hurry(trio.current_time() + _ON_ITS_WAY)",
        new="            connection.hurry(trio.current_time())",
        tests=(
            "wire/test_server.py::test_draining_closes_the_idle_lets_the_busy_end_and_cuts_the_rest",
            "simulation/test_found.py::test_a_request_that_came_as_the_server_began_to_drain_is_served",
        ),
    ),
)

MUTATIONS: Final = (
    *JITTER,
    *CANCELLATION,
    *REFILL,
    *TRUNCATION,
    *PROBES,
    *MONEY,
    *COOLDOWNS,
    *SHIELDS,
    *BLAME,
)
BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
