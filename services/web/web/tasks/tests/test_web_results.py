"""What events and commands do to the rows of web's own tasks."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import chain, chord
from celery.result import AsyncResult
from django.db import connection, transaction

from contracts.events import TaskError, TaskEvent, TaskState
from contracts.tasks import TASKS, Payload, TaskContract
from web.messaging.letters import dead_letters, redaction
from web.messaging.models import DeadLetter, OutboxMessage
from web.tasks.application import app
from web.tasks.events import Again, WebTaskEvent
from web.tasks.messages import StoredMessage
from web.tasks.models import Task
from web.tasks.results import WEB
from web.tasks.testing import drain
from web.tasks.tests.shop import add, fail, total

S = TaskState


def event(task_id: Any, state: TaskState, attempt: int = 1, **fields: Any) -> WebTaskEvent:
    return WebTaskEvent(
        task_id=str(task_id),
        task=add.name,
        state=state,
        attempt=attempt,
        worker="tasks-1@here",
        at=datetime.now(UTC),
        **fields,
    )


def apply(*events: TaskEvent) -> None:
    with transaction.atomic():
        WEB.apply(events)


def state(result: Any) -> str:
    return str(AsyncResult(result.id, app=app).state)


@pytest.mark.django_db
def test_a_worker_of_webs_tasks_speaks_for_no_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = TaskContract("texts.count_words", Payload, frozenset())
    monkeypatch.setitem(TASKS, contract.name, contract)
    task = Task.objects.get(pk=app.send_task(contract.name).id)
    apply(event(task.pk, S.SUCCESS, result="1"))
    task.refresh_from_db()
    assert (task.state, task.service) == ("queued", "texts")


@pytest.mark.django_db
def test_a_dead_letter_of_webs_own_belongs_to_its_row() -> None:
    task = Task.objects.get(pk=add.delay(1, 2).id)
    letter = DeadLetter(
        task=add.name, task_id=task.pk, routing_key=f"web.tasks.{add.name}", body=b"[[1,2],{},{}]",
        exchange="warren.tasks", reason="delivery_limit", headers={"runs": 2, "retries": 1},
    )  # fmt: skip
    assert redaction.subject(letter) == task
    assert "row shows" in redaction.shown_body(letter)
    death = dead_letters.event_of(letter)
    assert death is not None
    assert (death.kind, death.attempt) == ("tasks", 6)
    apply(death)
    assert state(task) == "FAILURE"
    assert dead_letters.event_of(DeadLetter(task=add.name, task_id=task.pk)) is None  # forged


@pytest.mark.django_db
def test_a_run_that_was_given_back_is_sent_as_it_was() -> None:
    result = add.delay(1, 2)
    sent = OutboxMessage.objects.get()
    sent.delete()
    returned = TaskError("TaskReturnedError", "its worker was stopped")
    apply(event(result.id, S.STARTED), event(result.id, S.RETRY, error=returned))
    again = OutboxMessage.objects.get()
    assert (again.body, again.headers) == (sent.body, sent.headers | {"runs": 1})
    assert state(result) == "RETRY"


@pytest.mark.django_db
def test_a_retry_that_comes_twice_is_sent_once() -> None:
    result = add.delay(1, 2)
    OutboxMessage.objects.all().delete()
    message = StoredMessage.of(Task.objects.get().message)
    asked = event(result.id, S.RETRY, again=Again(message=message, seconds=0))
    apply(asked)
    apply(asked)
    assert OutboxMessage.objects.count() == 1


@pytest.mark.django_db
def test_what_nobody_has_taken_is_revoked_at_once() -> None:
    waiting = add.delay(1, 2)
    waiting.revoke()
    assert state(waiting) == "REVOKED"
    assert not OutboxMessage.objects.filter(task_id=waiting.id).exists()
    last = chain(add.s(1, 2), add.s(3)).apply_async()
    last.revoke()
    drain()
    assert (state(last.parent), state(last)) == ("SUCCESS", "REVOKED")


@pytest.mark.django_db
def test_a_revoked_task_has_no_further_run() -> None:
    result = add.delay(1, 2)
    OutboxMessage.objects.all().delete()
    apply(event(result.id, S.STARTED))
    result.revoke()
    assert state(result) == "STARTED"  # without terminate it may end
    told = OutboxMessage.objects.count()
    apply(event(result.id, S.STARTED))
    assert OutboxMessage.objects.count() == told
    apply(event(result.id, S.STARTED, attempt=2))  # of a worker that has not heard of it
    assert OutboxMessage.objects.count() == told + 1
    apply(event(result.id, S.RETRY, attempt=2))
    assert state(result) == "REVOKED"
    assert Task.objects.get().finished_at is not None
    assert OutboxMessage.objects.count() == told + 1


@pytest.mark.django_db
def test_a_chord_of_which_one_is_revoked_fails() -> None:
    result: Any = chord([add.s(1, 2), add.s(3, 4)], total.s()).apply_async()
    result.parent.results[0].revoke()
    drain()
    assert state(result) == "FAILURE"


@pytest.mark.django_db
def test_what_follows_a_task_that_was_given_up_fails_with_it() -> None:
    last: Any = chain(add.s(1, 2), add.s(3), fail.s()).apply_async()
    with transaction.atomic():
        WEB.give_up([Task.objects.get(pk=last.parent.parent.id).pk], "its message got lost")
    assert {row.error_message for row in Task.objects.all()} == {"its message got lost"}
    assert state(last) == "FAILURE"


@pytest.mark.django_db
def test_what_has_failed_with_a_task_goes_on_when_that_is_run_again() -> None:
    result: Any = chord([add.s(1, 2), add.s(3, 4) | add.s(0)], total.s()).apply_async()
    [broken] = Task.objects.filter(is_followed=True, group_id=None)
    OutboxMessage.objects.filter(task_id=broken.pk).delete()
    drain()
    apply(event(broken.pk, S.FAILURE, error=TaskError("ValueError", "no")))
    assert state(result) == "FAILURE"
    with transaction.atomic():
        assert WEB.replay([broken.pk]) == {broken.pk: 1}
        broken.refresh_from_db()
        WEB.dispatch(broken)
    assert state(result) == "PENDING"
    drain()
    assert AsyncResult(result.id, app=app).get() == 10


@pytest.mark.django_db
def test_what_waits_for_others_is_not_lost() -> None:
    chain(add.s(1, 2), add.s(3)).apply_async()
    assert [row.message is None for row in WEB.unfinished()] == [False]


@pytest.mark.django_db(transaction=True)
def test_two_collectors_with_a_last_result_each_send_the_body_once() -> None:
    result: Any = chord([add.s(1, 2), add.s(3, 4)], total.s()).apply_async()
    ids = [member.id for member in result.parent.results]
    applied, errors = threading.Barrier(2), []

    def collect(task_id: str) -> None:
        try:
            with transaction.atomic():
                # Each has its own result in hand before either looks at the chord.
                Task.objects.select_for_update().get(pk=task_id)
                applied.wait(30)
                WEB.apply([event(task_id, S.SUCCESS, result="3")])
        except Exception as error:  # noqa: BLE001 -- told by the main thread
            errors.append(error)
        finally:
            connection.close()

    threads: Sequence[threading.Thread] = [
        threading.Thread(target=collect, args=(task_id,)) for task_id in ids
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert OutboxMessage.objects.filter(task_id=result.id).count() == 1
