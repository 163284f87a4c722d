"""The collector against a real broker: nothing that arrives is lost, and nothing stops it."""

import gzip
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from amqp.basic_message import Message as BasicMessage
from django.db import connection as database
from django.db import transaction
from kombu import Connection, Exchange, Message

from contracts import results, topology
from contracts.results import TaskError, TaskEvent, TaskState
from contracts.tasks import SEND_EMAIL
from web.jobs.models import Computation, Job
from web.jobs.tests.factories import BEGINNING, event, make_job, make_user
from web.mail.models import Email
from web.mail.results import MAILS
from web.mail.tests.factories import event as mail_event
from web.mail.tests.factories import make_mail
from web.messaging.collector import OTHER_EXCHANGE, OTHER_KEY, apply
from web.messaging.inbox import Inbox
from web.messaging.models import DeadLetter, Worker
from web.messaging.tests.arriving import publish
from web.messaging.tests.factories import corpse
from web.messaging.tests.running import poll, waits_for_a_lock

pytestmark = pytest.mark.django_db
SENDING = {"email_id": "1", "template": "reminder", "recipient": "a@example.org", "context": {}}


@pytest.fixture
def job() -> Job:
    return make_job(make_user())


def arrive(
    amqp: Connection,
    *bodies: bytes,
    key: str | None = None,
    headers: dict[str, Any] | None = None,
    exchange: str = "",
) -> list[Message]:
    """Publish as a worker does, and receive through a collector's inbox."""
    publish(amqp, *bodies, key=key, headers=headers, exchange=exchange)
    return receive(amqp, len(bodies))


def receive(amqp: Connection, count: int) -> list[Message]:
    with amqp.clone() as connection:
        inbox = Inbox(connection)
        received: list[Message] = []
        while len(received) < count:
            received += inbox.receive()
        received[-1].ack(multiple=True)
    return received


def encoded(arrival: TaskEvent) -> bytes:
    return msgspec.json.encode(arrival)


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
            poll(waits_for_a_lock, "collector that waits for the job")
            Email.objects.select_for_update(nowait=True).get()  # another's, that waits for no job
        applied.result(timeout=60)
    assert (Job.objects.get().state, Email.objects.get().state) == ("running", "sending")


def test_a_malformed_result_becomes_a_dead_letter_and_stops_no_other(
    amqp: Connection, job: Job
) -> None:
    bad = [b"{not json", b'{"task_id": 1}', b"\xff\xfe", encoded(event(job.id, TaskState.STARTED))]
    bad.append(bad[-1].replace(str(job.id).encode(), b"no uuid"))
    apply(arrive(amqp, *bad, encoded(event(job.id, TaskState.SUCCESS))))
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert DeadLetter.objects.filter(reason="malformed", queue="web.results").count() == 4


def test_an_event_that_the_database_refuses_becomes_a_dead_letter(
    amqp: Connection, job: Job
) -> None:
    other = make_job(job.owner)
    huge = msgspec.structs.replace(event(job.id, TaskState.SUCCESS), attempt=2**40)
    apply(arrive(amqp, encoded(huge), encoded(event(other.id, TaskState.SUCCESS))))
    job.refresh_from_db()
    assert (job.state, job.result) == ("queued", None)
    assert Job.objects.get(pk=other.id).state == "succeeded"
    letter = DeadLetter.objects.get()
    assert letter.reason == "malformed"
    assert "DataError" in letter.detail


