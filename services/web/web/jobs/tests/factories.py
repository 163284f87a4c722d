"""Rows and events for the tests of jobs."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.test import APIClient

from contracts.events import Progress, TaskError, TaskEvent, TaskState
from contracts.tasks import RUN_COMPUTATION
from web.accounts.models import User
from web.jobs.models import Computation, Job

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def make_user(email: str = "ada@example.org") -> User:
    user: User = User.objects.create_user(email=email, password="correct horse battery")
    return user


def client_of(user: User) -> APIClient:
    """Make a client that is signed in."""
    client = APIClient()
    client.force_authenticate(user)
    return client


def make_computation(name: str = "add", **fields: Any) -> Computation:
    number = {"type": "number"}
    defaults: dict[str, Any] = {
        "summary": "Add two numbers.",
        "arguments_schema": {
            "type": "object",
            "properties": {"x": number, "y": number},
            "required": ["x", "y"],
            "additionalProperties": False,
        },
        "result_schema": number,
        "soft_time_limit": 10,
        "time_limit": 15,
        "memory_limit": 256,
        "announced_at": BEGINNING,
    }
    return Computation.objects.create(name=name, **(defaults | fields))


def make_job(owner: User, **fields: Any) -> Job:
    defaults: dict[str, Any] = {
        "computation": "add",
        "arguments": {"x": 4, "y": 6},
        "soft_time_limit": 10,
        "time_limit": 15,
    }
    job = Job.objects.create(owner=owner, **(defaults | fields))
    job.refresh_from_db()
    return job


def event(
    task_id: uuid.UUID, state: TaskState, attempt: int = 1, *, done: int = 0, second: int = 0
) -> TaskEvent:
    failed = state in (TaskState.FAILURE, TaskState.RETRY)
    return TaskEvent(
        task_id=str(task_id),
        task=RUN_COMPUTATION.name,
        state=state,
        attempt=attempt,
        worker="compute-1@host",
        at=BEGINNING + timedelta(minutes=attempt, seconds=second),
        started_at=BEGINNING + timedelta(minutes=attempt),
        result=10 if state == TaskState.SUCCESS else None,
        error=TaskError("ValueError", f"attempt {attempt}") if failed else None,
        progress=Progress(done, 10) if state == TaskState.PROGRESS else None,
    )
