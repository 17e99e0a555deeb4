"""Passing on: a request of a vendor's own interface goes to that vendor as it came, and its answer comes back as it was.

What the dispatcher has no words for (files, fine-tuning, batches, a new endpoint) can so be had through it, under the
vendor's limits, behind its circuit, with its key and in the books.

- `passage`: such a request; `paths` and `headers`: what of it may go to the vendor, and what may come back. Pure;
- `knowledge`: what of a vendor's interface its dialects know, so that tokens can be counted and priced;
- `reading`: a decoder that hands the bytes on and reads the usage beside;
- `transit`: one attempt (`attempt`), of which the differences are here; `stream`: the answer, piece by piece.

`operations.passing` is what the rest of the house sees of it, `gateway.passthrough` the endpoint.
"""
