"""The collector against a real broker: nothing that arrives is lost, and nothing stops it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import msgspec
import pytest
from django.db import connection as database
from django.db import transaction
from kombu import Connection, Exchange

from contracts import events, topology
from contracts.events import TaskError, TaskState
from contracts.tasks import SEND_EMAIL
from tests.support.polling import poll
from web.jobs.models import Computation, Job
from web.jobs.tests.factories import BEGINNING, event, make_job
from web.mail.models import Email
from web.mail.tests.factories import event as mail_event
from web.mail.tests.factories import make_mail
from web.messaging.broker.arrivals import Arrival
from web.messaging.inbox.collector import apply
from web.messaging.models import DeadLetter
from web.messaging.tests.arriving import arrive, encoded, publish, receive
from web.messaging.tests.factories import dead_message
from web.messaging.tests.running import waits_for_a_lock

pytestmark = pytest.mark.django_db
SENDING = {"email_id": "1", "template": "reminder", "recipient": "a@example.org", "context": {}}


def test_a_batch_of_results_is_applied(amqp: Connection, job: Job) -> None:
    other = make_job(job.owner)
    messages = arrive(
        amqp,
        encoded(event(job.id, TaskState.STARTED)),
        encoded(event(other.id, TaskState.FAILURE)),
        encoded(event(job.id, TaskState.SUCCESS)),
    )
    apply(messages)
    states = dict(Job.objects.values_list("id", "state"))
    assert states == {job.id: "succeeded", other.id: "failed"}


@pytest.mark.django_db(transaction=True)
def test_jobs_are_locked_before_mails_however_a_batch_is_ordered(
    amqp: Connection, job: Job
) -> None:
    email = make_mail()
    arrivals = mail_event(email.id, "STARTED"), event(job.id, TaskState.STARTED)
    messages = arrive(amqp, *map(encoded, arrivals))

    def collect() -> None:
        try:
            apply(messages)
        finally:
            database.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Job.objects.select_for_update().get()
            applied = pool.submit(collect)
            poll(waits_for_a_lock, what="collector that waits for the job")
            Email.objects.select_for_update(nowait=True).get()  # another's, that waits for no job
        applied.result(timeout=60)
    assert (Job.objects.get().state, Email.objects.get().state) == ("running", "sending")


def test_an_announced_catalogue_is_taken_over(amqp: Connection) -> None:
    computation = events.Computation(
        name="add", summary="Add.", description="", arguments={"type": "object"},
        result={"type": "number"}, soft_time_limit=1, time_limit=2, memory_limit=3,
    )  # fmt: skip
    catalogue = events.Catalogue(worker="w", at=BEGINNING, computations=[computation])
    key = events.CATALOGUE_ROUTING_KEY
    apply(arrive(amqp, msgspec.json.encode(catalogue), key=key))
    assert Computation.objects.get(available=True).name == "add"
    without = msgspec.structs.replace(catalogue, computations=[])
    apply(arrive(amqp, msgspec.json.encode(without), key=key))
    assert Computation.objects.filter(available=True).exists()  # another worker may still have it
    Computation.objects.update(announced_at=BEGINNING)
    apply(arrive(amqp, msgspec.json.encode(without), key=key))
    assert not Computation.objects.filter(available=True).exists()


def test_what_the_relay_could_not_route_fails_its_job(amqp: Connection, job: Job) -> None:
    amqp.Producer(auto_declare=False).publish(
        b"[[], {}, {}]", exchange=topology.TASKS.name, routing_key="nobody.knows",
        headers={"task": "compute.run", "id": str(job.id), "retries": 0},
        content_type="application/json", content_encoding="utf-8",
    )  # fmt: skip
    apply(receive(amqp, 1))
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.task_id) == ("unrouted", job.id)
    job.refresh_from_db()
    assert job.state == "failed"
    assert job.error is not None
    assert "nobody.knows" in job.error["message"]


def test_results_of_unknown_tasks_are_ignored(amqp: Connection) -> None:
    with amqp.channel() as channel:  # of a service that a newer version has declared
        topology.results_exchange("other")(channel).declare()
        topology.WEB_RESULTS(channel).bind_to(topology.results_name("other"), "#")
    stranger = msgspec.structs.replace(event(uuid4(), TaskState.SUCCESS), task="other.task")
    apply(arrive(amqp, encoded(stranger), encoded(event(uuid4(), TaskState.SUCCESS))))
    assert not DeadLetter.objects.exists()


def test_what_workers_of_an_older_version_report_lands(amqp: Connection, job: Job) -> None:
    with amqp.channel() as channel:  # as that version has left it
        Exchange(topology.OLD_RESULTS, "topic")(channel).declare()
        topology.WEB_RESULTS(channel).bind_to(topology.OLD_RESULTS, "#")
    success = encoded(event(job.id, TaskState.SUCCESS))
    apply(arrive(amqp, success, exchange=topology.OLD_RESULTS))
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("first", ["error", "letter", "together"])
def test_a_rejected_letter_says_with_what_error_its_task_ended(
    amqp: Connection, first: str
) -> None:
    mail = make_mail()
    failure = mail_event(mail.id, TaskState.FAILURE)
    ended = msgspec.structs.replace(
        failure, error=TaskError("MalformedMessageError", "there is no mail template 'reminder'")
    )
    dead = dead_message(mail.id, msgspec.json.encode([[], SENDING, {}]), task=SEND_EMAIL.name)

    def send(*parts: str) -> list[Arrival]:
        if "error" in parts:
            publish(amqp, encoded(ended))
        if "letter" in parts:
            publish(amqp, dead.body, exchange="warren.dead", key="x", headers=dead.headers)
        return receive(amqp, len(parts))

    if first == "together":
        apply(send("error", "letter"))
    else:
        apply(send(first))
        apply(send("letter" if first == "error" else "error"))
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.task_id) == ("rejected", mail.id)
    assert letter.detail == "there is no mail template 'reminder'"


def test_a_rejected_letter_of_which_nobody_knows_the_error_leads_to_the_log(
    amqp: Connection, job: Job
) -> None:
    dead = dead_message(job.id)
    publish(amqp, dead.body, exchange="warren.dead", key="x", headers=dead.headers)
    apply(receive(amqp, 1))
    assert DeadLetter.objects.get().detail.endswith("the worker's log names it")
