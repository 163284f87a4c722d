"""Tasks of a contract for which web has no table, no handler and no migration."""

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from celery import chain, chord
from celery.result import AsyncResult
from django.db import connection, transaction
from django.test import Client
from msgspec import structs

from contracts.errors import MalformedMessageError
from contracts.events import TaskError, TaskEvent, TaskState
from contracts.headers import TaskBody, TaskHeaders
from contracts.tasks import RUN_COMPUTATION, SEND_EMAIL, TASKS, Payload, TaskContract
from web.jobs.results import JOBS
from web.jobs.tests.factories import event, make_job, make_user
from web.mail.results import MAILS
from web.messaging.models import OutboxMessage
from web.tasks.application import app
from web.tasks.capture import RefusedError
from web.tasks.contracted import contract_task
from web.tasks.models import Task
from web.tasks.testing import drain
from web.tasks.tests.shop import add, fail, silent, total
from web.tracking import registry
from web.tracking.engine import Engine
from web.tracking.waiting import InsideTransactionError, watch
from worker.headers import require

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
        registry._complete.discard(contract.name)


def count(text: str = "four words and more", **options: Any) -> Any:
    return contract_task(COUNT_WORDS).apply_async(kwargs={"text": text}, **options)


def engine(contract: TaskContract[Any] = COUNT_WORDS) -> Engine[Any]:
    found = registry.find(contract.name)
    assert found in registry.engines()
    assert found is not None
    return found


def row(result: Any) -> Task:
    return Task.objects.get(pk=result.id)


def answer(task: Any, state: TaskState, **fields: Any) -> TaskEvent:
    return structs.replace(event(task.id, state), task=COUNT_WORDS.name, **fields)


def messages() -> list[dict[str, Any]]:
    bodies = OutboxMessage.objects.order_by("pk").values_list("body", flat=True)
    return [msgspec.json.decode(bytes(body))[1] for body in bodies]


def state(result: Any) -> str:
    return str(AsyncResult(result.id, app=app).state)


def test_one_call_sends_a_task_and_its_result_is_read_as_any_other() -> None:
    result = contract_task(COUNT_WORDS).delay(text="four words and more")
    message = OutboxMessage.objects.get()
    assert (str(message.task_id), message.routing_key) == (result.id, "texts.count_words")
    assert messages() == [{"text": "four words and more", "language": "en"}]
    assert message.headers["kwargsrepr"] == "{'text': '…', 'language': 'en'}"
    assert result.state == "PENDING"
    engine().apply([answer(result, S.STARTED), answer(result, S.SUCCESS, result={"words": 4})])
    assert result.get() == {"words": 4}
    assert row(result).finished_at is not None


def test_its_message_is_what_a_worker_of_a_contract_takes() -> None:
    result: Any = chord([contract_task(COUNT_WORDS).s(text="a")], total.s()).apply_async()
    member = OutboxMessage.objects.exclude(task_id=result.id).get()
    require(TaskHeaders, member.headers)
    require(TaskBody, msgspec.json.decode(bytes(member.body)))


def test_a_call_by_name_is_the_same() -> None:
    app.send_task("texts.count_words", kwargs={"text": "one"})
    app.send_task(SEND_EMAIL.name, kwargs={"template": "a", "recipient": "b", "context": {}})
    assert messages()[0] == {"text": "one", "language": "en"}
    task_id = Task.objects.get(name=SEND_EMAIL.name).pk
    assert messages()[1]["email_id"] == str(task_id)


def test_a_task_that_may_succeed_later_is_sent_again() -> None:
    result = count()
    engine().apply([answer(result, S.RETRY, error=TaskError("TransientError", "busy"))])
    assert messages() == [{"text": "four words and more", "language": "en"}] * 2
    assert OutboxMessage.objects.latest("pk").headers["retries"] == 1
    assert state(result) == "RETRY"
    assert row(result).error == {"type": "TransientError", "message": "busy"}


def test_what_got_lost_is_published_again_and_what_failed_can_be_repeated() -> None:
    task = row(count())
    engine().publish_again([task.pk])
    assert len(messages()) == 2
    failure = structs.replace(event(task.pk, S.FAILURE), task=COUNT_WORDS.name)
    engine().apply([structs.replace(failure, error=TaskError("ValueError", "no"))])
    assert engine().errors([task.pk]) == {task.pk: "ValueError: no"}
    assert not engine().unfinished().exists()
    assert engine().replay([task.pk]) == {task.pk: 1}
    assert list(engine().unfinished()) == [task]


