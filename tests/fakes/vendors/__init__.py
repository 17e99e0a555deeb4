"""Vendors that answer what they are asked, one for each dialect, on real sockets.

They stand behind the daemon where clients are tested: what a client gets back then depends on what has arrived at the vendor.
Whoever shows tools has the first one called, with arguments of its schema; a tool's result is quoted; a JSON schema is met;
images are counted; `fail 400` is refused with that status, in the vendor's own words.

- `asked` and `said` are a request and an answer without any format; `said` also decides what is answered;
- every other file but `server` is one wire format, read and written from the vendor's side. Independent of the product's,
  and held against the request types of the vendors' own SDKs where they are installed (`checked`);
- `server` listens, and keeps a complaint of every request that is not as the vendor's interface has it.
"""

from .server import FACES, Vendors, answering_vendors

__all__ = ["FACES", "Vendors", "answering_vendors"]
