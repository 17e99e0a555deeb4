"""`generate_content`: Google's own format, as spoken by the Gemini API and by Vertex AI.

- `wire`: the JSON of an answer as types, and what its words and counters mean in the canon;
- `request`: canonical request -> body; `contents` (with `media_parts`) and `config` are its two halves;
- `reading`: body -> canonical request, `turns` its messages, `schema` its schemas; `names`: both spellings;
- `reply`: a buffered answer, in and out; `stream`: a streamed one (`elements` splits its JSON array form), and `writer` the
  way back; `telling`: the words that clients are told in;
- `faults`: what a refusal means, and how we say one ourselves.
"""

from __future__ import annotations

from .faults import read_fault
from .reading import read
from .reply import read_completion
from .request import write
from .stream import StreamDecoder
from .wire import FORMAT

__all__ = ["FORMAT", "StreamDecoder", "read", "read_completion", "read_fault", "write"]