def test_an_announced_catalogue_is_taken_over(amqp: Connection) -> None:
    computation = results.Computation(
        name="add", summary="Add.", description="", arguments={"type": "object"},
        result={"type": "number"}, soft_time_limit=1, time_limit=2, memory_limit=3,
    )  # fmt: skip
    catalogue = results.Catalogue(worker="w", at=BEGINNING, computations=[computation])
    key = results.CATALOGUE_ROUTING_KEY
    apply(arrive(amqp, msgspec.json.encode(catalogue), key=key))
    assert Computation.objects.get(available=True).name == "add"
    without = msgspec.structs.replace(catalogue, computations=[])
    apply(arrive(amqp, msgspec.json.encode(without), key=key))
    assert Computation.objects.filter(available=True).exists()  # another worker may still have it
    Computation.objects.update(announced_at=BEGINNING)
    apply(arrive(amqp, msgspec.json.encode(without), key=key))
    assert not Computation.objects.filter(available=True).exists()


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema"},
        {"properties": {"x": {"items": [{"$ref": "https://example.org/s"}]}}},
        {"$ref": "file:///etc/passwd"},
        {"$dynamicRef": "https://example.org/s"},
        {"$ref": "#/$defs/nowhere"},
        {"type": 7},
        {"pattern": "("},
    ],
)
def test_a_catalogue_with_a_schema_that_cannot_be_used_is_a_dead_letter(
    amqp: Connection, schema: dict[str, Any]
) -> None:
    computation = results.Computation(
        name="add", summary="Add.", description="", arguments=schema, result={},
        soft_time_limit=1, time_limit=2, memory_limit=3,
    )  # fmt: skip
    catalogue = results.Catalogue(worker="w", at=BEGINNING, computations=[computation])
    apply(arrive(amqp, msgspec.json.encode(catalogue), key=results.CATALOGUE_ROUTING_KEY))
    assert not Computation.objects.exists()
    assert DeadLetter.objects.get().detail.startswith("a schema of 'add' is not valid: ")


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


@pytest.mark.parametrize(
    ("body", "claims"),
    [
        (gzip.compress(b"0" * 1000, mtime=0), {"headers": {"compression": "gzip"}}),
        (b"rubbish", {"headers": {"compression": "gzip"}}),
        ("ä".encode("utf-16"), {"content_encoding": "utf-16"}),
    ],
)
def test_a_body_is_kept_as_it_came_whatever_is_said_of_it(
    amqp: Connection, body: bytes, claims: dict[str, Any]
) -> None:
    properties = {"content_type": "text/plain", "content_encoding": "binary"} | claims
    amqp.Producer(auto_declare=False).publish(
        body, exchange="", routing_key=topology.WEB_DEAD.name, **properties
    )
    apply(receive(amqp, 1))
    letter = DeadLetter.objects.get()
    assert bytes(letter.body) == body
    assert letter.reason == "malformed"
    assert letter.detail.startswith("it came straight to web.dead; ")


