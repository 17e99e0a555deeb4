"""Google's embeddings for a dialect: the way of asking, its bounds, and the address that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ....vectors import Embed, Embeddings, Task
from ...base import BatchLimits, Built, EmbeddingsHalf, Target
from ...door import Door
from . import reply, request

__all__ = ["Embedder", "Options", "options_of"]

_METHODS: Final = {"batch": "batchEmbedContents", "single": "embedContent", "predict": "predict"}
_VERTEX: Final = "aiplatform.googleapis.com"


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `embeddings` among a dialect's options."""

    way: Literal["batch", "single", "predict"]
    most_inputs: int
    most_tokens: int | None = None
    task: Task | None = None
    """What the vectors are for where the caller does not say."""


def options_of(target: Target, host: str) -> Options:
    """The target's own over what is usual for its model at `host`. Raises `ValueError`."""
    own = target.options.get("embeddings", {})
    if not isinstance(own, Mapping):
        raise ValueError("option embeddings is no table; it has way, most_inputs, most_tokens and task")
    model = target.model.rpartition("/")[2]
    usual: dict[str, object] = {"way": "batch", "most_inputs": 100}
    if host.endswith(_VERTEX):
        if model.startswith("gemini-embedding-001"):
            usual = {"way": "predict", "most_inputs": 1}
        elif model.startswith("gemini-"):
            usual = {"way": "single", "most_inputs": 1}
        else:
            usual = {"way": "predict", "most_inputs": 250, "most_tokens": 20_000}
    if own.get("way") == "single":
        usual["most_inputs"] = 1
    try:
        options = msgspec.convert({**usual, **own}, Options)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise ValueError(f"option embeddings: {error}; it has {known}") from None
    if options.most_inputs < 1 or (options.way == "single" and options.most_inputs > 1):
        raise ValueError("option embeddings: most_inputs is at least 1, and not more in the way `single`")
    return options


class Embedder(EmbeddingsHalf):
    """One deployment's embeddings. `place` makes the door to a method of the model, such as `embedContent`."""

    def __init__(self, place: Callable[[str], Door], model: str, options: Options, target: Target) -> None:
        self.most = BatchLimits(options.most_inputs, options.most_tokens)
        self._door = place(_METHODS[options.way])
        self._model = model
        self._options = options
        self._lenient = target.lenient

    def build(self, wanted: Embed, /) -> Built:
        """See `EmbeddingsHalf.build`."""
        options = self._options
        body, dropped = request.write(wanted, self._model, options.way, options.task, lenient=self._lenient)
        return Built(self._door.request(body, stream=False), dropped)

    def embeddings(self, body: bytes, _wanted: Embed, /) -> Embeddings:
        """See `EmbeddingsHalf.embeddings`."""
        return reply.read(body)
