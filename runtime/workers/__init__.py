"""Several worker processes under one parent, which serve one address within one set of limits.

- `count`: how many there are; `sockets`: where they listen.
- `parent` keeps them alive and passes signals on; `keeper` is its side of what it says with them: the shared limits
  (`actors.machines.quota`), what one worker has to ask of the others, what outlives a worker.
- `child` is what a worker process runs: the daemon (`runtime.daemon`), with a `link` to the parent.
- `protocol` is what the two say, `channel` how it gets across; `view` makes one view of what many workers say of themselves.

A worker decides by what it holds, and never waits for the parent on a request's way unless it lacks something of a shared limit.
When the parent is gone, workers drain and end.

**What is shared**: rates, tokens, dollars and places (`concurrent`), configured or heard of from the vendor; cooldowns, quarantines and
the rests of days, told within milliseconds; operators' orders; the statistics. **What each worker has of its own**: circuits,
the limits that are felt for without numbers (adaptive concurrency, the send rate towards a vendor that names no limits,
the caps on growth), rankings, lines of those who wait, the verdict on the machine's network. The budgets of retries and hedges
are divided by the number of workers.

**What goes wrong.**

- *A worker dies* (`kill -9` too): its connections break, those not accepted yet wait for its next life (`sockets`). What it held of limits
  counts as spent and comes back by time; its places come back after `TERM` seconds; its statistics of the last second are lost.
- *A worker hangs*: after `TERM` seconds what it held counts as spent, but for its places, since its calls may go on. The
  statistics say that it is missing. It is not killed: whoever watches `/ready` must.
- *The parent hangs*: workers spend what they hold for `TERM` seconds, and after that an equal share of each rate; of places they keep
  those they have. What they spent is charged when it wakes. Cooldowns, orders and the statistics are not shared meanwhile.
- *The parent dies*: workers drain as after Ctrl-C, and end. Whoever started it starts it again.
"""