def nested_table(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"F" + struct.pack(">I", len(value) + 1) + b"\x00" + value
    return b"\x01a" + value


def with_headers(table: bytes) -> bytes:
    return struct.pack(">HI", 0x2000, len(table)) + table


@pytest.mark.parametrize(
    ("properties", "detail"),
    [
        pytest.param(with_headers(b"\x01aT" + b"\xff" * 8), "OverflowError", id="time"),
        pytest.param(with_headers(b"\x01aT\x00\x00\x01" + b"\xff" * 5), "ValueError", id="year"),
        pytest.param(with_headers(nested_table(5000)), "RecursionError", id="nesting"),
        pytest.param(with_headers(b"\x02\xff\xfeV"), "truncated", id="name of a header"),
        pytest.param(with_headers(b"\x02id" + b"T" + bytes(8)), "truncated", id="id"),
        pytest.param(struct.pack(">HB", 0x0400, 2) + b"\xff\xfe", "truncated", id="correlation"),
        pytest.param(struct.pack(">HB", 0x8000, 2) + b"\xff\xfe", "truncated", id="content type"),
    ],
)
def test_properties_that_cannot_be_read_stop_nothing(
    amqp: Connection, job: Job, properties: bytes, detail: str
) -> None:
    for exchange, key in (("", "web.dead"), ("", "web.results"), ("warren.tasks", b"\xff.\xfe")):
        publish_raw(amqp, properties, exchange, key)
    messages = receive(amqp, 3)
    apply(messages)
    letters = {letter.routing_key: letter for letter in DeadLetter.objects.all()}
    assert set(letters) == {"web.dead", "web.results", r"\xff.\xfe"}
    assert detail in letters["web.dead"].detail
    apply(arrive(amqp, encoded(event(job.id, TaskState.SUCCESS))))
    job.refresh_from_db()
    assert job.state == "succeeded"


def publish_raw(amqp: Connection, properties: bytes, exchange: str, key: str | bytes) -> None:
    """Publish with properties as bytes, which no client library would send."""
    message: Any = BasicMessage(b"{")
    message._serialize_properties = lambda: properties
    with amqp.channel() as channel:
        opened: Any = channel
        opened.basic_publish_confirm(message, exchange=exchange, routing_key=key)


def test_what_is_nested_without_end_becomes_a_dead_letter(amqp: Connection, job: Job) -> None:
    deep = b"[" * 100_000
    result = encoded(event(job.id, TaskState.SUCCESS)).replace(b'"result":10', b'"result":' + deep)
    apply(arrive(amqp, deep, result, encoded(event(job.id, TaskState.STARTED))))
    job.refresh_from_db()
    assert job.state == "running"
    assert DeadLetter.objects.filter(reason="malformed", queue="web.results").count() == 2


def test_results_of_unknown_tasks_are_ignored(amqp: Connection) -> None:
    with amqp.channel() as channel:  # of a service that a newer version has declared
        topology.results_exchange("other")(channel).declare()
        topology.WEB_RESULTS(channel).bind_to(topology.results_name("other"), "#")
    stranger = msgspec.structs.replace(event(uuid4(), TaskState.SUCCESS), task="other.task")
    apply(arrive(amqp, encoded(stranger), encoded(event(uuid4(), TaskState.SUCCESS))))
    assert not DeadLetter.objects.exists()


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
    report = results.WorkerReport(
        service=service, worker=worker, at=BEGINNING, holding=[], checks={}
    )
    apply(arrive(amqp, msgspec.json.encode(report), key=key))
    assert not Worker.objects.exists()
    assert DeadLetter.objects.get().detail == OTHER_KEY


def test_what_a_service_reports_through_its_exchange_of_another_is_a_dead_letter(
    amqp: Connection,
) -> None:
    email = make_mail()
    worker = results.WorkerReport(
        service="mailer", worker="mailer-1@host", at=BEGINNING, holding=[], checks={}
    )
    computation = results.Catalogue(worker="w", at=BEGINNING, computations=[])
    headers = {"task": SEND_EMAIL.name, "id": str(email.id), "retries": 0}
    through_compute = partial(arrive, amqp, exchange="warren.results.compute")
    apply(through_compute(encoded(mail_event(email.id, TaskState.SUCCESS))))
    apply(through_compute(msgspec.json.encode(worker), key=worker.routing_key))
    apply(through_compute(b"{", key="mailer.refused", headers=headers))
    through_mailer = partial(arrive, amqp, exchange="warren.results.mailer")
    apply(through_mailer(msgspec.json.encode(computation), key=results.CATALOGUE_ROUTING_KEY))
    email.refresh_from_db()
    assert email.state == "queued"
    assert not Worker.objects.exists()
    letters = DeadLetter.objects.values_list("reason", "detail", "task_id")
    assert list(letters) == 4 * [("malformed", OTHER_EXCHANGE, None)]


def test_what_workers_of_an_older_version_report_lands(amqp: Connection, job: Job) -> None:
    with amqp.channel() as channel:  # as that version has left it
        Exchange(topology.OLD_RESULTS, "topic")(channel).declare()
        topology.WEB_RESULTS(channel).bind_to(topology.OLD_RESULTS, "#")
    success = encoded(event(job.id, TaskState.SUCCESS))
    apply(arrive(amqp, success, exchange=topology.OLD_RESULTS))
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert not DeadLetter.objects.exists()


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
        poll(lambda: dead().message_count, "dead letter")
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


@pytest.mark.parametrize("first", ["error", "letter", "together"])
def test_a_rejected_letter_says_with_what_error_its_task_ended(
    amqp: Connection, first: str
) -> None:
    mail = make_mail()
    failure = mail_event(mail.id, TaskState.FAILURE)
    ended = msgspec.structs.replace(
        failure, error=TaskError("MalformedMessageError", "there is no mail template 'reminder'")
    )
    dead = corpse(mail.id, msgspec.json.encode([[], SENDING, {}]), task=SEND_EMAIL.name)

    def send(*parts: str) -> list[Message]:
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
    dead = corpse(job.id)
    publish(amqp, dead.body, exchange="warren.dead", key="x", headers=dead.headers)
    apply(receive(amqp, 1))
    assert DeadLetter.objects.get().detail.endswith("the worker's log names it")
