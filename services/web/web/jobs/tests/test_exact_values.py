"""What is stored, sent, sent again, compared and shown is one and the same value."""

import json
from typing import Any

import msgspec
import pytest
from django.db import transaction
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from contracts.events import TaskState
from web.accounts.models import User
from web.jobs.models import Job
from web.jobs.results import JOBS
from web.jobs.tests.factories import event, make_computation, make_job, make_user
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
NUMBERS = st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("ß"), inner),
    max_leaves=5,
)
URL = "/api/v1/jobs"


@pytest.fixture
def user() -> User:
    make_computation("echo", arguments_schema={"type": "object"}, result_schema={})
    return make_user()


def text(value: Any) -> str:
    """To Python 1, 1.0 and true are equal; as text they are not."""
    return json.dumps(value, sort_keys=True)


def sent_arguments() -> Any:
    body = msgspec.json.decode(bytes(OutboxMessage.objects.get().body))
    return body[1]["arguments"]


def forget() -> None:
    OutboxMessage.objects.all().delete()
    Job.objects.all().delete()


@settings(max_examples=60)
@given(value=VALUES)
@example(1e23)
@example(1.0)
@example(-0.0)
@example(5e-324)
@example(123456789.0e15)
@example(2**64)
def test_arguments_stay_what_they_are(client: APIClient, value: Any) -> None:
    if "\\u0000" in text(value):
        return  # is refused
    arguments = {"x": value, "y": 1}
    body = json.dumps({"computation": "echo", "arguments": arguments})
    send: dict[str, Any] = {
        "data": body,
        "content_type": "application/json",
        "headers": {"Idempotency-Key": "k"},
    }
    try:
        first, repeated = client.post(URL, **send), client.post(URL, **send)
        assert (first.status_code, repeated.status_code) == (202, 202), repeated.json()
        assert first.json()["id"] == repeated.json()["id"]
        sent = sent_arguments()
        OutboxMessage.objects.all().delete()
        with transaction.atomic():
            JOBS.publish_again([Job.objects.get().pk])
        shown = client.get(f"{URL}/{first.json()['id']}").json()["arguments"]
        seen = [
            first.json()["arguments"],
            repeated.json()["arguments"],
            sent,
            sent_arguments(),
            shown,
        ]
        assert {text(each) for each in seen} == {text(arguments)}
    finally:
        forget()


@settings(max_examples=60)
@given(value=VALUES)
@example(1e23)
@example("a\0b")
def test_results_stay_what_they_are(client: APIClient, user: User, value: Any) -> None:
    job = make_job(user)
    arrived = msgspec.structs.replace(event(job.id, TaskState.SUCCESS), result=value)
    arrived = msgspec.json.decode(msgspec.json.encode(arrived), type=type(arrived))
    try:
        with transaction.atomic():
            JOBS.apply([arrived])
        assert text(client.get(f"{URL}/{job.id}").json()["result"]) == text(value)
    finally:
        forget()


@pytest.mark.parametrize(("first", "other"), [(1, 1.0), (1, True), (0.0, -0.0), (1e23, 10**23)])
def test_a_key_with_another_number_is_another_request(
    client: APIClient, first: Any, other: Any
) -> None:
    codes = []
    for value in (first, other):
        body = {"computation": "echo", "arguments": {"x": value}}
        codes.append(client.post(URL, body, headers={"Idempotency-Key": "k"}).status_code)
    assert codes == [202, 422]
