"""The Converse format of Amazon Bedrock, as its models are asked: requests out, answers in.

- `request`: canonical request -> body; `turns` its messages, `thinking` how each family of models is told to think;
- `reply`: a buffered answer; `stream`: a streamed one, in Amazon's binary framing; `usage`: what both were billed;
- `faults`: what a refusal means, and an exception within an answer of status 200.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "converse"
"""The name under which parts, events and requests carry what only this format understands."""
