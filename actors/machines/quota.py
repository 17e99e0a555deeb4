"""Who holds what of the limits that several processes share, and who waits for more: the keeper's side.

Pure: the keeper of a machine's workers drives it over a socket, and whoever keeps limits for several machines could do the same.

**Lending.** What a request lacks is claimed in all pools at once (`claims.Claim`), and lent at once or not at all: nobody holds requests
while he waits for tokens that another holds who waits for requests. Claims are met in the order in which they came; one that cannot be
met yet keeps the pools it needs for itself, so that a large one is not starved by many small ones. If what it needs is lent
to somebody who does not need it, that is recalled. Beside, holders get what they would like to have in store, from the upper half
of a pool only.

**Eras.** A holder may spend what it holds for `TERM` seconds after it *sent* the last report that was answered. The keeper counts the
same seconds from when it *read* that report, which is later: so when it takes the slices for lapsed and charges them, the holder has long
stopped spending. From then on the two are at odds over what is held, so a new era begins, in which nothing is; what is
reported of an older era has been charged already.

**Silence.** A holder that hears nothing spends an equal share of each rate, from an empty bucket. The keeper charges that share
for as long as it does not hear of the holder either, and only what is told beyond it after that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from .claims import TERM, Answer, Claim, Report, Terms
from .pools import Pool, pool

__all__ = ["QuotaBook"]

_RECALL_AGAIN = 0.05
"""Seconds after which a pool is recalled once more, if claims still wait for it."""
_LEAST = 1e-9
"""Less than this is rounding, and not worth lending."""


class _Holder(Struct):
    """What the keeper knows of one holder."""

    era: int = 0
    read: int = 0
    heard_at: float = -math.inf
    lapsed: bool = False
    assumed_until: float = -math.inf
    dead: bool = False
    wants: Mapping[str, float] = {}
    granted: set[int] = set()
    """Claims that were met, as long as its reports may not know of it."""
    owed: bool = False
    """Whether it has reported since it was last answered."""
    stale: set[str] = set()
    """Pools whose limit, or whose closing, it has not been told."""


class QuotaBook:
    """All pools and holders. `holders`: among how many the limits are shared. See the module's docstring."""

    def __init__(self, holders: int, term: float = TERM) -> None:
        if holders < 1 or not term > 0:
            raise ValueError(f"limits are shared among one or more, for a time, got {holders}, {term}")
        self.holders = holders
        self.term = term
        self.pools: dict[str, Pool] = {}
        self._holders: dict[int, _Holder] = {}
        self._claims: dict[tuple[int, int], Claim] = {}
        self._recalled_at: dict[str, float] = {}
        self._wake_at = math.inf

    # --- from the holders -------------------------------------------------------------------

    def declare(self, pools: Mapping[str, Terms]) -> None:
        """These limits exist. Who declares a pool first says what it is like; after that it learns."""
        for key, terms in pools.items():
            if key not in self.pools:
                self.pools[key] = pool(terms)

    def join(self, holder: int, now: float) -> None:
        """A new holder, which holds nothing. One that lives again is another holder. Raises `ValueError` if it is known."""
        if holder in self._holders:
            raise ValueError(f"holder {holder} is known already")
        self._holders[holder] = _Holder(heard_at=now, stale=set(self.pools))

    def leave(self, holder: int, now: float) -> None:
        """It is dead: what it held counts as spent. Places come back when its term is over, as vendors may not have noticed yet."""
        known = self._holders.get(holder)
        if known is not None and not known.dead:
            known.dead = True
            self._lapse(holder, known, now)

    def read(self, holder: int, report: Report, now: float) -> None:
        """Take a report in; `settle` answers it. One of a holder that has not joined, or is dead, is ignored."""
        known = self._holders.get(holder)
        if known is None or known.dead:
            return
        self._expire(now)
        current = report.era == known.era
        for key, entry in report.entries.items():
            found = self.pools.get(key)
            if found is None:
                continue
            before = found.terms_now
            found.take_in(holder, entry, report.number, now, current=current)
            if found.terms_now != before:
                for each in self._holders.values():
                    each.stale.add(key)
        if current and known.assumed_until > -math.inf:
            # It has heard of the new era, and had told everything of its silence by then.
            known.assumed_until = -math.inf
            for found in self.pools.values():
                found.heard_from(holder)
        known.heard_at, known.read, known.owed, known.lapsed = now, report.number, True, False
        known.wants = report.wants
        known.granted &= {claim.number for claim in report.claims}
        open_claims = {
            (holder, claim.number): claim for claim in report.claims if claim.number not in known.granted
        }
        for number in [each for each in self._claims if each[0] == holder and each not in open_claims]:
            del self._claims[number]
        # A claim that is known keeps its place, whatever has become of its amounts.
        self._claims.update(open_claims)

    # --- to the holders ---------------------------------------------------------------------

    def settle(self, now: float) -> dict[int, Answer]:
        """What is to be told to whom: answers to reports, what is lent, what is recalled."""
        self._expire(now)
        alive = {holder: each for holder, each in self._holders.items() if not each.dead}
        news = {holder: _News() for holder, each in alive.items() if each.owed or each.stale}
        self._meet_claims(news, now)
        for holder, known in alive.items():
            if known.owed:
                self._stock(holder, news[holder], now)
        answers = {}
        for holder, each in news.items():
            known = self._holders[holder]
            known.owed = False
            answers[holder] = Answer(
                era=known.era,
                number=known.read,
                lent=each.lent,
                granted=tuple(each.granted),
                waits=each.waits,
                recalled=tuple(each.recalled),
                limits=self._limits(known),
                closed=self._closings(known, now),
            )
            known.stale.clear()
        return answers

    @property
    def wake_at(self) -> float:
        """When `settle` has something to do even if nothing was read; infinite while there is nothing."""
        return self._wake_at

    def held(self, holder: int) -> dict[str, float]:
        """What `holder` has been lent and not reported spent."""
        return {key: each.lent[holder] for key, each in self.pools.items() if each.lent.get(holder)}

    @property
    def waiting(self) -> int:
        """Claims that are not met yet."""
        return len(self._claims)

    # --- inside -----------------------------------------------------------------------------

    def _meet_claims(self, news: dict[int, _News], now: float) -> None:
        ahead: dict[str, float] = {}
        wake_at = math.inf
        for (holder, number), claim in list(self._claims.items()):
            amounts = {key: each for key, each in claim.amounts.items() if key in self.pools}
            wait = max(
                [self.pools[key].wait(each + ahead.get(key, 0.0), now) for key, each in amounts.items()],
                default=0.0,
            )
            blocked = any(key in ahead for key in amounts)
            told = news.get(holder)
            if told is None:
                told = news[holder] = _News()
            if not blocked and all(
                self.pools[key].free(now) >= each - _LEAST for key, each in amounts.items()
            ):
                for key, each in amounts.items():
                    self.pools[key].lend(holder, each)
                    told.lent[key] = told.lent.get(key, 0.0) + each
                told.granted.append(number)
                self._holders[holder].granted.add(number)
                del self._claims[holder, number]
                continue
            told.waits[number] = wait
            if not blocked:
                wake_at = min(wake_at, now + max(wait, 1e-3))
                self._recall(holder, amounts, news, now)
            for key, each in amounts.items():
                ahead[key] = ahead.get(key, 0.0) + each
        if self._claims:
            # What those who are silent or dead hold comes back in time.
            terms = [each.heard_at + self.term for each in self._holders.values()]
            wake_at = min([wake_at, *[each for each in terms if each > now]])
        self._wake_at = wake_at if self._claims else math.inf

    def _recall(
        self, claimant: int, amounts: Mapping[str, float], news: dict[int, _News], now: float
    ) -> None:
        """What `claimant` lacks, and others have in store, is wanted back."""
        for key, amount in amounts.items():
            found = self.pools[key]
            if found.free(now) >= amount or now - self._recalled_at.get(key, -math.inf) < _RECALL_AGAIN:
                continue
            for holder in found.lent:
                known = self._holders.get(holder)
                if holder != claimant and known is not None and not known.dead:
                    news.setdefault(holder, _News()).recalled.append(key)
                    self._recalled_at[key] = now

    def _stock(self, holder: int, news: _News, now: float) -> None:
        """What it would like to have in store, as far as the upper half of each pool has it for everybody."""
        for key, wanted in self._holders[holder].wants.items():
            found = self.pools.get(key)
            if found is None or any(key in claim.amounts for claim in self._claims.values()):
                continue
            amount = min(wanted, (found.free(now) - found.reserve) / self.holders)
            if amount > _LEAST:
                found.lend(holder, amount)
                news.lent[key] = news.lent.get(key, 0.0) + amount

    def _limits(self, known: _Holder) -> dict[str, tuple[float, float]]:
        return {key: self.pools[key].terms_now[:2] for key in known.stale if key in self.pools}

    def _closings(self, known: _Holder, now: float) -> dict[str, float]:
        closings = {key: self.pools[key].terms_now[2] - now for key in known.stale if key in self.pools}
        return {key: seconds for key, seconds in closings.items() if seconds > 0}

    def _expire(self, now: float) -> None:
        """Who was not heard of for a term holds nothing any more; and may be spending its own share."""
        silent = {holder: each for holder, each in self._holders.items() if now >= each.heard_at + self.term}
        # The shares first, since they were spent from then on, and what was held is charged as of now.
        for holder, known in silent.items():
            if known.dead or now <= known.assumed_until:
                continue
            since = known.assumed_until if known.lapsed else known.heard_at
            for each in self.pools.values():
                each.assume(holder, now - since, self.holders, now)
            known.assumed_until = now
        for holder, known in silent.items():
            if known.dead:
                self._bury(holder, now)
            elif not known.lapsed:
                self._lapse(holder, known, now)

    def _lapse(self, holder: int, known: _Holder, now: float) -> None:
        known.era += 1
        known.lapsed = True
        known.wants = {}
        known.granted = set()
        for each in self.pools.values():
            each.lapse(holder, now)
        for number in [each for each in self._claims if each[0] == holder]:
            del self._claims[number]

    def _bury(self, holder: int, now: float) -> None:
        known = self._holders.pop(holder)
        if not known.dead:
            self._lapse(holder, known, now)
        for each in self.pools.values():
            each.forget(holder)


class _News:
    """An answer in the making."""

    __slots__ = ("granted", "lent", "recalled", "waits")

    def __init__(self) -> None:
        self.lent: dict[str, float] = {}
        self.granted: list[int] = []
        self.waits: dict[int, float] = {}
        self.recalled: list[str] = []
