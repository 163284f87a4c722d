"""AMQP's tables as JSON that PostgreSQL takes. Any program may have made them, of anything.

JSON has no infinities, and only texts as keys; for text see ``runtime.text``.
"""

import math
from typing import Any

from runtime.text import storable_text

DEEPEST = 20  # levels of tables in tables


def storable_json(value: Any, levels: int = DEEPEST) -> Any:
    """Return a value as JSON that PostgreSQL takes; a table below ``levels`` becomes ``…``."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (dict, list)) and levels > 0:
        if isinstance(value, list):
            return [storable_json(entry, levels - 1) for entry in value]
        return {storable_text(k): storable_json(entry, levels - 1) for k, entry in value.items()}
    return storable_text(value)
