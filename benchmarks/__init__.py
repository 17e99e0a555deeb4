"""Benchmarks: commands that measure, never tests that time. Each prints what it measured and how.

`python -m llm_dispatcher.benchmarks.hotpath` (or `make bench`): CPU time per request of the library and of the daemon.
"""
