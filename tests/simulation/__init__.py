"""A deterministic simulation of the whole house, and the checker of its promises.

One seed is one world: clients that are slow, hurried or gone; vendors in several formats with limits of their own, which
fail in every way in which vendors fail; a network that cuts everything into pieces; actors that crash in the middle of a
line. The house between them is the real one, from the bytes of its server to the bytes of its transport. Only the clock,
the network and the vendors are simulated, in one trio run in virtual time. Afterwards the checker goes over everything
that happened::

    make simulate SEEDS=50          # seeds 1 to 50, of both modes
    make simulate SEED=1234         # one of them again
    make simulate SEED=1234 ARGS=-v # with its whole history

**How to read a violation.** ``I3 at 12.4011: request 13: v0's attempt 12 (error first, broken): settled as 0+0 ...``: the
third promise (see `checker`) was broken, 12.4 seconds after the world began, for request 13: the vendor v0 met it with the
fault that `faults` calls "error first", the vendor's books call the attempt broken, and what follows is what the two sides
say. ``-v`` prints what happened to that request, ``-vv`` to everybody. The same seed always tells the same story, so one can
add prints, or a debugger, and run it again.

**When a seed is red**, either the house is wrong (mend it, with a test of its own that names the behaviour), or the story
asks for what nobody promised, or the checker is (prove it in `test_checker`). In any case the seed joins `test_found`.

A tour: `story` draws everything that will happen, with the `faults` of vendors; `world` plays it, with `clients`, and with the
`watched` house; `history` is what comes out; `checker` judges it; `run` is the command.
"""
