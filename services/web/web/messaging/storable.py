"""What came over the wire as what PostgreSQL can hold: anybody may have made it, and of anything.

PostgreSQL's text and jsonb take neither NUL nor half of a surrogate pair, JSON neither infinities
nor keys that are no text; AMQP's tables take all of them. What has to change stays readable.
"""

import math
from typing import Any

DEEPEST = 20  # levels of tables in tables


def storable_text(value: object, longest: int | None = None) -> str:
    """Return text that PostgreSQL takes; ``longest`` is in characters."""
    if isinstance(value, (dict, list)):
        return "…"
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    clean = text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
    return clean[:longest]


def storable_json(value: Any, levels: int = DEEPEST) -> Any:
    """Return a value of JSON that PostgreSQL takes; what lies too deep is left out."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (dict, list)) and levels > 0:
        if isinstance(value, list):
            return [storable_json(entry, levels - 1) for entry in value]
        return {storable_text(k): storable_json(entry, levels - 1) for k, entry in value.items()}
    return storable_text(value)
