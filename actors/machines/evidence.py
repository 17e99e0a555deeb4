"""What a circuit breaker has seen lately, and which of it is reason to change state.

Theory. Two rules trip it, because each is blind where the other sees: failures in a row show a total outage fast and
at any volume but never a partial one; a share of failures in a window shows that but waits for volume (Finagle's
default failure accrual and Linkerd's unified breaker combine them so). The counts are exact, since a decaying average can hide a tight
burst. The rules are looked at when a failure arrives: a success is no reason to open.

Calls are counted at their first content, error or time-out, not at their end, else five-minute answers would blind the
window. What goes wrong after first content becomes known much later and has a window of its own with a lower threshold:
a stream cut short cannot be repeated invisibly. There, too, streams count from their first content on: one that breaks ends
early and one that is whole ends late, so that where traffic has just begun most of those that have ended are broken ones.

Answers that come late are a third matter. They are not failures, so they never open the breaker; when most are late
the deployment is slow, and it is no longer once a few in a row are quick or none has been slow for a while.
Only the time to first content counts: a long answer is not a fault.
"""

import math

from .breaker_states import BreakerCounts, BreakerSettings, Cause, Verdict
from .window import RollingWindow


class Evidence:
    """Counts verdicts while traffic flows, and names the cause when a rule holds."""

    __slots__ = (
        "_answers",
        "_pace",
        "_quick_streak",
        "_settings",
        "_slow_seen_at",
        "_streams",
        "consecutive",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._answers = RollingWindow(settings.window, settings.slices, ("success", "failure"))
        self._pace = RollingWindow(settings.window, settings.slices, ("slow", "quick"))
        self._streams = RollingWindow(settings.window, settings.slices, ("begun", "ok", "broken"))
        self._slow_seen_at = -math.inf
        self._quick_streak = 0
        self.consecutive = 0

    def judge(
        self, verdict: Verdict, now: float, *, slow: bool, is_slow: bool, streamed: bool = False
    ) -> Cause | None:
        """Count a verdict; the cause if it is reason to leave the present state (`is_slow`: that state is slow).

        `streamed`: a stream has begun with it.
        """
        if streamed:
            self._streams.add("begun", now)
        return self._judge_health(verdict, now) or self._judge_pace(verdict, now, slow, is_slow)

    def slow_ends_at(self) -> float:
        """When a slow deployment counts as recovered if nothing slow is seen before."""
        return self._slow_seen_at + self._settings.slow_hold

    def forget(self) -> None:
        """Begin anew: a new state judges by what it sees itself."""
        self.consecutive = 0
        self._answers.clear()
        self._streams.clear()
        self.forget_pace()

    def forget_pace(self) -> None:
        """Begin anew with how quick answers are; failures stay counted."""
        self._quick_streak = 0
        self._pace.clear()

    def counts(self, now: float) -> BreakerCounts:
        return BreakerCounts(
            consecutive=self.consecutive,
            success=self._answers.count("success", now),
            failure=self._answers.count("failure", now),
            slow=self._pace.count("slow", now),
            quick=self._pace.count("quick", now),
            stream_ok=self._streams.count("ok", now),
            stream_broken=self._streams.count("broken", now),
        )

    def _judge_health(self, verdict: Verdict, now: float) -> Cause | None:
        settings = self._settings
        if verdict is Verdict.SUCCESS:
            self.consecutive = 0
            self._answers.add("success", now)
        elif verdict is Verdict.FAILURE:
            self.consecutive += 1
            self._answers.add("failure", now)
            if self.consecutive >= settings.consecutive:
                return Cause.CONSECUTIVE
            failures, answers = self._answers.count("failure", now), self._answers.total(now)
            if self._is_many(failures, answers, settings.failure_share):
                return Cause.FAILURE_RATE
        elif verdict is Verdict.STREAM_OK:
            self._streams.add("ok", now)
        elif verdict is Verdict.STREAM_BROKEN:
            self._streams.add("broken", now)
            seen = self._streams.counts(now)
            # Of those that end within the window many may have begun before it.
            streams = max(seen["begun"], seen["ok"] + seen["broken"])
            if self._is_many(seen["broken"], streams, settings.stream_share):
                return Cause.STREAMS
        return None

    def _judge_pace(self, verdict: Verdict, now: float, slow: bool, is_slow: bool) -> Cause | None:
        if slow:
            self._quick_streak = 0
            self._slow_seen_at = max(self._slow_seen_at, now)
            self._pace.add("slow", now)
            late, paces = self._pace.count("slow", now), self._pace.total(now)
            if not is_slow and self._is_many(late, paces, self._settings.slow_share):
                return Cause.SLOWED
        elif verdict is Verdict.SUCCESS:
            self._quick_streak += 1
            self._pace.add("quick", now)
            if is_slow and self._quick_streak >= self._settings.quick_streak:
                return Cause.QUICKENED
        return None

    def _is_many(self, count: int, of: int, share: float) -> bool:
        return of >= self._settings.samples and count >= share * of
