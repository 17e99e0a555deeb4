"""Amazon Bedrock's Converse: one interface to the models of many makers.

```
base_url = "https://bedrock-runtime.us-east-1.amazonaws.com"
api_key = "${AWS_BEARER_TOKEN_BEDROCK}"                            # an API key of Bedrock, or
api_key = "${AWS_ACCESS_KEY_ID}:${AWS_SECRET_ACCESS_KEY}"          # an access key, which signs every request
```

A model is named by its id, by the id of an inference profile (`us.anthropic....`), or by an ARN. Options:

- `region`: which region a signature is for; by default the one in the address.
- `family`: whose model it is (`claude`, `nova`, `gpt-oss`, `other`), where its id does not show it, as in an ARN of a
  profile of your own; see `formats.converse.families`.
- `max_event_bytes`: the longest streamed event that is taken, 1 MiB by default.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from ..canon import Completion, Fault, Request
from ..credentials.aws import AwsSignature, access_key
from ..credentials.base import Credentials
from ..wire.eventstream import MAX_MESSAGE_BYTES
from .base import Answer, Built, Decoder, Dialect, Target
from .by_call import asked_by_call
from .door import Door, address_of
from .formats.converse import FORMAT, faults, reply, request, stream
from .formats.converse.families import Family, family_of

__all__ = ["BASE_URL", "Bedrock"]

BASE_URL: Final = "https://bedrock-runtime.us-east-1.amazonaws.com"
_SERVICE: Final = "bedrock"
_REGION: Final = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    region: str | None = None
    family: Family | None = None
    max_event_bytes: int = MAX_MESSAGE_BYTES


class Bedrock(Dialect):
    """`POST {base_url}/model/{model}/converse`, or `.../converse-stream`."""

    name: ClassVar[str] = "bedrock"
    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"system message later on"})

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = _options(target)
        self._family = self._options.family or family_of(target.model)
        self._key = access_key(target.key) if target.key else None
        self._region = self._options.region or _region(target.base_url)
        if self._key is not None and self._region is None:
            raise ValueError(f"no region can be seen in {target.base_url!r}; add the option region")
        headers = {"authorization": f"Bearer {target.key}"} if target.key and self._key is None else {}
        base = f"{address_of(target, BASE_URL)}/model/{quote(target.model, safe='')}"
        self._door = Door(httpx.URL(f"{base}/converse"), headers, target)
        streaming = {**headers, "accept": "application/vnd.amazon.eventstream"}
        self._stream_door = Door(httpx.URL(f"{base}/converse-stream"), streaming, target)

    def credentials(self) -> Credentials | None:
        """See `Dialect.credentials`."""
        if self._key is None or self._region is None:
            return None
        return AwsSignature(self._key, region=self._region, service=_SERVICE)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        asked = None
        if wanted.output is not None and wanted.output.schema is None:
            asked = asked_by_call(wanted)
        body, dropped = request.write(
            wanted if asked is None else asked,
            self.target.model,
            self._family,
            lenient=self.target.lenient,
        )
        door = self._stream_door if stream else self._door
        return Built(door.request(body, stream=stream), dropped, asked is not None)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._options.max_event_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)


def _region(base_url: str) -> str | None:
    found = _REGION.search(base_url)
    return found[1] if found else None


def _options(target: Target) -> _Options:
    try:
        options = msgspec.convert(dict(target.options), _Options)
    except msgspec.ValidationError as error:
        known = ", ".join(_Options.__struct_fields__)
        raise ValueError(f"options of the dialect 'bedrock': {error}; known are {known}") from None
    if options.max_event_bytes < 1:
        raise ValueError("options of the dialect 'bedrock': max_event_bytes must be at least 1")
    return options
