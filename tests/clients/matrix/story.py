"""What all clients ask."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["ENDLESS", "HELLO", "LOOK", "PIXEL", "REFUSE", "RESULT", "SCHEMA", "WEATHER", "WHEN", "City"]

HELLO = "Hello there, dear vendor"
WHEN = "What will the weather be?"
LOOK = "What is it?"
ENDLESS = "Please go on and on"
REFUSE = "Please fail 400 now"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where."},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
}
WEATHER: dict[str, Any] = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
RESULT = "sunny, 21 degrees"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class City(BaseModel):
    """A structured answer."""

    name: str
    inhabitants: int
