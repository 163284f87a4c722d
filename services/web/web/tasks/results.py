"""What workers answer, brought into the tasks that have no table of their own."""

from typing import Any

from contracts.tasks import TaskContract
from web.messaging import outbox
from web.tasks.models import Task
from web.tracking.answers import AnsweredTracking
from web.tracking.engine import Tracking
from web.tracking.retries import RetryPolicy


def tracking(contract: TaskContract[Any]) -> Tracking[Task]:
    """Declare the tasks of a contract."""
    return AnsweredTracking(
        kind=contract.name,
        service=contract.service,
        model=Task,
        rows={"name": contract.name},
        dispatch=outbox.dispatcher(contract, lambda task: contract.decode(task.arguments)),
        retry=lambda: RetryPolicy.of("JOB"),
        guard=f"task.name = '{contract.name}'",  # a service speaks of its own tasks alone
    )
