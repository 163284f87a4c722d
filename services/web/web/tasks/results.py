"""What workers answer, brought into the tasks that have no table of their own."""

from typing import Any

from django.conf import settings

from contracts.tasks import TaskContract
from web.messaging import outbox
from web.tasks.models import Task
from web.tracking import answers
from web.tracking.answers import AnsweredTracking
from web.tracking.engine import Tracking
from web.tracking.retries import RetryPolicy


def tracking(contract: TaskContract[Any]) -> Tracking[Task]:
    """Declare the tasks of a contract."""
    return AnsweredTracking(
        contract=contract,
        model=Task,
        rows={"name": contract.name},
        dispatch=outbox.dispatcher(contract, lambda task: contract.decode(task.arguments)),
        retry=_retry,
        columns=answers.COLUMNS,
        assignments=answers.ASSIGNMENTS,
        guard=f"task.name = '{contract.name}'",  # a service speaks of its own tasks alone
        error=None,
        anew=answers.ANEW,
        explanation=answers.EXPLANATION,
    )


def _retry() -> RetryPolicy:
    return RetryPolicy(settings.JOB_RETRY_FIRST, settings.JOB_RETRY_LONGEST, settings.JOB_RETRY_FOR)
