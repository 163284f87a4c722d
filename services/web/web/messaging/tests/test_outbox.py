"""The outbox keeps a message exactly as long as its transaction and the broker want."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from celery.exceptions import InvalidTaskError
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedMessageError
from contracts.headers import TaskBody, TaskHeaders
from contracts.tasks import RUN_COMPUTATION, SEND_EMAIL, RunComputation, SendEmail
from web.messaging.broker.client import app
from web.messaging.models import OutboxMessage
from web.messaging.outbox import leases, outbox
from web.postgresql.wakeup import OUTBOX_CHANNEL, Listener
from worker.headers import require


def store(**options: object) -> UUID:
    task_id = uuid4()
    payload = RunComputation(job_id=str(task_id), computation="add", arguments={"x": 1})
    with transaction.atomic():
        outbox.send(RUN_COMPUTATION, payload, task_id=task_id, **options)  # type: ignore[arg-type]
    return task_id


@pytest.mark.django_db(transaction=True)
def test_a_message_outside_of_a_transaction_is_refused() -> None:
    payload = RunComputation(job_id="1", computation="add", arguments={})
    with pytest.raises(outbox.OutsideTransactionError, match=r"transaction\.atomic"):
        outbox.send(RUN_COMPUTATION, payload, task_id=uuid4())
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_goes_away_with_its_transaction() -> None:
    with transaction.atomic():
        store()
        assert OutboxMessage.objects.exists()
        transaction.set_rollback(True)
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db
def test_a_payload_against_its_contract_is_refused() -> None:
    payload = RunComputation(job_id="1", computation="add", arguments=7)  # type: ignore[arg-type]
    with pytest.raises(MalformedMessageError, match=r"arguments"):
        outbox.send(RUN_COMPUTATION, payload, task_id=uuid4())


@pytest.mark.django_db(transaction=True)
def test_messages_are_stored_together_in_a_transaction_and_nowhere_else() -> None:
    tasks = [(uuid4(), {"x": number}, (1, number)) for number in (2, 3, 4)]
    sent = [
        outbox.FirstRun(
            task_id,
            RunComputation(job_id=str(task_id), computation="add", arguments=values),
            limits,
            0.5,
        )
        for task_id, values, limits in tasks
    ]
    with pytest.raises(outbox.OutsideTransactionError):
        outbox.send_all(RUN_COMPUTATION, sent)
    with transaction.atomic():
        outbox.send_all(RUN_COMPUTATION, sent)
    for (task_id, values, limits), stored in zip(tasks, leases.claim(10), strict=True):
        message = message_of("add", values, task_id, time_limits=limits)
        message.expected = 0.5
        message.headers["accepted_at"] = stored.headers["accepted_at"]
        for field in outbox_fields():
            assert getattr(stored, field) == getattr(message, field)


def outbox_fields() -> list[str]:
    by_database = {"id", "created_at", "due_at", "leased_until"}
    return [field.name for field in OutboxMessage._meta.fields if field.name not in by_database]


@given(
    computation=st.text(max_size=30) | st.sampled_from(["add", "acme.count"]),
    arguments=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text()),
    task_id=st.uuids(),
    retries=st.integers(0, 100),
    time_limits=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_a_message_is_the_one_that_celery_would_make(
    computation: str,
    arguments: dict[str, Any],
    task_id: UUID,
    retries: int,
    time_limits: tuple[int, int] | None,
) -> None:
    message = message_of(computation, arguments, task_id, retries=retries, time_limits=time_limits)
    payload = {"job_id": str(task_id), "computation": computation, "arguments": arguments}
    shadow = RUN_COMPUTATION.shadow(payload)
    soft, hard = time_limits or (None, None)
    made = app.amqp.create_task_message(
        str(task_id), "compute.run", (), payload, shadow=shadow, retries=retries, argsrepr="()",
        kwargsrepr=RUN_COMPUTATION.shown_arguments(payload), soft_time_limit=soft,
        time_limit=hard, create_sent_event=True, origin="web",
    )  # fmt: skip
    assert message.headers == made.headers | outbox.origin(timezone.now()) | {
        "accepted_at": message.headers["accepted_at"]
    }
    assert message.properties == made.properties | outbox.PROPERTIES
    assert message.body == msgspec.json.encode(made.body)
    assert message.sent_event == made.sent_event | {"name": shadow or "compute.run"}


def message_of(
    computation: str, arguments: dict[str, Any], task_id: UUID, **options: Any
) -> OutboxMessage:
    payload = RunComputation(job_id=str(task_id), computation=computation, arguments=arguments)
    return outbox.task_message(RUN_COMPUTATION, payload, task_id=task_id, **options)


@pytest.mark.django_db
def test_what_flower_may_not_show_is_not_in_the_headers() -> None:
    payload = SendEmail(
        email_id="1", template="verify_email", recipient="ada@example.org",
        context={"verification_key": "planted-secret"},
    )  # fmt: skip
    outbox.send(SEND_EMAIL, payload, task_id=uuid4())
    message = OutboxMessage.objects.get()
    shown = f"{message.headers}{message.properties}{message.sent_event}"
    assert "verify_email" in shown
    assert "planted-secret" not in shown
    assert "ada@example.org" not in shown
    assert b"planted-secret" in bytes(message.body)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("computation", "shadow"),
    [
        ("add", "compute.add"),
        ("acme.count_words", "compute.acme.count_words"),
        ("<b>add</b>", None),
        ("add\n", None),
        ("a" * 200, None),
        ("", None),
    ],
)
def test_flower_names_the_computation_and_shows_no_other_text(
    computation: str, shadow: str | None
) -> None:
    payload = RunComputation(job_id="1", computation=computation, arguments={})
    outbox.send(RUN_COMPUTATION, payload, task_id=uuid4())
    message = OutboxMessage.objects.get()
    assert message.headers["shadow"] == shadow
    assert message.sent_event is not None
    assert message.sent_event["name"] == (shadow or "compute.run")
    assert (message.headers["task"], message.routing_key) == ("compute.run", "compute.run")
    require(TaskHeaders, message.headers)
    require(TaskBody, msgspec.json.decode(message.body))


@pytest.mark.parametrize("shadow", ["<b>add</b>", "compute.add\n", "compute." + "a" * 200, "add"])
def test_a_worker_refuses_any_other_text_for_flower(shadow: str) -> None:
    headers = {"id": str(uuid4()), "task": RUN_COMPUTATION.name, "shadow": shadow}
    with pytest.raises(InvalidTaskError):
        require(TaskHeaders, headers)


@pytest.mark.django_db
def test_a_claimed_message_is_not_claimed_again_until_its_lease_has_run_out() -> None:
    store()
    (message,) = leases.claim(10)
    assert leases.claim(10) == []
    OutboxMessage.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert [again.pk for again in leases.claim(10)] == [message.pk]


@pytest.mark.django_db
def test_a_message_is_not_claimed_before_it_is_due() -> None:
    store(available_at=timezone.now() + timedelta(hours=1))
    assert leases.claim(10) == []
    OutboxMessage.objects.update(due_at=timezone.now())
    assert len(leases.claim(10)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_relays_never_claim_the_same_message_and_never_wait_for_each_other() -> None:
    ids = {store() for _ in range(6)}
    theirs: list[OutboxMessage] = []

    def claim_elsewhere() -> None:
        theirs.extend(leases.claim(3))
        connection.close()

    with transaction.atomic():  # the first relay's claim is not committed yet
        ours = leases.claim(3)
        other = threading.Thread(target=claim_elsewhere)
        other.start()
        other.join(30)
        assert not other.is_alive()
    assert {message.task_id for message in (*ours, *theirs)} == ids


@pytest.mark.django_db
def test_only_a_message_that_no_relay_has_can_be_withdrawn() -> None:
    claimed, free = store(), store(available_at=timezone.now() + timedelta(hours=1))
    leases.claim(10)
    assert outbox.withdraw(free)
    assert not outbox.withdraw(claimed)


@pytest.mark.django_db
def test_a_refused_message_waits_longer_each_time() -> None:
    store()
    waits = []
    for _ in range(3):
        OutboxMessage.objects.update(due_at=timezone.now())
        (message,) = leases.claim(1)
        leases.postpone([(message, "a queue is full")])
        message.refresh_from_db()
        waits.append(message.due_at - timezone.now())
    assert waits == sorted(waits)
    assert (message.refusals, message.last_refusal) == (3, "a queue is full")


@pytest.mark.django_db(transaction=True)
def test_a_commit_wakes_the_relay_once() -> None:
    with Listener(OUTBOX_CHANNEL) as listener:
        with transaction.atomic():
            store()
            store()
            assert listener.wait(0.05) == []
        assert listener.wait(30) == [""]
        assert listener.wait(0.05) == []


@pytest.mark.django_db(transaction=True)
def test_a_message_is_accepted_though_the_connection_breaks_before_its_notification() -> None:
    def end_connection() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with transaction.atomic():
        transaction.on_commit(end_connection, robust=True)
        store()
    connection.close()
    assert OutboxMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_can_be_done_again_does_not_wait_for_the_disk() -> None:
    task_id = store()

    def setting_after(statement: Callable[[], object]) -> str:
        with transaction.atomic():
            statement()
            with connection.cursor() as cursor:
                cursor.execute("SHOW synchronous_commit")
                return str(cursor.fetchone()[0])

    assert setting_after(lambda: leases.claim(10)) == "off"
    message = OutboxMessage.objects.get(task_id=task_id)
    assert message.leased_until
    assert setting_after(lambda: leases.delete(message)) == "on"  # the transaction of a dead letter
    store()
    [message] = leases.claim(10)
    assert setting_after(lambda: leases.forget_confirmed([message.pk])) == "off"
    assert not OutboxMessage.objects.exists()
    assert setting_after(lambda: store()) == "on"
