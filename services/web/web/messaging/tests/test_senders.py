"""The collector believes each service only of its own tasks and workers."""

from functools import partial
from typing import Any

import msgspec
import pytest
from kombu import Connection

from contracts import events, topology
from contracts.events import TaskState
from contracts.tasks import SEND_EMAIL
from tests.support.polling import poll
from web.jobs.models import Job
from web.jobs.tests.factories import BEGINNING, event
from web.mail.results import MAILS
from web.mail.tests.factories import event as mail_event
from web.mail.tests.factories import make_mail
from web.messaging.inbox.collector import OTHER_EXCHANGE, OTHER_KEY, apply
from web.messaging.models import DeadLetter, Worker
from web.messaging.tests.arriving import arrive, encoded, receive

pytestmark = pytest.mark.django_db


def test_an_event_under_the_routing_key_of_another_service_is_a_dead_letter(
    amqp: Connection, job: Job
) -> None:
    email = make_mail()
    MAILS.apply([mail_event(email.id, TaskState.FAILURE)])
    apply(arrive(amqp, encoded(mail_event(email.id, TaskState.SUCCESS)), key="compute.run.success"))
    apply(arrive(amqp, encoded(event(job.id, TaskState.FAILURE)), key="compute.run.success"))
    email.refresh_from_db()
    job.refresh_from_db()
    assert (email.state, job.state) == ("failed", "queued")
    details = DeadLetter.objects.values_list("reason", "detail")
    assert list(details) == 2 * [("malformed", OTHER_KEY)]


@pytest.mark.parametrize(
    ("key", "service", "worker"),
    [
        ("compute.report", "mailer", "mailer-1@host"),
        ("compute.report", "compute", "mailer-1@host"),
        ("compute.run.report", "compute", "compute-1@host"),
    ],
)
def test_a_report_in_the_name_of_another_is_a_dead_letter(
    amqp: Connection, key: str, service: str, worker: str
) -> None:
    report = events.WorkerReport(
        service=service, worker=worker, at=BEGINNING, holding=[], checks={}
    )
    apply(arrive(amqp, msgspec.json.encode(report), key=key))
    assert not Worker.objects.exists()
    assert DeadLetter.objects.get().detail == OTHER_KEY


def test_what_a_service_reports_through_its_exchange_of_another_is_a_dead_letter(
    amqp: Connection,
) -> None:
    email = make_mail()
    worker = events.WorkerReport(
        service="mailer", worker="mailer-1@host", at=BEGINNING, holding=[], checks={}
    )
    computation = events.Catalogue(worker="w", at=BEGINNING, computations=[])
    headers = {"task": SEND_EMAIL.name, "id": str(email.id), "retries": 0}
    through_compute = partial(arrive, amqp, exchange="warren.results.compute")
    apply(through_compute(encoded(mail_event(email.id, TaskState.SUCCESS))))
    apply(through_compute(msgspec.json.encode(worker), key=worker.routing_key))
    apply(through_compute(b"{", key="mailer.refused", headers=headers))
    through_mailer = partial(arrive, amqp, exchange="warren.results.mailer")
    apply(through_mailer(msgspec.json.encode(computation), key=events.CATALOGUE_ROUTING_KEY))
    email.refresh_from_db()
    assert email.state == "queued"
    assert not Worker.objects.exists()
    letters = DeadLetter.objects.values_list("reason", "detail", "task_id")
    assert list(letters) == 4 * [("malformed", OTHER_EXCHANGE, None)]


def test_a_result_that_died_in_its_queue_speaks_for_no_task(amqp: Connection) -> None:
    email = make_mail()
    headers = {"task": SEND_EMAIL.name, "id": str(email.id), "retries": 0}
    amqp.Producer(auto_declare=False).publish(
        b"{}", exchange="warren.results.compute", routing_key="compute.run.success",
        headers=headers, expiration=0.001,  # which a worker may set, too
    )  # fmt: skip
    with amqp.channel() as opened:
        channel: Any = opened
        dead = partial(channel.queue_declare, topology.WEB_DEAD.name, passive=True)
        poll(lambda: dead().message_count, what="dead letter")
    apply(receive(amqp, 1))
    email.refresh_from_db()
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.queue, letter.task_id) == ("expired", "web.results", None)
    assert email.state == "queued"


@pytest.mark.parametrize(
    ("key", "fails"),
    [
        ("mailer.refused", True),
        ("compute.refused", False),
        ("compute.run.success", False),
        ("mailer.send_email.success", False),
    ],
)
def test_the_headers_of_a_message_speak_only_for_tasks_that_its_service_refused(
    amqp: Connection, key: str, fails: bool
) -> None:
    email = make_mail()
    headers = {"task": SEND_EMAIL.name, "id": str(email.id), "retries": 0}
    apply(arrive(amqp, b"{", key=key, headers=headers))
    email.refresh_from_db()
    assert email.state == ("failed" if fails else "queued")
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.task) == ("malformed", SEND_EMAIL.name)
    assert letter.task_id == (email.id if fails else None)
