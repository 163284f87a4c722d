"""Which tasks are published again, and which are left in peace, on a real broker."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from amqp import Message
from django.db import transaction
from kombu import Connection, Consumer
from pytest_django import Settings

from contracts import topology
from contracts.liveness import LivenessFile
from contracts.results import TaskState, WorkerReport
from web.jobs import cancellation, submission
from web.jobs import results as job_results
from web.jobs.models import Job
from web.jobs.tests.factories import event, make_job, make_user
from web.mail import results as mail_results
from web.mail.models import Email
from web.mail.tests.factories import make_mail
from web.messaging import workers
from web.messaging.lifecycle import StopSignal
from web.messaging.models import OutboxMessage, Worker
from web.messaging.reconciliation import BATCH, Reconciler

pytestmark = pytest.mark.django_db
QUEUES = ("compute", "mailer", "web.results", "web.dead")


@pytest.fixture(autouse=True)
def _at_once(settings: Settings) -> None:
    settings.RECONCILE_AFTER = 0.0


@pytest.fixture
def staffed(amqp: Connection) -> Iterator[Connection]:
    """A broker with workers that report; each queue has a consumer that takes one message."""
    with ExitStack() as consuming:
        for queue in QUEUES:
            consume(consuming, amqp, queue)
        for service in topology.SERVICES:
            report(service)
        yield amqp


def consume(consuming: ExitStack, amqp: Connection, queue: str) -> None:
    known = next(each for each in topology.QUEUES if each.name == queue)
    connection = consuming.enter_context(amqp.clone())  # which nobody reads from
    consumer = Consumer(connection, [known], auto_declare=False, prefetch_count=1, on_message=print)
    before = _consumers(amqp, queue)
    consumer.consume()
    while _consumers(amqp, queue) == before:
        pass  # a quorum queue needs a moment to know


def _consumers(amqp: Connection, queue: str) -> int:
    with opened(amqp) as channel:
        return int(channel.queue_declare(queue, passive=True).consumer_count)


@contextmanager
def opened(amqp: Connection) -> Iterator[Any]:
    """Open a channel, for what only amqp itself can do."""
    with amqp.channel() as channel:
        yield channel


def put(amqp: Connection, exchange: str, key: str, count: int = 2) -> None:
    """Publish messages, of which a consumer takes one, and wait until they are there."""
    with opened(amqp) as channel:
        for _ in range(count):
            channel.basic_publish_confirm(Message(b"{}"), exchange, key, mandatory=True)


def report(service: str, *holding: UUID, node: str = "") -> None:
    workers.record(
        [
            WorkerReport(
                service=service,
                worker=node or f"{service}-1@host",
                at=datetime.now(UTC),
                holding=[str(task_id) for task_id in holding],
                checks={},
            )
        ]
    )


def reconciler() -> Reconciler:
    return Reconciler(StopSignal(), LivenessFile(""))


def lost_job(**fields: Any) -> Job:
    """A job whose message was published and is nowhere."""
    return make_job(make_user(f"{Job.objects.count()}@example.org"), **fields)


def published_again() -> dict[UUID | None, int]:
    """The outbox: task ids, and the number of runs before."""
    return {each.task_id: each.headers["retries"] for each in OutboxMessage.objects.all()}


def test_a_job_that_is_nowhere_is_queued_again_and_outranks_what_it_did_before(
    staffed: Connection,
) -> None:
    job = lost_job(state="running", attempt=2, phase=2, progress_done=7)
    reconciler().look(staffed)
    assert published_again() == {job.id: 2}
    job.refresh_from_db()
    assert (job.state, job.republished) == ("queued", 1)
    assert job.dispatched_at > job.created_at
    with transaction.atomic():
        job_results.apply([event(job.id, TaskState.STARTED, 3)])
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("running", 3)


@pytest.mark.parametrize("state", ["queued", "sending", "retrying"])
def test_a_mail_that_is_nowhere_is_queued_again(staffed: Connection, state: str) -> None:
    email = make_mail(state=state, attempt=1)
    reconciler().look(staffed)
    assert published_again() == {email.id: 1}
    email.refresh_from_db()
    assert (email.state, email.republished) == ("queued", 1)


def test_what_has_only_just_vanished_is_watched_first(
    staffed: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    lost_job()
    watching = reconciler()
    for _ in range(3):
        watching.look(staffed)
    assert published_again() == {}
    settings.RECONCILE_AFTER = 0.0
    watching.look(staffed)
    assert len(published_again()) == 1


def test_a_task_in_the_hands_of_a_worker_is_left_in_peace(staffed: Connection) -> None:
    job = lost_job(state="running")
    report("compute", job.id)
    reconciler().look(staffed)
    assert published_again() == {}


def test_a_task_whose_message_waits_in_the_outbox_is_left_in_peace(staffed: Connection) -> None:
    job = lost_job()
    with transaction.atomic():
        submission.dispatch(job, available_at=datetime.now(UTC) + timedelta(hours=1))
    reconciler().look(staffed)
    assert OutboxMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("exchange", "key"),
    [("warren.tasks", "compute.run"), ("warren.results", "x"), ("warren.dead", "x")],
)
def test_nothing_is_concluded_while_messages_wait(
    staffed: Connection, exchange: str, key: str
) -> None:
    lost_job()
    put(staffed, exchange, key)
    reconciler().look(staffed)
    assert published_again() == {}


def test_nothing_is_concluded_while_no_worker_reports(staffed: Connection) -> None:
    lost_job()
    Worker.objects.update(seen_at=datetime.now(UTC) - 2 * workers.SEEN)
    reconciler().look(staffed)
    assert published_again() == {}


def test_nothing_is_concluded_while_a_consumer_does_not_report(staffed: Connection) -> None:
    lost_job()
    with ExitStack() as consuming:
        consume(consuming, staffed, "compute")  # a frozen worker, which may hold anything
        reconciler().look(staffed)
        assert published_again() == {}
        report("compute", node="compute-2@host")
        reconciler().look(staffed)
        assert len(published_again()) == 1


def test_a_task_that_others_have_overtaken_by_far_is_lost_although_the_queue_is_not_empty(
    staffed: Connection, settings: Settings
) -> None:
    now = datetime.now(UTC)
    ages = (settings.RECONCILE_OVERTAKEN * factor for factor in (1.2, 0.8, 0))
    lost, waiting, running = (
        lost_job(dispatched_at=now - timedelta(seconds=seconds)) for seconds in ages
    )
    report("compute", running.id)
    put(staffed, "warren.tasks", "compute.run")
    reconciler().look(staffed)
    assert list(published_again()) == [lost.id]
    assert waiting.id not in published_again()


def test_a_task_that_keeps_getting_lost_fails_in_the_end(
    staffed: Connection, settings: Settings
) -> None:
    job, email = lost_job(), make_mail()
    watching = reconciler()
    for _ in range(settings.RECONCILE_LIMIT):
        watching.look(staffed)
        assert OutboxMessage.objects.all().delete()[0] == 2
    watching.look(staffed)
    job.refresh_from_db()
    email.refresh_from_db()
    assert job.error == {"type": "Lost", "message": "its message got lost 4 times"}
    assert (job.state, job.republished, email.state) == ("failed", 3, "failed")
    assert email.answer == "its message got lost 4 times"
    assert job.finished_at
    assert email.failed_at
    assert published_again() == {}


def test_an_operator_who_replays_grants_new_tries() -> None:
    job = lost_job(state="failed", republished=3)
    email = make_mail(state="failed", republished=3)
    with transaction.atomic():
        job_results.replay([job.id])
        mail_results.replay([email.id])
    assert Job.objects.get().republished == Email.objects.get().republished == 0


def test_what_is_finished_or_cancelled_is_never_published_again(staffed: Connection) -> None:
    for state in Job.FINAL:
        lost_job(state=state)
    cancelled = lost_job(state="running")
    cancellation.cancel(cancelled.owner, cancelled.id)
    OutboxMessage.objects.all().delete()  # the revoking
    for outcome in Email.FINAL:
        make_mail(state=outcome)
    reconciler().look(staffed)
    assert published_again() == {}


def test_two_reconcilers_publish_a_task_once(staffed: Connection, settings: Settings) -> None:
    settings.RECONCILE_AFTER = 3600.0
    job = lost_job()
    first, second = reconciler(), reconciler()
    for each in (first, second):
        each.look(staffed)
    settings.RECONCILE_AFTER = 0.0
    first.look(staffed)
    assert list(published_again()) == [job.id]
    OutboxMessage.objects.all().delete()  # the relay has published it
    settings.RECONCILE_AFTER = 1.0
    second.look(staffed)
    assert published_again() == {}


def test_a_deleted_queue_is_declared_and_what_was_in_it_published_again_at_once(
    amqp: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    waiting, running = lost_job(), lost_job(state="running")
    make_mail()  # its queue is there all the time
    with opened(amqp) as channel:
        channel.queue_delete("compute")
    report("compute")
    watching = reconciler()
    watching.look(amqp)
    topology.check(amqp)
    with ExitStack() as consuming:
        consume(consuming, amqp, "compute")
        watching.look(amqp)
        assert published_again() == {}, "no worker has said since then what it holds"
        report("compute", running.id)
        watching.look(amqp)
    assert list(published_again()) == [waiting.id]


def test_a_deleted_exchange_is_declared_and_bound_again(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.exchange_delete("warren.results")
    reconciler().look(staffed)
    topology.check(staffed)
    put(staffed, "warren.results", "compute.run.started")
    with opened(staffed) as channel:
        assert channel.queue_declare("web.results", passive=True).message_count == 1


def test_a_deleted_binding_is_made_again(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.queue_unbind("mailer", "warren.tasks", "mailer.#")
    reconciler().look(staffed)
    put(staffed, "warren.tasks", "mailer.send_email")
    with opened(staffed) as channel:
        assert channel.queue_declare("mailer", passive=True).message_count == 1


def test_what_differs_is_left_and_the_rest_declared(staffed: Connection) -> None:
    with opened(staffed) as channel:
        channel.exchange_delete("warren.results")
        channel.exchange_declare("warren.results", "fanout", durable=True, auto_delete=False)
        channel.queue_delete("compute")
    reconciler().look(staffed)
    assert topology.compare(staffed).missing == []
    assert "warren.results" in topology.compare(staffed).problems[0]


def test_many_are_published_again_in_several_transactions(staffed: Connection) -> None:
    owner = make_user()
    Job.objects.bulk_create(
        Job(owner=owner, computation="add", arguments={}, soft_time_limit=1, time_limit=2)
        for _ in range(BATCH + 1)
    )
    reconciler().look(staffed)
    assert len(published_again()) == Job.objects.filter(republished=1).count() == BATCH + 1
