"""Any value as a text that can be stored and shown."""

from contracts.errors import WarrenError


def storable_text(value: object, longest: int | None = None) -> str:
    """Return text that PostgreSQL takes: without NUL, and without half of a surrogate pair.

    These become readable escapes. A text of more than ``longest`` characters is cut and ends with
    ``…``. A dict or list becomes ``…``.
    """
    if isinstance(value, (dict, list)):
        return "…"
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    clean = text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
    return clean if longest is None or len(clean) <= longest else f"{clean[: longest - 1]}…"


def describe(error: BaseException) -> str:
    """Describe an error. Only Warren's own errors are quoted: other texts may hold a secret."""
    if isinstance(error, WarrenError):
        return str(error)
    return " from ".join(type(cause).__name__ for cause in (error, error.__cause__) if cause)
