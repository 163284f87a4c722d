"""The environment that Warren's processes run in."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.servers.plain_path import plain_path
from local.settings import Settings

# Taken over from the terminal: variables that programs need, or a person may set.
INHERITED = ("HOME", "LANG", "TZ", "TMPDIR", "USER")
# Variables of the servers. Processes get passwords only within the servers' addresses.
KEPT_BACK = ("RABBITMQ_", "POSTGRES_", "FLOWER_USER", "FLOWER_PASSWORD")


def process_environment(settings: Settings, terminal: Mapping[str, str]) -> dict[str, str]:
    """Compose the environment. `terminal` is the one in which the command was called."""
    user, password = settings.variables["FLOWER_USER"], settings.variables["FLOWER_PASSWORD"]
    return {
        **{name: terminal[name] for name in INHERITED if name in terminal},
        "SMTP_URL": f"smtp://127.0.0.1:{settings.ports['SMTP_PORT']}",
        "PUBLIC_URL": settings.web_url,
        "LOG_FORMAT": "console",
        **{
            name: value
            for name, value in settings.variables.items()
            if not name.startswith(KEPT_BACK)
        },
        **{name: str(port) for name, port in settings.ports.items()},
        "ALLOWED_HOSTS": _with(settings.variables["ALLOWED_HOSTS"], settings.web_host),
        # First, so that the Procfile's `python`, `celery` and `gunicorn` are the locked versions.
        "PATH": f"{plain_path(Path(sys.executable).parent)}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "BROKER_URL": settings.broker.url(),
        "RABBITMQ_MANAGEMENT_URL": settings.broker.management_url,
        "DATABASE_URL": settings.database.url("warren"),
        "LEDGER_URL": settings.database.url("mailer"),
        "FLOWER_BASIC_AUTH": f"{user}:{password}",
    }


def _with(hosts: str, host: str) -> str:
    """Add the one that `make` asks for, so that web answers it."""
    return ",".join(dict.fromkeys([*filter(None, hosts.split(",")), host]))
