"""The catalogue of computations, as the compute workers announce it."""

from datetime import datetime, timedelta
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from contracts import results
from web.jobs.models import Computation
from web.messaging import clock

WITHDRAWN_AFTER = timedelta(minutes=20)  # workers announce every 5 minutes


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


def violations(computation: Computation, arguments: Any) -> list[tuple[str, str, str]]:
    """List what is wrong with arguments as (field, rule, explanation), empty if nothing is."""
    validator = Draft202012Validator(computation.arguments_schema)
    return [
        (_field(error), str(error.validator), error.message[:300])
        for error in validator.iter_errors(arguments)
    ]


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
