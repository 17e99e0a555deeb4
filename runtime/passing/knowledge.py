"""What of a vendor's interface its dialects know.

A dialect says where it sends a request, by a sample that it is asked to build. So any dialect will do, one of your own too,
and nothing has to be said twice. What goes to the same address is read as the dialect reads its own answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from ..canon import Message, Prompt, Request, Usage
from ..deployment import Deployment
from ..dialects import Built, Decoder, Dialect, Unsupported
from ..dialects.untrusted import MOST_OUTPUT, Unreadable, read_json
from ..estimate import BYTES_PER_TOKEN
from ..operations.base import Operation, Work
from ..operations.chat import Chat
from ..operations.embeddings import EmbeddingsOperation
from ..operations.texts import Texts
from ..vectors import Embed
from .passage import ANY, Known, Passage
from .paths import address, without_version

__all__ = ["Interface", "interface_of"]

_HELLO: Final = [Message("user", "x")]
_SAMPLES: Final[tuple[tuple[Operation[Any, Any], Work], ...]] = (
    (Chat(), Request(model="m", messages=_HELLO)),
    (Texts(), Request(model="m", messages=_HELLO, prompt=Prompt())),
    (EmbeddingsOperation(), Embed(model="m", inputs=["x"])),
)
_BOUNDS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_USUAL_OUTPUT: Final = 1024


class _Place(Struct, frozen=True):
    """Where one deployment is asked for one kind of work. `names_model`: in the body, so that others are asked there too."""

    path: bytes
    stream_path: bytes
    names_model: bool
    deployment: Deployment
    operation: Operation[Any, Any]
    sample: Any
    built: Built
    """The sample as it would be sent."""


class Interface(Struct, frozen=True):
    """One vendor's interface, as far as it is known; `base` is where it begins, `format` what most of it speaks."""

    vendor: str
    base: httpx.URL
    format: str
    places: Sequence[_Place]

    @property
    def whole(self) -> str:
        """The name by which a deployment is leased for what no model is known to do."""
        return f"{self.vendor}/{ANY}"

    def recognised(self, passage: Passage) -> Passage:
        """`passage` with what is known of it, and with the name by which a deployment for it is leased."""
        found = self._place(passage) if passage.method == "POST" else None
        if found is None:
            return passage
        place, known = found
        model = f"{self.vendor}/{place.deployment.model.name}" if known.priced else passage.model
        return msgspec.structs.replace(passage, model=model, known=known)

    def _place(self, passage: Passage) -> tuple[_Place, Known] | None:
        path = without_version(address(self.base, passage.path, b"").raw_path)
        here = [each for each in self.places if path in (each.path, each.stream_path)]
        if not here:
            return None
        try:
            body = read_json(passage.body)
        except Unreadable:
            return None
        fields = body if isinstance(body, dict) else {}
        named = fields.get("model")
        mine = [
            each for each in here if not each.names_model or named == each.deployment.dialect.target.model
        ]
        place = (mine or here)[0]
        streamed = (
            place.stream_path == path if place.stream_path != place.path else fields.get("stream") is True
        )
        window = place.deployment.model.window
        known = Known(
            decoder=partial(_decoder, place),
            usage=partial(_usage, place),
            # Images are sent as text many times as long as the tokens that they cost.
            input_tokens=min(int(len(passage.body) / BYTES_PER_TOKEN), window),
            output_tokens=_output(fields) if isinstance(place.sample, Request) else 0,
            streamed=streamed,
            priced=bool(mine),
        )
        return place, known


def _decoder(place: _Place) -> Decoder:
    return place.operation.decoder(place.deployment.dialect, place.built)


def _usage(place: _Place, body: bytes) -> Usage | None:
    answer = place.operation.read(place.deployment.dialect, body, place.sample, place.built)
    usage: Usage | None = answer.usage
    return usage


def _output(fields: dict[str, Any]) -> int:
    config = fields.get("generationConfig")
    bounds = [fields.get(name) for name in _BOUNDS]
    bounds.append(config.get("maxOutputTokens") if isinstance(config, dict) else None)
    return next((each for each in bounds if type(each) is int and 0 < each <= MOST_OUTPUT), _USUAL_OUTPUT)


def interface_of(vendor: str, deployments: Iterable[Deployment]) -> Interface:
    """What is known of the interface of `vendor`, by its deployments."""
    mine = [each for each in deployments if each.vendor == vendor]
    first = mine[0].dialect
    places = [place for each in mine if each.model.name != ANY for place in _places(each)]
    return Interface(vendor, httpx.URL(first.target.base_url), first.format, places)


def _places(deployment: Deployment) -> Iterator[_Place]:
    for operation, sample in _SAMPLES:
        if operation.name not in deployment.model.does:
            continue
        plain = _built(operation, deployment.dialect, sample, stream=False)
        if plain is not None:
            stream = _built(operation, deployment.dialect, sample, stream=True) or plain
            yield _Place(
                _path(plain.request),
                _path(stream.request),
                _names_model(plain.request),
                deployment,
                operation,
                sample,
                plain,
            )


def _built(operation: Operation[Any, Any], dialect: Dialect, sample: Work, *, stream: bool) -> Built | None:
    try:
        return operation.build(dialect, sample, stream=stream)
    except Unsupported:
        return None


def _path(request: httpx.Request) -> bytes:
    return without_version(request.url.raw_path.partition(b"?")[0])


def _names_model(request: httpx.Request) -> bool:
    body = read_json(request.read())
    return isinstance(body, dict) and "model" in body
