"""Every client on every vendor: the makers' own clients, unmodified, against the daemon, and behind it a vendor of each dialect.

A row is a client (`rows`), a column is a dialect of the vendors (`tests.fakes.vendors`), and a cell is everything the client can do
there (`checks`): what the client itself returns is looked at, its texts, calls, usage and reasons, and the class of its exceptions.
`absent` says what cannot be had, and why. `python -m tests.clients.matrix` prints the table.
"""
