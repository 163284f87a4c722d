"""How gunicorn serves web. It finds this file by itself when it is started in this folder.

Values that differ between installations come from the environment, like Django's settings. A wrong
value ends the process with 78 (EX_CONFIG) before any worker starts, so none is respawned in vain.
Source: https://gunicorn.org/reference/settings/
"""

import ctypes
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn import glogging

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")

import django
from django.conf import settings

from contracts.errors import SettingsError
from runtime import settings as common
from runtime.environment import Environment


class StructuredLogger(glogging.Logger):
    """Leave format and destination to the settings' logging."""

    def setup(self, cfg: Any) -> None:
        """Drop gunicorn's own handlers."""
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True


# Each thread hashes passwords in a heap of its own, which would keep the 19 MiB that a hash takes.
# Blocks larger than this many bytes come from the system instead, and go back to it (mallopt(3)).
LARGE = 1024 * 1024
M_MMAP_THRESHOLD = -3


def _give_large_blocks_back() -> None:
    with suppress(AttributeError):  # a C library that is not glibc
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


env = Environment()


def _read_environment() -> dict[str, Any]:
    host = env.text(
        "WEB_HOST",
        example="0.0.0.0",  # noqa: S104
        default="127.0.0.1",
        meaning="where web listens",
    )
    port = env.integer("WEB_PORT", default=8000, minimum=1, meaning="the port there")
    threads = env.integer(
        "WEB_THREADS",
        default=settings.JOB_WAITERS + 8,
        minimum=1,
        meaning="threads of each process, more than `JOB_WAITERS`",
        default_means="`JOB_WAITERS` + 8",
    )
    read = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": env.integer("WEB_WORKERS", default=2, minimum=1, meaning="processes"),
        "threads": threads,
        "graceful_timeout": int(common.shutdown_timeout(env)),
    }
    for key in ("DJANGO_SECRET_KEY", "JWT_SIGNING_KEY"):
        env.secret(key, example="50 or more random characters")
    env.check()
    if threads <= settings.JOB_WAITERS:
        raise SettingsError(
            f"WEB_THREADS={threads} must be greater than JOB_WAITERS="
            f"{settings.JOB_WAITERS}: requests that wait for their job would leave no thread "
            f"for others. Example: WEB_THREADS={settings.JOB_WAITERS + 8}"
        )
    return read


try:
    _environment = _read_environment()
except SettingsError as error:
    sys.stderr.write(f"web cannot start: {error}\n")
    sys.exit(os.EX_CONFIG)

_give_large_blocks_back()
django.setup()  # gunicorn_worker.py uses Django for its own answers
wsgi_app = "web.wsgi:application"
bind = _environment["bind"]
workers = _environment["workers"]
threads = _environment["threads"]
graceful_timeout = _environment["graceful_timeout"]  # seconds for running requests at the end
worker_class = "web.problems.gunicorn_worker.Worker"
preload_app = True  # workers share the memory of imports; a broken import shows at once
timeout = 60  # seconds after which a worker whose main loop hangs is replaced
keepalive = 75  # seconds; longer than the reverse proxy's, so that the proxy closes first
max_requests, max_requests_jitter = 20_000, 2_000  # then a new worker: a leak stays small
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- no disk stalls it
control_socket_disable = True
accesslog = None  # RequestIdMiddleware logs each request
logger_class = StructuredLogger


def when_ready(_: object) -> None:
    """Before the workers are forked, keep the garbage collector from writing to what they share."""
    gc.collect()
    gc.freeze()
