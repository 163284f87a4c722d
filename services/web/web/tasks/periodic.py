"""Periodic tasks: each due time is put into the outbox exactly once, however many processes look.

There is no beat. Missed due times are caught up by one run, but not those of a paused task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models.functions import Now

from web.messaging.processes.lifecycle import StopSignal
from web.postgresql import clock
from web.postgresql.pool import give_back
from web.tasks.cron import Cron
from web.tasks.models import PeriodicTask

log = structlog.get_logger("web.periodic")
T = TypeVar("T")
LOOK_EVERY = 15.0  # seconds, so that a jump of the clock is noticed soon
NOW = 0.05  # seconds into a minute at which to look: it has surely begun then


@dataclass(frozen=True)
class Entry:
    """A declared periodic task, with its schedule and arguments."""

    task: Any
    cron: Cron
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    given_name: str

    @property
    def name(self) -> str:
        """The name by which people and rows know it."""
        return self.given_name or str(self.task.name)


_entries: list[Entry] = []


def periodic(
    schedule: str,
    *,
    zone: str = "UTC",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str = "",
) -> Callable[[T], T]:
    """Run a task again and again: ``@periodic("*/5 * * * *")`` above ``@shared_task``.

    Args:
        schedule: five fields, as in crontab(5): minute, hour, day, month, day of the week.
        zone: whose clock counts, such as Europe/Berlin.
        args: arguments of the task.
        kwargs: keyword arguments of the task.
        name: the name for people; that of the task if not given.

    Raises ValueError for a schedule that cannot be read.
    """
    cron = Cron(schedule, zone)

    def declare(task: T) -> T:
        _entries.append(Entry(task, cron, tuple(args), dict(kwargs or {}), name))
        return task

    return declare


def entries() -> dict[str, Entry]:
    """Return all that is declared, by name. Raises ImproperlyConfigured for a name given twice."""
    found: dict[str, Entry] = {}
    for entry in _entries:
        if entry.name in found:
            raise ImproperlyConfigured(f"two periodic tasks are called {entry.name}: give a name=")
        found[entry.name] = entry
    return found


def look() -> list[str]:
    """Put the tasks that are due into the outbox; return their names. Holds no lock for long."""
    declared, now = entries(), clock.now()
    known = {row.name: row for row in PeriodicTask.objects.filter(pk__in=declared)}
    # A task seen for the first time begins now: a deployment catches nothing up.
    PeriodicTask.objects.bulk_create(
        [PeriodicTask(name=name, last_due=now) for name in declared if name not in known],
        ignore_conflicts=True,
    )
    done = []
    for name, row in known.items():
        due = None if row.paused else declared[name].cron.latest(row.last_due, now)
        if due and _take(declared[name], due):
            log.info("periodic task is due", name=name, due=due.isoformat())
            done.append(name)
    return done


def watch(stop: StopSignal) -> None:
    """Look again and again until told to stop. Raises one of DATABASE_ERRORS."""
    while not stop:
        look()
        second = clock.now()
        give_back()
        left = 60 - second.second - second.microsecond / 1e6 + NOW
        stop.wait(min(LOOK_EVERY, left))


def run_now(name: str) -> str:
    """Run it once, independently of its schedule; return the task's id. Raises KeyError."""
    return _send(entries()[name], str(uuid4()))


def pause(name: str) -> None:
    """Skip its due times from now on. Raises KeyError."""
    _set_paused(name, paused=True)


def resume(name: str) -> None:
    """Let its due times count again, from now on. Raises KeyError."""
    _set_paused(name, paused=False)


@transaction.atomic
def _take(entry: Entry, due: Any) -> bool:
    """Send it for a due time; False if another process has done so.

    Of two processes the second waits for the first one's row lock, and then finds nothing due.
    """
    task_id = str(uuid4())
    mine = PeriodicTask.objects.filter(pk=entry.name, last_due__lt=due, paused=False)
    if not mine.update(last_due=due, last_task=task_id):
        return False
    _send(entry, task_id)
    return True


def _send(entry: Entry, task_id: str) -> str:
    sent = entry.task.apply_async(tuple(entry.args), dict(entry.kwargs), task_id=task_id)
    return str(sent.id)


def _set_paused(name: str, *, paused: bool) -> None:
    entry = entries()[name]
    PeriodicTask.objects.update_or_create(
        pk=entry.name,
        defaults={"paused": paused, "last_due": Now()},
        create_defaults={"paused": paused, "last_due": Now()},
    )
