"""PostgreSQL's address, as Django wants it."""

from typing import Any
from urllib.parse import unquote, urlsplit


def connection_settings(url: str, pool_size: int) -> dict[str, Any]:
    """Turn a ``postgresql://`` URL into an entry of DATABASES with a pool of connections.

    A thread gives its connection back after each request, so that requests which wait for a job
    hold none. Statements give up after half a minute rather than block a worker for good.
    """
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": pool_size, "timeout": 10},
            "connect_timeout": 5,
            "options": "-c statement_timeout=30s -c lock_timeout=10s",
        },
    }
