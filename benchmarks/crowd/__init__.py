"""Very many streams at a chunk a second each: a vendor that sends them and callers who read them, for `benchmarks.streams`.

Both are plain loops over non-blocking sockets, without a task for each: they are to cost little beside the daemon between
them, on the same machine. `vendor` stamps each chunk with the time at which it was sent, `callers` say how long ago that was
(the clock is the same for all processes of a machine). `daemon` starts and watches what is measured.
"""
