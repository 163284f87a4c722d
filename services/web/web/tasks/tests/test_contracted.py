"""Tasks of a contract for which web has no table, no handler and no migration."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import connection, transaction
from django.test import Client
from msgspec import structs

from contracts.errors import MalformedMessageError
from contracts.results import TaskError, TaskEvent, TaskState
from contracts.tasks import TASKS, Payload, TaskContract
from web.jobs.tests.factories import event, make_user
from web.messaging.models import OutboxMessage
from web.messaging.outbox import OutsideTransactionError
from web.tasks.models import Task
from web.tasks.sending import send
from web.tracking import registry
from web.tracking.engine import Engine
from web.tracking.waiting import InsideTransactionError, watch

pytestmark = pytest.mark.django_db
S = TaskState


class CountWords(Payload, frozen=True, kw_only=True):
    """Count the words of ``text``."""

    text: str
    language: str = "en"


COUNT_WORDS = TaskContract("texts.count_words", CountWords, frozenset({"language"}))
TITLES = TaskContract("titles.count_words", CountWords, frozenset())


@pytest.fixture(autouse=True)
def _contracts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for contract in (COUNT_WORDS, TITLES):
        monkeypatch.setitem(TASKS, contract.name, contract)
    yield
    for contract in (COUNT_WORDS, TITLES):
        registry._engines.pop(contract.name, None)


@pytest.fixture
def task() -> Task:
    return send(COUNT_WORDS, CountWords(text="four words and more"))


def engine(contract: TaskContract[Any] = COUNT_WORDS) -> Engine[Any]:
    found = registry.registered()[contract.name]
    assert found is registry.find(contract.name)
    return found


def answer(task_id: UUID, state: TaskState, **fields: Any) -> TaskEvent:
    return structs.replace(event(task_id, state), task=COUNT_WORDS.name, **fields)


def messages() -> list[dict[str, Any]]:
    bodies = OutboxMessage.objects.values_list("body", flat=True)
    return [msgspec.json.decode(bytes(body))[1] for body in bodies]


def test_a_task_is_sent_with_its_row_and_its_result_comes_into_it(task: Task) -> None:
    message = OutboxMessage.objects.get()
    assert (message.task_id, message.routing_key) == (task.pk, "texts.count_words")
    assert messages() == [{"text": "four words and more", "language": "en"}]
    engine().apply([answer(task.pk, S.STARTED), answer(task.pk, S.SUCCESS, result={"words": 4})])
    task.refresh_from_db()
    assert (task.state, task.result, task.is_final) == ("succeeded", {"words": 4}, True)
    assert task.finished_at is not None


def test_a_task_that_may_succeed_later_is_sent_again(task: Task) -> None:
    engine().apply([answer(task.pk, S.RETRY, error=TaskError("TransientError", "busy"))])
    assert messages() == [{"text": "four words and more", "language": "en"}] * 2
    task.refresh_from_db()
    assert (task.state, task.error) == ("queued", {"type": "TransientError", "message": "busy"})


def test_a_task_that_cannot_be_sent_again_says_so(task: Task) -> None:
    Task.objects.update(arguments={"text": 4})
    engine().apply([answer(task.pk, S.RETRY, error=TaskError("TransientError", "busy"))])
    task.refresh_from_db()
    assert task.state == "failed"
    assert task.error_message.startswith("its message cannot be made: texts.count_words: Expected")


def test_what_got_lost_is_published_again_and_what_failed_can_be_repeated(task: Task) -> None:
    engine().publish_again([task.pk])
    assert len(messages()) == 2
    engine().apply([answer(task.pk, S.FAILURE, error=TaskError("ValueError", "no"))])
    assert engine().errors([task.pk]) == {task.pk: "ValueError: no"}
    assert not engine().unfinished().exists()
    assert engine().replay([task.pk]) == {task.pk: 1}
    assert list(engine().unfinished()) == [task]


def test_a_service_speaks_of_its_own_tasks_alone(task: Task) -> None:
    forged = structs.replace(event(task.pk, S.SUCCESS), task=TITLES.name)
    engine(TITLES).apply([forged])
    assert engine(TITLES).replay([task.pk]) == {}
    task.refresh_from_db()
    assert task.state == "queued"
    assert list(engine().unfinished()) == [task]
    assert not engine(TITLES).unfinished().exists()


def test_nothing_is_stored_of_what_cannot_be_sent() -> None:
    with pytest.raises(MalformedMessageError):
        send(COUNT_WORDS, CountWords(text=4))  # type: ignore[arg-type]
    assert not Task.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_task_is_stored_with_the_data_it_speaks_of_or_not_at_all() -> None:
    with pytest.raises(OutsideTransactionError):
        send(COUNT_WORDS, CountWords(text="one"))
    with transaction.atomic():
        send(COUNT_WORDS, CountWords(text="one"))
        transaction.set_rollback(True)
    assert not Task.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_woken_by_the_answer(request: pytest.FixtureRequest) -> None:
    request.addfinalizer(watch.stop)
    with transaction.atomic():
        task = send(COUNT_WORDS, CountWords(text="one two"))
        with pytest.raises(InsideTransactionError):
            task.wait(60)

    def answer_it() -> None:
        with transaction.atomic():
            engine().apply([answer(task.pk, S.SUCCESS, result={"words": 2})])
        connection.close()

    answering = threading.Thread(target=answer_it)
    answering.start()
    answered = task.wait(3600)
    answering.join()
    assert (answered.state, answered.result) == ("succeeded", {"words": 2})
    assert answered.wait(3600) is answered  # at once
    assert send_another().wait(0.01).state == "queued"


def send_another() -> Task:
    with transaction.atomic():
        return send(COUNT_WORDS, CountWords(text="three"))


def test_an_operator_sees_of_its_arguments_what_may_be_seen(
    task: Task, admin_client: Client
) -> None:
    Task.objects.update(owner=make_user())
    page = admin_client.get(f"/admin/tasks/task/{task.pk}/change/").content.decode()
    assert "&#x27;language&#x27;: &#x27;en&#x27;" in page
    assert "four words" not in page
