"""The dispatcher beside other gateways: the same load, the same vendors, the same machine, one run. ::

    python -m llm_dispatcher.benchmarks.peers --cache ~/.cache/llm-dispatcher-peers

Each peer is a file that says how it is installed (into a folder of its own below `--cache`, never into the system), set
up and started: `direct` (no gateway at all: what the vendor and the load generator cost), `nginx` (a plain hop: the practical
limit), `ours`, `litellm`, `portkey`. What cannot be installed is left out, and the table says so. To add one, write such a
file and name it in `roster`.

`measure` is what is done to each, with the loop of `benchmarks.load` and scripted vendors; `table` prints
it. Linux only: what a peer's processes used is from /proc.
"""
