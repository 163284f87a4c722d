"""Asking for a task: the row and its message in one transaction."""

from typing import TYPE_CHECKING, TypeVar

from contracts.tasks import Payload, TaskContract
from web.messaging import outbox
from web.tasks.models import Task

if TYPE_CHECKING:
    from web.accounts.models import User

P = TypeVar("P", bound=Payload)


def send(contract: TaskContract[P], payload: P, *, owner: "User | None" = None) -> Task:
    """Ask for a task, within the caller's transaction.

    Args:
        contract: the task.
        payload: its arguments.
        owner: for whom it is done, if for anybody.

    Raises OutsideTransactionError, and MalformedMessageError for a payload against its contract;
    nothing is stored then.
    """
    task = Task(
        name=contract.name,
        service=contract.service,
        arguments=contract.encode(payload),
        owner=owner,
    )
    outbox.send(contract, payload, task_id=task.pk)  # first: it refuses what cannot be sent
    task.save(force_insert=True)
    return task
