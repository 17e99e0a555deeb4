"""How a vendor is told who asks, where a key in a header is not enough: signatures, and tokens that expire.

Both need the wall clock, so they are put on at the way out and not by dialects, which have none. A dialect whose door wants
it says so (`Dialect.credentials`); there is one `Credentials` for each account, shared by its models. `sigv4` signs for
Amazon (`aws` reads its keys), `google` keeps an access token fresh, and `signing` is the transport that puts on what they say.
"""

from __future__ import annotations
