"""The catalogue of computations, as the compute workers announce it."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from contracts import results
from contracts.errors import MalformedMessageError
from web.jobs.models import Computation
from web.messaging import announcements
from web.messaging.announcements import Announcement
from web.postgresql import clock

WITHDRAWN_AFTER = timedelta(minutes=20)  # workers announce every 5 minutes
MOST_ERRORS = 20
LONGEST_MESSAGE = 300  # characters
NOTHING_ELSE: Registry[Any] = Registry()  # of schemas: a reference to an address fetches nothing


def announce(catalogue: results.Catalogue) -> None:
    """Take over what a worker can compute.

    What no worker has announced for a while, although others announce, is withdrawn. So old and
    new workers may run side by side, and while all are away everything stays open to submission.
    The time is that of the arrival, by the database: workers' and collectors' clocks may be wrong.
    """
    now = clock.now()
    rows = [_row(computation, now) for computation in catalogue.computations]
    Computation.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            field.name for field in Computation._meta.concrete_fields if not field.primary_key
        ],
    )
    Computation.objects.filter(announced_at__lt=now - WITHDRAWN_AFTER).update(available=False)


def check(catalogue: results.Catalogue) -> None:
    """Refuse schemas that could not be used. Raises MalformedMessageError."""
    for computation in catalogue.computations:
        for schema in (computation.arguments, computation.result):
            try:
                Draft202012Validator.check_schema(schema)
                _look_up_references(schema)
            except (SchemaError, Unresolvable) as error:
                kind = type(error).__name__
                message = f"a schema of {computation.name[:100]!r} is not valid: {kind}"
                raise MalformedMessageError(message) from error


def _look_up_references(schema: Any) -> None:
    resolver = NOTHING_ELSE.with_resource("", DRAFT202012.create_resource(schema)).resolver()
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for keyword in ("$ref", "$dynamicRef"):
                if isinstance(reference := value.get(keyword), str):
                    resolver.lookup(reference)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def violations(computation: Computation, arguments: Any) -> list[tuple[str, str, str]]:
    """List what is wrong with arguments as (field, rule, explanation), empty if nothing is.

    Of many errors the first are enough, and the rest is not looked for.
    """
    validator = Draft202012Validator(computation.arguments_schema, registry=NOTHING_ELSE)
    found = list(islice(validator.iter_errors(arguments), MOST_ERRORS + 1))
    listed = [
        (_field(error), str(error.validator), error.message[:LONGEST_MESSAGE])
        for error in found[:MOST_ERRORS]
    ]
    if len(found) > MOST_ERRORS:
        listed.append(("arguments", "more", f"There are more errors than these {MOST_ERRORS}."))
    return listed


def _field(error: ValidationError) -> str:
    return ".".join(["arguments", *(str(part) for part in error.absolute_path)])


def _row(computation: results.Computation, now: datetime) -> Computation:
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
    results.CATALOGUE_ROUTING_KEY, Announcement(results.Catalogue, check=check, apply=announce)
)
