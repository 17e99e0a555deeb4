"""The control plane: actors that decide, and never wait, read a clock, or touch a socket.

A tour for newcomers.

**Words.** A *message* is frozen data (`messages`). A *letter* is a message on its way, an *ask* if it is
answered and a *tell* if not (`mailbox`). An *actor* handles one letter at a time with a plain function. A
*life* is an actor from its start to its crash; the `supervisor` begins the next one. A *vault* is what
outlives a life. A *lease* is a vendor's permission for one attempt; its *permit* comes back with `Settle`.

**Who sends what to whom.** ::

    caller --Route--> Router --Reserve--> Vendor --Lease--> caller
                        ^                   |
                        +------Declined-----+        (the router tries the next candidate)

    caller --FirstContent, Settle--> Vendor --Loads, Room, Contact--> Router
    caller --Outcome--> Stats --Rankings--> Router

Letters are forwarded and never awaited: the vendor that can serve a request answers its caller directly.
So no actor waits for another, none can be stalled by a slow peer, and there is nothing to deadlock. The
exchange with the vendor's servers happens in the caller's own task (`runtime.attempt`): cancelling the
caller closes the socket, and a crash in here breaks no stream that is under way.

A request that no deployment can take yet waits as a letter that the router keeps (`waiting`), until its turn has come.

**Rooms.** `machines` are pure state machines (bucket, breaker, restarts, ...), `policies` pure orderings of
candidates, `faults` the table of what follows from which failure. `router`, `vendor` and `stats` are the actors, and
beside each stands what it is made of:

- the router's: `routing` (its table), `waiting` (those who wait in line);
- a vendor's: `granting` and `settling` (the two ends of a lease), `gauge` (everything that limits one account or
  deployment), `limits` (how vendors count), `vault` (what outlives a crash, and its audit);
- where several processes serve together: `quota` (what this one holds of the limits that they share, and what it lacks);
- the statistics': `tallies` (since the start) and `forms` (lately).

Nothing in here imports `llm_dispatcher.runtime`.
"""
