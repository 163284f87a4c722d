"""Which Python values fit into JSON as PostgreSQL keeps it.

JSON has no NaN and no infinity (RFC 8259, section 6). Its integers have any size, and stay exact
on their way through msgspec and PostgreSQL; Python itself refuses to print more than 4300 digits.
"""

import math
from collections.abc import Iterator
from typing import Any

MAX_DIGITS = 1000
TOO_LARGE = 10**MAX_DIGITS
EXACT_FLOAT = 2**53  # up to here, a float with no fraction is exactly one integer


def flaws(value: Any, path: str = "$") -> Iterator[str]:
    """Say why parts of ``value``, made of JSON types, cannot be sent, with the path of each."""
    match value:
        case float() if not math.isfinite(value):
            yield f"{value} is not a finite number - at `{path}`"
        case int() if abs(value) >= TOO_LARGE:
            yield f"Integer of more than {MAX_DIGITS} digits - at `{path}`"
        case str() if "\0" in value or (not value.isprintable() and _has_surrogate(value)):
            yield f"Text with a null character or half of a surrogate pair - at `{path}`"
        case list() | tuple():
            for index, item in enumerate(value):
                yield from flaws(item, f"{path}[{index}]")
        case dict():
            for name, item in value.items():
                yield from flaws(name, path)
                yield from flaws(item, f"{path}.{name}")


def whole_numbers(value: Any) -> Any:
    """Turn 4.0 into 4: both are integers for JSON Schema, but only one is an int in Python."""
    match value:
        case float() if value.is_integer() and abs(value) <= EXACT_FLOAT:
            return int(value)
        case list():
            return [whole_numbers(item) for item in value]
        case dict():
            return {name: whole_numbers(item) for name, item in value.items()}
    return value


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
