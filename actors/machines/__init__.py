"""The pure state machines the control actors keep.

A machine decides and does nothing else: it never reads a clock, never sleeps, never draws from a global random
source. Every call that depends on time takes `now` (seconds on a monotonic clock), every call that depends on
chance takes a `random.Random`. So each can be tested against a slow and obvious model, replayed from a seed, copied,
and kept in a vault that outlives the actor using it.

| module | decides |
|---|---|
| `bucket` | when work of a given cost may start (rate limits) |
| `breaker` | whether a deployment is trusted with traffic (`breaker_states`: its values and table, `evidence`: what trips it, `probes`: its trial calls) |
| `headroom` | what a vendor's answers teach about a limit |
| `ramp`, `send_rate` | how fast traffic may grow, and how fast to send where no limit is told |
| `trials` | when a limit that lasts the day is tried all the same |
| `concurrency` | how many calls may be open at once |
| `throttle` | which share of calls to withhold from a deployment that refuses them |
| `fair_queue` | who of those that wait is served next (`lines`: a tenant's line of them) |
| `budget` | whether a retry may be spent |
| `hedge` | when a hedge is sent, and whether it may be |
| `backoff` | how long to wait before a retry |
| `pace` | which answers are slow |
| `network` | whether it is our own network that is down |
| `tokens` | how many tokens a request will really take |
| `overload` | which classes of requests are served while the process is short of time or memory |
| `restarts` | whether and when a crashed child starts again |
| `window`, `ewma`, `quantiles`, `recent` | what was seen lately: counts, averages, latency distributions |
"""
