"""Bundles that died: no bundle becomes a dead letter, for its members are not to blame together."""

from datetime import UTC, datetime

import msgspec

from contracts.bundles import Bundle, bundle_of
from contracts.errors import TaskReturnedError
from contracts.events import TaskError, TaskEvent, TaskState
from contracts.headers import TaskBody
from contracts.tasks import TASKS
from web.messaging.broker.arrivals import Arrival
from web.messaging.letters.making import UNDECODABLE

RETURNED = TaskError(TaskReturnedError.__name__, "its bundle died: it is sent again, alone")


def returned(arrival: Arrival) -> list[TaskEvent] | None:
    """Return events that have each member of a dead bundle sent alone; None if it is no bundle.

    They have no effect on members that have an answer, nor a second time.
    """
    task = arrival.routing_key
    if task != bundle_of(arrival.service).name or arrival.headers.get("task") != task:
        return None
    try:
        body = msgspec.json.decode(arrival.body, type=TaskBody)
        bundle = bundle_of(arrival.service).decode(body.kwargs)
    except UNDECODABLE:
        return None  # then it becomes a dead letter all the same, and the reconciler finds the rest
    if bundle.task not in TASKS or TASKS[bundle.task].service != arrival.service:
        return None
    return [_event(bundle, str(member.id), member.request_id or "") for member in bundle.members]


def _event(bundle: Bundle, task_id: str, request_id: str) -> TaskEvent:
    return TaskEvent(
        task_id=task_id,
        task=bundle.task,
        state=TaskState.RETRY,
        attempt=1,  # a task that has been tried is in no bundle
        worker="",
        at=datetime.now(UTC),
        error=RETURNED,
        request_id=request_id,
    )
