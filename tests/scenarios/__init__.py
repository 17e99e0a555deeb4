"""The table of faults that the dispatcher is made for: what is to be expected of each, and what is measured.

Each row of `table.ROWS` is a fault, what is expected under it, and a scenario: a function that builds a whole house over
scripted vendors, lets the fault happen under load, and returns its figures, each with its bound. The same scenario is a
test (`test_table`) and a line of what `make scenarios` prints.

A tour: `measure` has figures and how a scenario is run; `world` the house, its vendors and the callers, nearly always in
virtual time and over streams in memory, and `front` the daemon's door to it; the scenarios are in `outages`, `limits`,
`answers`, `streams`, `clients`, `crashes`, `clocks` and `crowds`, by what goes wrong, and `probes` has those for what no
single request can show.
"""
