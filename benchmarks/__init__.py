"""Benchmarks: commands that measure, never tests that time. Each prints what it measured and how.

`vendor` is the scripted vendor that they, the tests and `llm-dispatcher simulate-vendor` share: it fails on purpose and keeps
its own books.

`load` is the load-testing harness (`llm-dispatcher bench`); `peers` puts other gateways under the same load.

`python -m llm_dispatcher.benchmarks.hotpath` (or `make bench`): CPU time per request of the library and of the daemon.
`python -m llm_dispatcher.benchmarks.pieces`: CPU time of single decisions, leases, letters and chunks.
"""
