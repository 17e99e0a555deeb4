"""Log lines for people on a terminal, or one JSON object a line for machines. Always to standard error."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

__all__ = ["configure"]


def configure(level: str, style: Literal["auto", "text", "json"], worker: int | None = None) -> None:
    """Set up logging for the whole process. `auto`: text on a terminal, else JSON. `worker`: its number, in every line."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text)
    shared: list[structlog.typing.Processor] = [structlog.processors.add_log_level, stamp]
    if worker is not None:
        shared.append(lambda _logger, _level, event: {**event, "worker": event.get("worker", worker)})
    tail: list[structlog.typing.Processor]
    if text:
        # Not structlog's own choice, which shows every local variable: there are keys and prompts among them.
        plain = structlog.dev.plain_traceback
        tail = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    else:
        tail = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
