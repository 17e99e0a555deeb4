"""A vendor that lives in this process: for demonstrations, tests and load, without a network or a key.

It speaks OpenAI's chat-completions and embeddings formats at the same door as any other vendor (an httpx transport), so
that everything above it is the real thing:

- `body` reads a request; `speech` and `schema` make up what is answered; `answer` puts both together;
- `vectors` makes embeddings;
- `allowance` keeps the vendor's own rate limits; `weather` decides which requests go wrong, and how;
- `transport` plays the answer in time, in one piece or as a stream, and `render` writes it as JSON.

Everything but `transport` is pure, and draws from the random generator it is given.
"""

from .transport import SimulatedTransport

__all__ = ["SimulatedTransport"]
