"""A whole answer in the responses format, in and out."""

from __future__ import annotations

from typing import Any

import msgspec

from .....actors.faults import FaultClass
from ....assembly import Assembler
from ....canon import Choice, Completion, Event, Fault, Opened
from ...base import VendorFault
from . import FORMAT
from .envelope import Asked, ending, envelope, with_further
from .faults import in_stream
from .output import Output
from .telling import items_of

__all__ = ["checked", "read", "write"]


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(f"the answer is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _malformed("the answer is not a JSON object")
    return from_object(raw)


def from_object(raw: dict[str, Any]) -> Completion:
    """As `read`, for a body that has been parsed."""
    checked(raw)
    created = raw.get("created_at")
    events: list[Event] = [
        Opened(
            str(raw.get("id") or ""),
            str(raw.get("model") or ""),
            int(created) if isinstance(created, int | float) else 0,
        )
    ]
    Output().end(raw, events)
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.completion(FORMAT)


def checked(raw: dict[str, Any]) -> None:
    """Raises `VendorFault` for an error, and for an answer that is not whole: one that failed, or is still in the making."""
    status = raw.get("status")
    if raw.get("error") or status == "failed":
        raise VendorFault(in_stream(raw.get("error") or {}))
    if not isinstance(raw.get("output"), list):
        raise _malformed("the answer has no output")
    if status in ("queued", "in_progress", "cancelled"):
        raise _malformed(f"the answer is not whole: its status is {status!r}")


def _malformed(message: str) -> VendorFault:
    return VendorFault(Fault(kind=FaultClass.MALFORMED, message=message))


# --- out ----------------------------------------------------------------------------------------


def write(completion: Completion, asked: Asked, *, id: str, model: str, created: int) -> dict[str, Any]:
    """A `response` object for a client, whatever format the completion came in.

    `id`, `model` and `created` are for completions that do not say; ids of other formats are not told. Of several
    answers the first is told. Log probabilities of other formats are not told.
    """
    own = completion.format == FORMAT
    choice = completion.choices[0] if completion.choices else Choice()
    status, details = ending(choice.finish, choice.vendor_finish, own=own)
    named = completion.id if own and completion.id else id
    further = (completion.extra or {}).get(FORMAT, {}) if own else {}
    response = envelope(
        asked,
        id=named,
        model=completion.model or model,
        created=completion.created or created,
        status=status,
        details=details,
        output=items_of(choice.parts, id=named, status=status),
        usage=completion.usage,
    )
    return with_further(response, further)
