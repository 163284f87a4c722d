"""Tasks whose course a test decides."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import celery
from celery import current_task
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth import get_user_model
from django.db import connection, transaction

shared_task: Any = celery.shared_task  # the stubs do not know all that it takes


@shared_task
def add(x: Any, y: Any) -> Any:
    """Add."""
    return x + y


@shared_task(bind=True, max_retries=5)
def add_later(self: Any, x: int, y: int) -> int:
    """Add, but not in the first run, which asks for another out of a transaction."""
    with transaction.atomic():
        if self.request.retries == 0:
            raise self.retry(countdown=0.2)
    return x + y


@shared_task
def total(numbers: list[int]) -> int:
    """Add all."""
    return sum(numbers)


@shared_task
def email_of(user_id: str) -> str:
    """Read what the sender has written."""
    return str(get_user_model().objects.get(pk=user_id))


def register_and_greet(email: str) -> str:
    """Send a task with the id of a user whom nobody else can see yet."""
    with transaction.atomic():
        user = get_user_model().objects.create(email=email)
        task_id: str = email_of.delay(str(user.pk)).id
        time.sleep(0.5)  # a worker that were told now would not find the user
    return task_id


@shared_task
def hold(gate: str) -> str:
    """Run from the moment that a file ``started`` appears in a folder until ``release`` does."""
    _note(Path(gate, "started"))
    while not Path(gate, "release").exists():
        time.sleep(0.02)
    return "released"


@shared_task(bind=True, max_retries=5)
def crash_and_retry(self: Any, retries: int) -> list[int]:
    """Kill the process that runs it, the first time; then ask so often for another run."""
    if self.request.retries == 0 and not self.request.get("x-delivery-count"):
        os.kill(os.getpid(), signal.SIGKILL)
    with transaction.atomic():
        if self.request.retries < retries:
            raise self.retry(countdown=0.1)
    return [self.request.retries]


@shared_task
def crash(gate: str) -> None:
    """Kill the process that runs it, unless a file ``mended`` is in the folder."""
    _note(Path(gate, "started"))
    if not Path(gate, "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task
def fail(gate: str) -> str:
    """Fail in a way that nobody has foreseen, unless a file ``mended`` is in the folder."""
    if not Path(gate, "mended").exists():
        raise RuntimeError("the shelf is empty")
    return "mended"


@shared_task(throws=(LookupError,))
def miss() -> None:
    """Fail in a way that has been foreseen."""
    raise LookupError("nobody has it")


@shared_task
def die_before_saying_so(x: int) -> int:
    """Kill the process when all is done and what follows is sent, but the result is not: once."""
    task: Any = current_task
    task = task._get_current_object()
    if not task.request.get("x-delivery-count"):
        task.backend.mark_as_done = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    return x


@shared_task
def note(x: Any, file: str) -> Any:
    """Append a line to a file, and hand on what it is given."""
    _note(Path(file))
    return x


@shared_task
def who() -> list[int]:
    """Say which process this is, and which of PostgreSQL's it talks to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.2)")
        return [os.getpid(), cursor.fetchone()[0]]


@shared_task(soft_time_limit=1, time_limit=60)
def too_long() -> None:
    """Run for longer than its soft limit."""
    time.sleep(60)


@shared_task(time_limit=2)
def far_too_long() -> None:
    """Run for longer than its hard limit, whatever it is told before."""
    while True:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(60)


@shared_task(shown=("user",))
def tell(user: int, password: str) -> int:
    """Be given a secret."""
    return len(password) + user


def _note(file: Path) -> None:
    with file.open("a") as runs:
        runs.write(f"{os.getpid()}\n")
