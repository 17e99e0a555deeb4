"""How secrets are shown: as little of them as lets their owner recognise them, or nothing."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_secret", "masked", "without_userinfo"]

_LONG: Final = 16
"""From here on, five characters of a secret help its owner and nobody else."""

_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|password|cookie|credential|signature", re.IGNORECASE)


def masked(secret: str) -> str:
    """The first three and the last two characters of a long secret; nothing of a short one."""
    return f"{secret[:3]}…{secret[-2:]}" if len(secret) >= _LONG else "…"


def is_secret(name: str) -> bool:
    """Whether a header or option of that name is likely to hold a secret. Rather once too often."""
    return _SECRET_NAME.search(name) is not None


def without_userinfo(url: str) -> str:
    """A URL with the user and password in it hidden."""
    before, at, host = url.rpartition("@")
    if not at:
        return url
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}…@{host}" if separator else f"…@{host}"
