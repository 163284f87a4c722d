"""The catalogue of computations, as the compute workers announce it."""

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from contracts import results
from web.jobs.models import Computation


def announce(catalogue: results.Catalogue) -> None:
    """Take over a worker's catalogue, unless a later one has already come in."""
    if Computation.objects.filter(announced_at__gt=catalogue.at).exists():
        return
    rows = [_row(computation, catalogue) for computation in catalogue.computations]
    Computation.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            field.name for field in Computation._meta.concrete_fields if not field.primary_key
        ],
    )
    gone = Computation.objects.exclude(name__in=[row.name for row in rows])
    gone.update(available=False)


def violations(computation: Computation, arguments: Any) -> list[tuple[str, str, str]]:
    """List what is wrong with arguments as (field, rule, explanation), empty if nothing is."""
    validator = Draft202012Validator(computation.arguments_schema)
    return [
        (_field(error), str(error.validator), error.message[:300])
        for error in validator.iter_errors(arguments)
    ]


def _field(error: ValidationError) -> str:
    return ".".join(["arguments", *(str(part) for part in error.absolute_path)])


def _row(computation: results.Computation, catalogue: results.Catalogue) -> Computation:
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
        announced_at=catalogue.at,
    )
