"""Does the suite notice? Deliberate mistakes, applied one by one to a copy of the sources.

`table` lists the mistakes, `copy` makes the copy and applies one, `trial` runs tests against it, and
`python -m tests.mutations` goes through the table and says which test noticed.
"""
