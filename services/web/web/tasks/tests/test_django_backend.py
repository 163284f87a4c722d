"""Django's Tasks API over web's tasks."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django_tasks import TaskResultStatus, task, task_backends
from django_tasks.exceptions import InvalidTaskError, TaskResultDoesNotExist, TaskResultMismatch
from django_tasks.signals import task_enqueued

from web.messaging.models import OutboxMessage
from web.tasks.models import Task
from web.tasks.testing import drain

pytestmark = pytest.mark.django_db


@task
def multiply(a: int, b: int) -> int:
    return a * b


@task(takes_context=True)
def attempts(context: Any, name: str) -> list[Any]:
    return [name, context.attempt, context.task_result.status]


@task
async def later(a: int) -> int:
    return a


@task
def refuse() -> None:
    raise LookupError("nothing is there")


@task
def unspeakable() -> object:
    return object()


def test_a_task_is_stored_run_and_read() -> None:
    result = multiply.enqueue(6, b=7)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [6], {"b": 7})
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    drain()
    result.refresh()
    assert (result.return_value, result.attempts, result.is_finished) == (42, 1, True)
    assert result.started_at
    assert multiply.get_result(result.id).return_value == 42
    with pytest.raises(TaskResultMismatch):
        refuse.get_result(result.id)


def test_a_rollback_sends_nothing() -> None:
    with transaction.atomic():
        multiply.enqueue(6, 7)
        transaction.set_rollback(True)
    assert not Task.objects.exists()


def test_a_run_can_ask_which_one_it_is() -> None:
    result = attempts.enqueue("first")
    drain()
    result.refresh()
    assert result.return_value == ["first", 1, "RUNNING"]


def test_coroutines_are_tasks_and_can_send_them() -> None:
    result: Any = async_to_sync(later.aenqueue)(5)
    drain()
    async_to_sync(result.arefresh)()
    assert result.return_value == 5


def test_an_error_is_told_with_its_class() -> None:
    result = refuse.enqueue()
    unsaid = unspeakable.enqueue()
    drain()
    result.refresh()
    unsaid.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is LookupError
    assert "nothing is there" in result.errors[0].traceback
    assert unsaid.errors[0].exception_class is TypeError


def test_time_priority_and_arguments_are_the_messages() -> None:
    noon = datetime(2100, 1, 1, 12, tzinfo=UTC)
    multiply.using(run_after=noon, priority=10).enqueue(1, 2)
    message = OutboxMessage.objects.get()
    assert (message.due_at, message.properties["priority"]) == (noon, 5)
    assert message.headers["shadow"].endswith("test_django_backend.multiply")
    assert "…" in message.headers["kwargsrepr"]
    with pytest.raises(InvalidTaskError):
        multiply.using(queue_name="nope")
    with pytest.raises(TypeError):
        multiply.enqueue(object(), 1)  # type: ignore[arg-type]


def test_only_its_own_results_are_found() -> None:
    for unknown in (str(uuid4()), "no id"):
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(unknown)


def test_who_listens_hears_of_it() -> None:
    heard: list[str] = []

    def hear(task_result: Any, **_: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    try:
        result = multiply.enqueue(1, 2)
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [result.id]
