"""The collector and messages that cannot be read: each becomes a dead letter, and stops nothing."""

import gzip
import struct
from typing import Any

import msgspec
import pytest
from amqp.basic_message import Message as BasicMessage
from kombu import Connection

from contracts import events, topology
from contracts.events import TaskState
from web.jobs.models import Computation, Job
from web.jobs.tests.factories import BEGINNING, event, make_job
from web.messaging.inbox.collector import apply
from web.messaging.models import DeadLetter
from web.messaging.tests.arriving import arrive, encoded, receive

pytestmark = pytest.mark.django_db


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
    computation = events.Computation(
        name="add", summary="Add.", description="", arguments=schema, result={},
        soft_time_limit=1, time_limit=2, memory_limit=3,
    )  # fmt: skip
    catalogue = events.Catalogue(worker="w", at=BEGINNING, computations=[computation])
    apply(arrive(amqp, msgspec.json.encode(catalogue), key=events.CATALOGUE_ROUTING_KEY))
    assert not Computation.objects.exists()
    assert DeadLetter.objects.get().detail.startswith("a schema of 'add' is not valid: ")


def test_what_is_nested_without_end_becomes_a_dead_letter(amqp: Connection, job: Job) -> None:
    deep = b"[" * 100_000
    result = encoded(event(job.id, TaskState.SUCCESS)).replace(b'"result":10', b'"result":' + deep)
    apply(arrive(amqp, deep, result, encoded(event(job.id, TaskState.STARTED))))
    job.refresh_from_db()
    assert job.state == "running"
    assert DeadLetter.objects.filter(reason="malformed", queue="web.results").count() == 2


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
