"""The origins whose scripts may read the API, as the setting CORS_ALLOWED_ORIGINS lists them."""

from urllib.parse import urlsplit


def origins(text: str) -> list[str]:
    """Read origins that are separated by commas, or ``none``. Raises ValueError for other texts."""
    if text == "none":
        return []
    found = [part.strip() for part in text.split(",") if part.strip()]
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError(f"{origin!r} is no origin")
        if origin != f"{parts.scheme}://{parts.netloc}".lower():
            raise ValueError(
                f"{origin!r} must be a scheme and a host in lower case, without a path"
            )
    return found
