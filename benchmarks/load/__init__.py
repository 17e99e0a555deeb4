"""The load-testing harness: `llm-dispatcher bench`.

It sends requests to the dispatcher in this process, to a running daemon or to anything that speaks OpenAI's chat
completions, and tells what callers met. A tour, in the order in which a run uses the parts:

- `plan` says what is to be run; `arrivals`, `traces` and `sizes` when requests come and how long they are, `jobs`
  puts them together. All pure, and the same for the same seed;
- `setup` starts what is needed: vendors (`scripted`, processes of their own; or simulated ones, `house`), and a target (`targets`);
- `loop` sends, open or closed; each request has a `watch`, whose times count from when it was *to be* sent;
- `recorder` adds up (`histogram`, `timeline`), in memory that does not grow; `progress` shows it live;
- `report` is the result as data, with `objectives` judged and the generator's own `effort`; `terminal` and `page` show it.

`run` puts a run together; `runtime.cli.bench` is the command.
"""
