"""Dead letters: diagnosed, kept once each whatever they hold, shown without secrets."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from web.jobs.tests.factories import make_job, make_user
from web.messaging.broker.arrivals import Arrival
from web.messaging.letters import dead_letters, making, redaction
from web.messaging.letters.serializers import DeadLetterDetailSerializer
from web.messaging.models import DeadLetter
from web.messaging.tests.factories import dead_message, save

pytestmark = pytest.mark.django_db
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("body", "headers", "detail"),
    [
        (b"{not json", {}, "JSON is malformed"),
        (b"\xff\xfe\x00", {}, "malformed"),
        (DEEP, {}, "maximum recursion depth"),
        ({"a": 1}, {}, "the body is not"),
        ([[], [], {}], {}, "keyword arguments"),
        ([[], {"job_id": "1"}, {}], {}, "missing required field"),
        ([[], {}, {}], {"task": "compute.halt"}, "there is no task 'compute.halt'"),
        ([[], {}, {}], {"task": None}, "no task message"),
        ([[], {}, {}], {"id": "1"}, "the task's id is no UUID"),
    ],
)
def test_a_malformed_message_is_told_by_what_is_wrong_with_it(
    body: Any, headers: dict[str, Any], detail: str
) -> None:
    letter = making.of_arrival(dead_message(uuid4(), body, **headers))
    assert letter.reason == "malformed"
    assert detail in letter.detail


def test_a_failure_that_nobody_foresaw_is_told_apart() -> None:
    assert making.of_arrival(dead_message(uuid4())).reason == "rejected"


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (b"\x00\xff", "malformed", "it came straight to web.dead; JSON is malformed"),
        (None, "misplaced", "it came straight to web.dead"),
    ],
)
def test_what_came_straight_to_the_dead_letters_is_not_taken_for_unrouted(
    body: Any, reason: str, detail: str
) -> None:
    dead = replace(dead_message(uuid4(), body), exchange="", routing_key="web.dead")
    letter = making.of_arrival(dead)  # its own record of a death is a forgery
    assert (letter.reason, letter.queue) == (reason, "")
    assert letter.detail.startswith(detail)


def test_a_dead_letter_delivered_twice_is_kept_once() -> None:
    dead = dead_message(uuid4())
    again = replace(dead, headers=dead.headers | {"x-delivery-count": 1}, redelivered=True)
    dead_letters.store([making.of_arrival(dead), making.of_arrival(again)])
    dead_letters.store([making.of_arrival(again)])
    assert DeadLetter.objects.count() == 1


def test_equal_messages_that_arrive_one_after_the_other_are_kept_each() -> None:
    dead = Arrival({}, {}, b"{}", "nobody.knows", exchange="warren.tasks")
    dead_letters.store([making.of_arrival(dead), making.of_arrival(dead)])
    dead_letters.store([making.of_arrival(dead)])
    assert DeadLetter.objects.count() == 3
    again = making.of_arrival(replace(dead, redelivered=True))
    dead_letters.store([again])
    assert DeadLetter.objects.count() == 3


def test_a_message_of_the_outbox_is_kept_once_however_often_it_is_published() -> None:
    twice = [making.of_arrival(dead_message(uuid4(), b"{}", id="5", outbox_id="17"))] * 2
    dead_letters.store(twice)
    assert DeadLetter.objects.count() == 1


TEXT = st.text(st.characters(exclude_categories=[]), max_size=300)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), TEXT,
    st.binary(max_size=300), st.decimals(), st.datetimes(min_value=datetime(1970, 1, 1)),
)  # fmt: skip
NAMES = st.one_of(
    TEXT, st.binary(max_size=20),
    st.sampled_from(["task", "id", "retries", "x-death", "x-delivery-count", "outbox_id"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5)
)
DEATHS = st.lists(
    st.dictionaries(st.sampled_from(["queue", "reason", "exchange", "count"]), VALUES) | VALUES,
    max_size=3,
)
HEADERS = st.tuples(
    st.dictionaries(NAMES, VALUES, max_size=8),
    st.fixed_dictionaries({}, optional={"x-death": DEATHS, "task": VALUES, "retries": SCALARS}),
).map(lambda both: {**both[0], **both[1]})
PROPERTIES = st.dictionaries(st.sampled_from(["correlation_id", "reply_to", "priority"]), SCALARS)
BODIES = st.one_of(st.binary(), st.sampled_from([DEEP, b"[[], {}, {}]", b"null", b""]))
EXCHANGES = st.sampled_from(["warren.dead", "warren.tasks", "warren.unrouted", ""]) | TEXT


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(headers=HEADERS, properties=PROPERTIES, body=BODIES, key=TEXT, exchange=EXCHANGES)
@example({"x-death": [{"reason": ""}]}, {}, b"", "", "warren.dead")
def test_whatever_a_message_holds_it_is_stored_and_can_be_shown(
    headers: dict[str, Any], properties: dict[str, Any], body: bytes, key: str, exchange: str
) -> None:
    letter = making.of_arrival(Arrival(headers, properties, body, key, exchange))
    event = dead_letters.event_of(letter)
    assert event is None or 1 <= event.attempt < 2**31
    dead_letters.store([letter])
    stored = DeadLetter.objects.get(fingerprint=letter.fingerprint)
    assert bytes(stored.body) == body
    assert stored.reason
    assert DeadLetterDetailSerializer(stored).data["body_size"] == len(body)


@pytest.mark.parametrize("retries", [-1, 2**40, float("inf"), "many", None, [1]])
def test_a_forged_number_of_runs_does_not_count(retries: object) -> None:
    event = dead_letters.event_of(making.of_arrival(dead_message(uuid4(), retries=retries)))
    assert event is not None
    assert event.attempt == 1


def deeply(levels: int) -> Any:
    value: Any = Decimal(1)
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_headers_of_any_depth_and_length_are_kept_as_far_as_they_can_be_read() -> None:
    headers = {"deep": deeply(900), "long": "x" * 100_000, "x-death": [{"reason": "y" * 1000}] * 99}
    letter = save(Arrival(headers, {}, b"", "k"))
    assert len(letter.reason) == 40
    assert letter.headers["long"] == "x" * 100_000
    assert len(redaction.deaths(letter)) == 99


def test_what_a_mail_says_and_to_whom_is_not_shown() -> None:
    arguments = {"email_id": "1", "template": "verify_email", "recipient": "ada@example.org",
                 "context": {"verification_key": "planted-secret"}}  # fmt: skip
    letter = save(
        dead_message(
            uuid4(),
            [[], arguments, {}],
            task="mailer.send_email",
            kwargsrepr="'planted-secret'",
            **{"x-secret": "planted-secret"},
        )
    )
    shown = DeadLetterDetailSerializer(letter).data
    assert shown["arguments"] == {
        "email_id": "1", "template": "verify_email", "recipient": "…", "context": "…",
    }  # fmt: skip
    assert "planted-secret" not in str(shown)
    assert shown["deaths"][0]["queue"] == "compute"


def test_a_letter_names_its_job() -> None:
    job = make_job(make_user(), state="failed")
    subject = DeadLetterDetailSerializer(save(dead_message(job.id))).data["subject"]
    assert (subject["kind"], subject["id"], subject["state"]) == ("job", str(job.id), "failed")
    assert subject["page"].endswith(f"/admin/jobs/job/{job.id}/change/")
    assert DeadLetterDetailSerializer(save(dead_message(uuid4()))).data["subject"] is None
