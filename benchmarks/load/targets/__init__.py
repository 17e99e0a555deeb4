"""What is put under load: one file a kind, all with the contract of `base`."""

from .base import Target
from .dispatcher import in_process
from .http import Address, over_http

__all__ = ["Address", "Target", "in_process", "over_http"]
