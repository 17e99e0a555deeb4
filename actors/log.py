"""Loggers that import structlog when they first say something.

It pulls in asyncio, and rich where that is installed: more than all the rest of the dispatcher's import takes, for a library
that may never write a line.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Log"]


class Log:
    """`structlog.get_logger(name)`, later: `Log("llm_dispatcher.thing").warning("it broke", thing=1)`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, level: str) -> Any:
        import structlog

        return getattr(structlog.get_logger(self._name), level)
