"""`@shared_task` and `.delay()` as in any tutorial, run by Celery's own tracer."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import celery
import psycopg
import pytest
from asgiref.sync import async_to_sync
from celery.exceptions import TimeoutError as NotReadyError
from celery.result import AsyncResult
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, transaction
from kombu.exceptions import EncodeError

from contracts.errors import PermanentError
from web.jobs.tests.factories import make_user
from web.messaging.models import OutboxMessage
from web.tasks.application import app
from web.tasks.capture import RefusedError
from web.tasks.execution import WebTask
from web.tasks.models import Task
from web.tasks.testing import drain
from web.tasks.tests import shop
from web.tracking.waiting import InsideTransactionError

pytestmark = pytest.mark.django_db


def fresh(result: Any) -> Any:
    return AsyncResult(result.id, app=app)


def test_a_task_runs_and_its_result_is_read_from_its_row() -> None:
    result = shop.add.delay(4, 6)
    assert result.state == "PENDING"
    assert drain() == ["web.tasks.tests.shop.add"]
    assert (result.get(timeout=1), result.state, fresh(result).result) == (10, "SUCCESS", 10)


def test_a_rollback_sends_nothing() -> None:
    with transaction.atomic():
        shop.add.delay(1, 1)
        transaction.set_rollback(True)
    assert (Task.objects.count(), OutboxMessage.objects.count()) == (0, 0)


def test_a_task_sees_what_its_sender_has_stored() -> None:
    user = make_user()
    result = shop.send_welcome_email.delay(user.pk)
    drain()
    assert result.get() == user.email


def test_values_beyond_json_come_through() -> None:
    day, price, key = datetime(2026, 3, 29, 2, 30, tzinfo=UTC), Decimal("9.90"), uuid4()
    result = shop.typed.delay(day, price, key=key)
    drain()
    assert fresh(result).get() == {
        "day": day, "price": price, "key": key, "pair": [1, 2], "raw": b"ab",
    }  # fmt: skip


def test_an_error_comes_back_as_what_it_was() -> None:
    result = shop.fail.delay("no")
    drain()
    with pytest.raises(ValueError, match="no"):
        fresh(result).get()
    assert result.state == "FAILURE"
    assert "ValueError: no" in (fresh(result).traceback or "")
    result = shop.autoretry.delay(5)
    drain()
    with pytest.raises(KeyError) as caught:
        fresh(result).get()
    assert caught.value.args == ("x",)


@pytest.mark.parametrize(
    "task", [shop.flaky, shop.flaky_in_a_transaction, shop.autoretry], ids=lambda task: task.name
)
def test_a_retry_runs_whatever_transaction_it_was_asked_for_in(task: Any) -> None:
    result = task.delay(2)
    assert drain() == [task.name] * 3
    assert fresh(result).get() == 2
    assert Task.objects.get(pk=result.id).attempt == 3


def test_a_retry_waits_in_the_outbox_for_its_time() -> None:
    result = shop.flaky.delay(1)
    assert len(drain(until_due=True)) == 1
    message = OutboxMessage.objects.get()
    assert timedelta(seconds=50) < message.due_at - datetime.now(UTC) < timedelta(seconds=61)
    assert fresh(result).state == "RETRY"
    assert isinstance(fresh(result).result, RuntimeError)


def test_a_run_that_finds_the_database_away_is_tried_again() -> None:
    shop.troubles[:] = [OperationalError("the database is away")]
    result = shop.meet_troubles.delay()
    assert len(drain(until_due=True)) == 1
    assert fresh(result).state == "RETRY"
    assert OutboxMessage.objects.get().due_at > datetime.now(UTC) + timedelta(seconds=1)
    assert len(drain()) == 1
    assert fresh(result).get() == "all is well"


def test_a_statement_that_takes_too_long_is_a_failure() -> None:
    slow = OperationalError("canceling statement due to statement timeout")
    slow.__cause__ = psycopg.errors.QueryCanceled()
    shop.troubles[:] = [slow]
    result = shop.meet_troubles.delay()
    assert len(drain()) == 1
    assert fresh(result).state == "FAILURE"


def test_a_task_without_a_result_is_still_retried_and_ends() -> None:
    result = shop.silent_and_flaky.delay()
    assert result.get() is None
    assert len(drain()) == 2
    assert fresh(result).state == "SUCCESS"
    kept = shop.silent.delay(5)
    drain()
    assert Task.objects.get(pk=kept.id).result is None
    assert shop.add.apply_async((1, 2), ignore_result=True).ignored


def test_a_time_to_come_is_the_outboxs() -> None:
    noon = datetime(2100, 1, 1, 12, tzinfo=UTC)
    for options in (
        {"eta": noon},
        {"eta": "2100-01-01T12:00:00"},
        {"eta": noon.replace(tzinfo=None)},
    ):
        task_id = shop.add.apply_async((1, 1), **options).id
        message = OutboxMessage.objects.get(task_id=task_id)
        assert (message.due_at, message.headers["eta"]) == (noon, None)
    soon = OutboxMessage.objects.get(task_id=shop.add.apply_async((1, 1), countdown=30).id)
    assert timedelta(seconds=25) < soon.due_at - datetime.now(UTC) <= timedelta(seconds=30)


def test_options_travel_with_the_message() -> None:
    shop.add.apply_async(
        (1, 1), expires=60, priority=5, headers={"tenant": "a"}, time_limit=9, soft_time_limit=7,
        retry=True, retry_policy={"max_retries": 3}, producer=object(), connection=object(),
    )  # fmt: skip
    message = OutboxMessage.objects.get()
    assert message.headers["tenant"] == "a"
    assert message.headers["timelimit"] == [9, 7]
    assert message.headers["expires"] is not None
    assert (message.exchange, message.routing_key) == (
        "warren.tasks", "web.tasks.web.tasks.tests.shop.add",
    )  # fmt: skip
    assert {*message.properties} == {
        "correlation_id", "priority", "content_type", "content_encoding", "delivery_mode",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"queue": "nope"}, KeyError),
        ({"routing_key": "compute.run"}, RefusedError),
        ({"exchange": "warren.dead"}, RefusedError),
        ({"serializer": "pickle"}, RefusedError),
        ({"compression": "zlib"}, RefusedError),
    ],
    ids=str,
)
def test_what_no_worker_would_take_is_refused_at_the_call(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        shop.add.apply_async((1, 1), **options)
    assert not Task.objects.exists()


def test_arguments_that_cannot_be_sent_are_refused_at_the_call() -> None:
    for arguments, error in (
        ((1,), TypeError),
        ((1, object()), EncodeError),
        ((1, float("nan")), (EncodeError, ValueError)),
        ((1, "x" * 5_000_000), RefusedError),
    ):
        with pytest.raises(error):
            shop.add.delay(*arguments)
    assert not Task.objects.exists()


def test_arguments_with_nul_and_halves_of_pairs_arrive() -> None:
    result = shop.add.delay("a\0", "\ud800")
    drain()
    assert fresh(result).get() == "a\0\ud800"


def test_a_task_by_name_need_not_be_known_here() -> None:
    result = app.send_task("elsewhere.add", (1, 2))
    message = OutboxMessage.objects.get(task_id=result.id)
    assert (message.routing_key, message.headers["kwargsrepr"]) == ("web.tasks.elsewhere.add", "…")


def test_only_what_a_task_shows_is_seen() -> None:
    shop.tell.delay(7, password="hunter2")
    shop.add.delay(4, 6)
    told, added = OutboxMessage.objects.order_by("id")
    assert told.headers["kwargsrepr"] == "{'user_id': 7, 'password': '…'}"
    assert added.headers["kwargsrepr"] == "{'x': '…', 'y': '…'}"
    for message in (told, added):
        assert message.headers["argsrepr"] == "()"
        assert "hunter2" not in str(message.sent_event)


def test_tasks_of_a_task_know_their_parent() -> None:
    result = shop.parent.delay(2)
    drain()
    children = [fresh(AsyncResult(pk)).get() for pk in result.get(disable_sync_subtasks=False)]
    assert children == [0, 2]
    assert {
        str(pk) for pk in Task.objects.exclude(parent_id=None).values_list("parent_id", flat=True)
    } == {result.id}
    assert [child.get() for child in fresh(result).children or []] == [0, 2]


def test_a_call_of_the_function_stays_a_call() -> None:
    assert shop.add(1, 2) == 3
    result = shop.adds_by_call.delay()
    drain()
    assert result.get() == 10


def test_a_coroutine_has_its_own_way() -> None:
    result = async_to_sync(shop.add.adelay)(1, 2)
    drain()
    assert result.get() == 3


def test_after_the_commit_is_with_the_commit() -> None:
    with transaction.atomic():
        shop.add.delay_on_commit(1, 2)
        assert OutboxMessage.objects.count() == 1


def test_waiting_inside_of_the_sending_transaction_is_refused() -> None:
    with transaction.atomic(), pytest.raises(InsideTransactionError):
        shop.add.delay(1, 1).get(timeout=5)


def test_an_unknown_id_is_pending() -> None:
    result = fresh(SimpleNamespace(id=str(uuid4())))
    assert result.state == "PENDING"
    with pytest.raises(NotReadyError):
        result.get(timeout=0.1)


def test_an_id_is_a_uuid() -> None:
    with pytest.raises(RefusedError, match="UUID"):
        shop.add.apply_async((1, 2), task_id="my-own")
    assert fresh(SimpleNamespace(id="my-own")).state == "PENDING"
    fresh(SimpleNamespace(id="my-own")).forget()
    app.control.revoke("my-own")


def test_the_same_id_is_sent_once() -> None:
    task_id = str(uuid4())
    for _ in range(2):
        shop.add.apply_async((1, 2), task_id=task_id)
    assert len(drain()) == 1


def test_a_result_can_be_forgotten() -> None:
    result = shop.add.delay(1, 2)
    drain()
    result.forget()
    assert fresh(result).state == "PENDING"
    assert not Task.objects.exists()


def test_a_run_tells_what_it_is_doing() -> None:
    result = shop.progress.delay()
    drain()
    assert fresh(result).get() == ["PROGRESS", 0, True, "COUNTING", 1, True]


def test_ignore_ends_a_task_that_has_no_answer() -> None:
    result = shop.ignored.delay()
    drain()
    assert fresh(result).state == "REVOKED"


@pytest.mark.parametrize("kind", ["nul", "surrogate", "big", "keys"])
def test_any_result_of_json_comes_back(kind: str) -> None:
    result = shop.weird.delay(kind)
    drain()
    values = {"nul": "a\0b", "surrogate": "\ud800", "big": 2**80, "keys": {"1": 2}}
    assert fresh(result).get() == values[kind]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("nan", EncodeError), ("object", EncodeError), ("deep", RecursionError),
     ("large", PermanentError)],
)  # fmt: skip
def test_any_other_result_is_an_answer_that_says_so(kind: str, error: type[Exception]) -> None:
    result = shop.weird.delay(kind)
    drain()
    with pytest.raises(error):
        fresh(result).get()


def test_words_that_the_database_cannot_hold_are_shown_readably(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = shop.fail_weirdly.delay()
    # pytest-xdist cannot hand on a log with half of a surrogate pair.
    with caplog.at_level(logging.CRITICAL, "celery.app.trace"):
        drain()
    assert Task.objects.get(pk=result.id).error_message == "a\\x00b \\ud800"
    with pytest.raises(ValueError, match="a\0b \ud800"):
        fresh(result).get()


def test_retry_without_an_exception_is_refused_by_name() -> None:
    result = shop.retry_without_throwing.delay()
    drain()
    assert Task.objects.get(pk=result.id).error_type == "RefusedError"


@pytest.mark.parametrize(
    "call",
    [lambda: shop.add.replace(shop.add.s(1, 1)), lambda: shop.add.add_to_chord(shop.add.s(1, 1)),
     lambda: app.control.ping(), lambda: app.control.inspect().active(),
     lambda: app.control.revoke("x", destination=["a@b"])],
)  # fmt: skip
def test_what_does_not_exist_here_is_refused_by_name(call: Any) -> None:
    with pytest.raises(RefusedError):
        call()


def test_two_tasks_of_one_name_are_refused_where_they_are_declared() -> None:
    def another(x: int, y: int) -> int:
        return x * y

    for name in ("web.tasks.tests.shop.add", "compute.run"):
        with pytest.raises(ImproperlyConfigured, match=name):
            app.task(another, name=name)
    app.task(shop.add.run, name="web.tasks.tests.shop.add")  # the same once more


@pytest.mark.parametrize(
    ("option", "value"),
    [("acks_late", False), ("reject_on_worker_lost", False), ("rate_limit", "10/m")],
)
def test_a_task_that_would_be_lost_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=option):
        app.task(lambda: None, name=f"shop.{option}", **{option: value})


def test_a_class_of_ones_own_has_what_all_tasks_have() -> None:
    class Doubling(celery.Task):  # type: ignore[type-arg]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * super().__call__(*args, **kwargs)

    doubled = app.task(shop.add.run, name="shop.doubled", base=Doubling)
    try:
        assert isinstance(doubled, WebTask)
        result = doubled.delay(1, 2)
        drain()
        assert result.get() == 6
    finally:
        app.tasks.pop("shop.doubled")
    with pytest.raises(ImproperlyConfigured, match="WebTask"):
        app.register_task(Doubling())


def test_eager_tasks_run_at_the_call_and_leave_nothing() -> None:
    app.conf.task_always_eager = True
    try:
        assert shop.add.delay(1, 2).get() == 3
        assert celery.group(shop.add.s(1, 2), shop.add.s(3, 4)).apply_async().get() == [3, 7]
    finally:
        app.conf.task_always_eager = False
    assert not Task.objects.exists()


def test_a_name_that_no_routing_key_holds_is_refused() -> None:
    with pytest.raises(RefusedError, match="longer"):
        app.send_task("a" * 250)
