"""Whatever bytes arrive, nothing crashes, nothing hangs, and memory stays bounded.

A tour:

- `seeds` holds what is fed at first: small bodies of every format, and recorded ones where the corpus is there.
- `mutate` spoils them: `generate` makes one case from seeds and a `Random`, by bytes and by structure.
- `targets` is the table of what is fuzzed. A target takes one case and raises if a promise is broken; new
  dialects, formats and client readers are found by themselves. One file each for `targets_wire`,
  `targets_dialects`, `targets_config`.
- `guard` measures without a stopwatch: a limit of CPU time that only a hang reaches, calls made, bytes held.
- `find` tries a case, makes a failing one small, and prints it as a test to paste.

`test_targets` runs every target for a moment; `test_bounds` and `test_patterns` feed what has no end and what makes
regular expressions backtrack. `python -m tests.fuzz.run` (or `make fuzz SECONDS=60`) is the long run.
"""
