"""Bundles as web sends them, and what is told of their members."""

from collections.abc import Sequence

from contracts.errors import TaskReturnedError
from contracts.events import TaskEvent, TaskState

from .client import Client

COMPUTE_ADD = {"computation": "add", "arguments": {"x": 1, "y": 2}}
ADD = ("add", {"x": 1, "y": 2})
FOREVER = ("sleep", {"seconds": 3600})
SUCCESS, RETURNED = TaskState.SUCCESS.value, TaskReturnedError.__name__


def outcomes(client: Client, ids: Sequence[str]) -> list[TaskEvent]:
    """Wait for the end of each first run."""
    return [client.outcome(task_id) for task_id in ids]


def ends(client: Client, ids: Sequence[str]) -> list[str]:
    """Wait for the end of each: its state, or the kind of its error."""
    return [end.error.type if end.error else end.state for end in outcomes(client, ids)]
