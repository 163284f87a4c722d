"""PostgreSQL's address, as Django wants it."""

from typing import Any
from urllib.parse import unquote, urlsplit


def connection_settings(url: str, pool_size: int) -> dict[str, Any]:
    """Turn a ``postgresql://`` URL into an entry of DATABASES with a pool of connections.

    A thread gives its connection back after each request, so that requests which wait for a job
    hold none. Statements give up after half a minute rather than block a worker for good.

    While the database is away, requests wait for it ``timeout`` seconds. Each attempt to connect
    is given up after ``reconnect_timeout``: otherwise its growing pauses would go on after the
    database is back, for about as long as it was away.
    Source: https://www.psycopg.org/psycopg3/docs/api/pool.html
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
        "CONN_HEALTH_CHECKS": True,  # the pool hands out no connection that a restart has cut
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": pool_size, "timeout": 3, "reconnect_timeout": 5},
            "connect_timeout": 5,
            "options": "-c statement_timeout=30s -c lock_timeout=10s",
        },
    }
