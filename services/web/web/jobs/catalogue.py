"""The catalogue of computations, as the compute workers announce it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from contracts import events
from contracts.errors import MalformedMessageError
from web.jobs import schemas
from web.jobs.models import Computation
from web.messaging.inbox import announcements
from web.messaging.inbox.announcements import Announcement
from web.postgresql import clock
from web.recent import Recent

WITHDRAWN_AFTER = timedelta(minutes=20)  # four times the default COMPUTE_ANNOUNCE_INTERVAL
MOST_ERRORS = 20
LONGEST_MESSAGE = 300  # characters


def announce(catalogue: events.Catalogue) -> None:
    """Store the computations that a worker has announced.

    An announcement also withdraws computations that no worker has announced for a while. So old
    and new workers may run side by side. While all workers are away, everything can still be
    submitted. The time is that of the arrival, by the database's clock: clocks of workers and
    collectors may be wrong.
    """
    now = clock.now()
    rows = [_row(computation, now) for computation in catalogue.computations]
    Computation.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            field.name
            for field in Computation._meta.concrete_fields
            if not field.primary_key and field.name != "expected"
        ],
    )
    Computation.objects.filter(announced_at__lt=now - WITHDRAWN_AFTER).update(available=False)


def check(catalogue: events.Catalogue) -> None:
    """Raise MalformedMessageError for a schema that is not valid or refers to another document."""
    for computation in catalogue.computations:
        for schema in (computation.arguments, computation.result):
            try:
                schemas.check(schema)
            except schemas.INVALID as error:
                kind = type(error).__name__
                message = f"a schema of {computation.name[:100]!r} is not valid: {kind}"
                raise MalformedMessageError(message) from error


@dataclass(frozen=True)
class Entry:
    """A computation that can be submitted, and the validator of its arguments."""

    computation: Computation
    validator: Validator


_entries: Recent[str, Entry] = Recent()


def find(name: str) -> Entry | None:
    """Return a computation that is available; None if there is none of this name."""
    return find_all({name}).get(name)


def find_all(names: set[str]) -> dict[str, Entry]:
    """Return those computations of these names that are available."""
    found = {name: entry for name in names if (entry := _entries.get(name))}
    if missing := names - found.keys():
        for computation in Computation.objects.filter(name__in=missing, available=True):
            validator = schemas.validator(computation.arguments_schema)
            found[computation.name] = entry = Entry(computation, validator)
            _entries.keep(computation.name, entry)
    return found


def violations(entry: Entry, arguments: Any) -> list[tuple[str, str, str]]:
    """List the errors in arguments as (field, rule, explanation); empty if they are right.

    After ``MOST_ERRORS`` the search ends, with an entry that says there are more.
    """
    found = list(islice(entry.validator.iter_errors(arguments), MOST_ERRORS + 1))
    listed = [
        (_field(error), str(error.validator), error.message[:LONGEST_MESSAGE])
        for error in found[:MOST_ERRORS]
    ]
    if len(found) > MOST_ERRORS:
        listed.append(("arguments", "more", f"There are more errors than these {MOST_ERRORS}."))
    return listed


def _field(error: ValidationError) -> str:
    return ".".join(["arguments", *(str(part) for part in error.absolute_path)])


def _row(computation: events.Computation, now: datetime) -> Computation:
    return Computation(
        name=computation.name,
        summary=computation.summary,
        description=computation.description,
        arguments_schema=computation.arguments,
        result_schema=computation.result,
        soft_time_limit=computation.soft_time_limit,
        time_limit=computation.time_limit,
        memory_limit=computation.memory_limit,
        available=True,
        announced_at=now,
    )


announcements.register(
    events.CATALOGUE_ROUTING_KEY, Announcement(events.Catalogue, check=check, apply=announce)
)
