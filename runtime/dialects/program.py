"""A program on this machine, which is started for every request.

```
[[vendors]]
name = "home"
dialect = "program"
program = { command = ["./answer", "--model", "m.gguf"], at_once = 2 }
```

It finds the request on its standard input: one JSON object, shaped like the body of OpenAI's chat completions (`model`,
`messages`, `stream`, and whatever else the caller asked for). It answers on its standard output, line by line: see
`formats.program_lines.lines`. How it failed is told by its exit code: see `wire.program`. Options:

- `output`: `"json"` (the default) or `"text"`.
- `max_line_bytes`: the longest line that is taken, 1 MiB by default.
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpx
import msgspec
from msgspec import Struct

from ..assembly import Assembler
from ..canon import Completion, Failed, Fault, Request
from .base import Answer, Built, Decoder, Dialect, Target, VendorFault
from .door import Door
from .formats.chat_completions import request
from .formats.chat_completions.quirks import Quirks
from .formats.program_lines import FORMAT, lines
from .recognise import fault_of
from .spellings.compatible import COMPATIBLE

__all__ = ["Program"]

_ADDRESS: Final = "http://program.invalid/"
_QUIRKS: Final = Quirks(max_tokens_field="max_tokens", stream_usage=False, developer_role=False, top_k=True)


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    output: lines.Output = "json"
    max_line_bytes: int = lines.MAX_LINE_BYTES


class Program(Dialect):
    """See the module's docstring."""

    name: ClassVar[str] = "program"
    format: ClassVar[str] = FORMAT

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = _options(target)
        self._door = Door(httpx.URL(_ADDRESS), {}, target)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(
            wanted, self.target.model, _QUIRKS, stream=stream, lenient=self.target.lenient
        )
        return Built(self._door.request(body, stream=stream), dropped)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        decoder, assembler = self.decoder(), Assembler()
        for event in [*decoder.feed(body), *decoder.close()]:
            if isinstance(event, Failed):
                raise VendorFault(event.fault)
            assembler.add(event)
        return assembler.completion(FORMAT)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return lines.Reader(self._options.output, self._options.max_line_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return fault_of(answer, COMPATIBLE)


def _options(target: Target) -> _Options:
    try:
        options = msgspec.convert(dict(target.options), _Options)
    except msgspec.ValidationError as error:
        known = ", ".join(_Options.__struct_fields__)
        raise ValueError(f"options of the dialect 'program': {error}; known are {known}") from None
    if options.max_line_bytes < 1:
        raise ValueError("options of the dialect 'program': max_line_bytes must be at least 1")
    return options
