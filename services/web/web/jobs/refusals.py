"""Why a job is not accepted, as problems of the API."""

from typing import Any

from django.conf import settings
from rest_framework import exceptions

from web.jobs import admission, catalogue
from web.problems import ServiceUnavailable, TooManyRequests, UnprocessableContent


def unknown_computation(name: str) -> exceptions.APIException:
    """Say that no worker has announced a computation."""
    return exceptions.NotFound(
        f"There is no computation {name!r}; GET /api/v1/computations lists those there are.",
        "unknown_computation",
    )


def wrong_arguments(
    entry: catalogue.Entry, arguments: dict[str, Any]
) -> exceptions.APIException | None:
    """List what is wrong with arguments; None if they are right."""
    errors: dict[str, list[exceptions.ErrorDetail]] = {}
    for field, rule, explanation in catalogue.violations(entry, arguments):
        errors.setdefault(field, []).append(exceptions.ErrorDetail(explanation, rule))
    return exceptions.ValidationError(errors) if errors else None


def key_reused() -> exceptions.APIException:
    """Say that an idempotency key came with another request."""
    return UnprocessableContent(
        "This Idempotency-Key has been used for another request.", "idempotency_key_reused"
    )


def not_admitted(error: admission.RefusedError) -> exceptions.APIException:
    """Say which limit of unfinished jobs is reached."""
    if isinstance(error, admission.BacklogFullError):
        return ServiceUnavailable(
            "There are too many unfinished jobs. Please try again.", "backlog_full", wait=error.wait
        )
    return TooManyRequests(
        f"You have {settings.JOBS_UNFINISHED_PER_USER} unfinished jobs, which is the limit.",
        "too_many_unfinished_jobs",
        wait=error.wait,
    )
