"""What JSON, and PostgreSQL's jsonb, can hold of what Python can.

JSON has no NaN and no infinity (RFC 8259, section 6). Its integers have any size, and stay exact
on their way through msgspec and jsonb; Python itself refuses to print more than 4300 digits.
"""

import math
from collections.abc import Iterator
from typing import Any

MAX_DIGITS = 1000
TOO_LARGE = 10**MAX_DIGITS
EXACT_FLOAT = 2**53  # up to here, a float with no fraction is exactly one integer


def flaws(value: Any, path: str = "$") -> Iterator[str]:
    """Name each place in ``value``, made of JSON types, that cannot travel, and why."""
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
    """Turn 4.0 into 4: in JSON Schema both are the same integer, in Python only one is an int."""
    match value:
        case float() if value.is_integer() and abs(value) <= EXACT_FLOAT:
            return int(value)
        case list():
            return [whole_numbers(item) for item in value]
        case dict():
            return {name: whole_numbers(item) for name, item in value.items()}
    return value


def sendable_text(text: str, max_length: int = 1000) -> str:
    """Make any text fit to travel, at most ``max_length`` characters of it."""
    clean = text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    return clean if len(clean) <= max_length else clean[: max_length - 1] + "…"


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
