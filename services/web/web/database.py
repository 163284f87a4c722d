"""From the database's URL to Django's settings."""

from typing import Any
from urllib.parse import unquote, urlsplit

from web.postgresql.connection import PatientConnection


def connection_settings(url: str, pool_size: int, statement_timeout: float) -> dict[str, Any]:
    """Turn a ``postgresql://`` URL into an entry of DATABASES with a pool of connections.

    A thread gives its connection back after each request, and while it waits for a job.
    ``web.postgresql`` says what happens while the database is away.

    Args:
        url: with user, password and database.
        pool_size: connections of one process.
        statement_timeout: seconds after which the server gives up on a statement.

    Source: https://www.psycopg.org/psycopg3/docs/api/pool.html
    """
    parts = urlsplit(url)
    limits = f"-c statement_timeout={round(statement_timeout * 1000)} -c lock_timeout=5s"
    return {
        "ENGINE": "web.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,  # web.postgresql.base checks, with a time limit
        "OPTIONS": {
            "pool": {
                "connection_class": PatientConnection,
                "min_size": 1,
                "max_size": pool_size,
                "timeout": 0.25,  # of one attempt: web.postgresql.base makes many
                # The pauses between the pool's attempts grow. With its default of five minutes they
                # would become as long as the outage.
                "reconnect_timeout": 1,
                "max_idle": 60,  # connections that an outage or a rush has added are closed
            },
            "connect_timeout": 3,
            # A server that vanished without a word is noticed, even if this end only listens.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            "options": limits,
        },
    }