def test_a_service_speaks_of_its_own_tasks_alone() -> None:
    task = row(count())
    forged = structs.replace(event(task.pk, S.SUCCESS), task=TITLES.name)
    engine(TITLES).apply([forged])
    assert engine(TITLES).replay([task.pk]) == {}
    task.refresh_from_db()
    assert task.state == "queued"
    assert list(engine().unfinished()) == [task]
    assert not engine(TITLES).unfinished().exists()


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [((), {"text": 4}, MalformedMessageError), ((), {}, MalformedMessageError),
     (("a",), {}, RefusedError)],
    ids=str,
)  # fmt: skip
def test_nothing_is_stored_of_what_is_against_the_contract(
    args: Any, kwargs: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        contract_task(COUNT_WORDS).delay(*args, **kwargs)
    assert not Task.objects.exists()
    assert not OutboxMessage.objects.exists()


def test_its_function_is_not_here() -> None:
    with pytest.raises(RefusedError, match="worker of its own"):
        contract_task(COUNT_WORDS)(text="a")


@pytest.mark.parametrize(
    ("engine_of_rows", "contract", "payload"),
    [
        (JOBS, RUN_COMPUTATION, {"computation": "add", "arguments": {"x": 4, "y": 6}}),
        (MAILS, SEND_EMAIL, {"template": "a", "recipient": "a@example.org", "context": {}}),
    ],
    ids=["compute.run", "mailer.send_email"],
)
def test_work_that_has_a_table_can_be_sent_without_a_row_in_it(
    engine_of_rows: Engine[Any], contract: TaskContract[Any], payload: dict[str, Any]
) -> None:
    assert registry.find(contract.name) is engine_of_rows
    result = contract_task(contract).delay(**payload)
    job = make_job(make_user())
    done = structs.replace(event(result.id, S.SUCCESS), task=contract.name, result=10)
    if engine_of_rows is JOBS:
        engine_of_rows.apply([done, structs.replace(event(job.pk, S.SUCCESS), result=11)])
        job.refresh_from_db()
        assert job.result == 11
    else:
        engine_of_rows.apply([structs.replace(done, result={"message_id": "m", "answer": "250"})])
    assert state(result) == "SUCCESS"
    task = row(result)
    assert engine_of_rows.row(task.pk) == task
    assert engine_of_rows.row(job.pk) == (job if engine_of_rows is JOBS else None)


def test_what_failed_there_can_be_repeated() -> None:
    result = contract_task(RUN_COMPUTATION).delay(computation="add", arguments={})
    failed = structs.replace(event(result.id, S.FAILURE), error=TaskError("ValueError", "no"))
    assert registry.find(RUN_COMPUTATION.name) is JOBS
    JOBS.apply([failed])
    pk = row(result).pk
    assert JOBS.errors([pk]) == {pk: "ValueError: no"}
    assert JOBS.replay([pk]) == {pk: 1}
    assert JOBS.of(pk) is JOBS.rest


def test_what_follows_it_is_sent_when_its_result_is_there() -> None:
    words = contract_task(COUNT_WORDS)
    last: Any = chain(words.s(text="a b"), add.s(1), add.s(10)).apply_async()
    linked = count(link=add.s(5))
    first = last.parent.parent
    drain()  # nothing of web's yet
    engine().apply([answer(each, S.SUCCESS, result=2) for each in (first, linked)])
    drain()
    assert last.get() == 13
    assert {task.result for task in Task.objects.filter(name=add.name)} == {3, 7, 13}


def test_who_is_to_hear_of_its_failure_does() -> None:
    failing = count(link_error=silent.s(), shadow="no word")
    drain()
    engine().apply([answer(failing, S.FAILURE, error=TaskError("ValueError", "no"))])
    assert drain() == [silent.name]


def test_it_may_be_anywhere_in_a_flow() -> None:
    words = contract_task(COUNT_WORDS)
    result: Any = chord([words.s(text="a"), add.s(1, 2)], chain(total.s(), add.s(0))).apply_async()
    member = Task.objects.get(name=COUNT_WORDS.name)
    drain()
    engine().apply([answer(member, S.SUCCESS, result=4)])
    drain()
    assert result.get() == 7
    failing: Any = chain(fail.si("no"), words.si(text="a")).apply_async()
    drain()
    assert state(failing) == "FAILURE"


@pytest.mark.django_db(transaction=True)
def test_a_task_is_stored_with_the_data_it_speaks_of_or_not_at_all() -> None:
    with transaction.atomic():
        count()
        transaction.set_rollback(True)
    assert not Task.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_woken_by_the_answer(request: pytest.FixtureRequest) -> None:
    request.addfinalizer(watch.stop)
    with transaction.atomic():
        task = row(count("one two"))
        with pytest.raises(InsideTransactionError):
            task.wait(60)

    def answer_it() -> None:
        with transaction.atomic():
            done = structs.replace(event(task.pk, S.SUCCESS), task=COUNT_WORDS.name)
            engine().apply([structs.replace(done, result={"words": 2})])
        connection.close()

    answering = threading.Thread(target=answer_it)
    answering.start()
    answered = task.wait(3600)
    answering.join()
    assert (answered.state, answered.result) == ("succeeded", {"words": 2})
    assert answered.wait(3600) is answered  # at once
    assert row(count("three")).wait(0.01).state == "queued"


def test_an_operator_sees_of_its_arguments_what_may_be_seen(admin_client: Client) -> None:
    user = make_user()
    task = row(count(owner=user))
    assert task.owner == user
    page = admin_client.get(f"/admin/tasks/task/{task.pk}/change/").content.decode()
    assert "&#x27;language&#x27;: &#x27;en&#x27;" in page
    assert "four words" not in page
