"""Registering, and what it tells to whom."""

import threading
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from contracts.tasks import SEND_EMAIL
from web.accounts.models import Registration, User
from web.accounts.tests.factories import (
    PASSWORD,
    mailed_keys,
    make_registration,
    make_user,
    shapes,
)
from web.mail.models import Email
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
ADA = {"email": "Ada@Example.org", "password": PASSWORD}


def register(**changes: Any) -> Any:
    return APIClient().post("/api/v1/users", ADA | changes)


def resend(email: str) -> Any:
    return APIClient().post("/api/v1/users/verify/resend", {"email": email})


def test_registration_mail_and_message_are_stored_together() -> None:
    answer = register()
    assert answer.status_code == 202
    noted = Registration.objects.get()
    assert answer.json() == {
        "email": "ada@example.org",
        "detail": "A mail to this address is on its way; it says what to do next.",
        "registration": str(noted.pk),
    }
    assert not answer.cookies
    assert "Cookie" not in answer.get("Vary", "")
    assert check_password(PASSWORD, noted.password)
    assert not User.objects.exists()
    email = Email.objects.get(user=None, recipient="ada@example.org", state="queued")
    message = OutboxMessage.objects.get()
    assert (message.task_id, message.routing_key) == (email.id, SEND_EMAIL.name)


def test_the_mail_gets_what_its_template_needs() -> None:
    register()
    email = Email.objects.get()
    assert email.template == "verify_email"
    assert email.context is not None
    key = email.context["verification_key"]
    assert email.context == {
        "verification_url": f"{settings.PUBLIC_URL}/verify?{urlencode({'key': key})}",
        "verification_key": key,
        "verification_code": email.context["verification_code"],
        "expires_in_days": "3",
    }


def test_nothing_is_stored_if_a_part_of_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("web.messaging.outbox.outbox.send", fail)
    with pytest.raises(ZeroDivisionError):
        register()
    assert not Registration.objects.exists()
    assert not Email.objects.exists()


def test_the_answer_is_the_same_for_every_address() -> None:
    new = register()
    waiting = register()
    make_user("grace@example.org")
    known = register(email="Grace@example.org")
    assert new.status_code == waiting.status_code == known.status_code == 202
    answers = [answer.json() | {"registration": ""} for answer in (new, waiting, known)]
    assert answers[0] == answers[1] == answers[2] | {"email": "ada@example.org"}
    ids = {answer.json()["registration"] for answer in (new, waiting, known)}
    assert len({uuid.UUID(each).version for each in ids}) == 1
    assert len(ids) == 3
    assert new.headers.keys() == waiting.headers.keys() == known.headers.keys()


def test_the_same_is_done_for_every_address() -> None:
    """What an answer takes would tell, too: so the same statements, and one hash."""
    register(email="warm.up@example.org")
    make_user("known@example.org")
    make_registration("waiting@example.org")
    done = {}
    for name in ("new", "waiting", "known"):
        with CaptureQueriesContext(connection) as queries:
            assert register(email=f"{name}@example.org").status_code == 202
        done[name] = shapes(queries)
    assert done["new"] == done["waiting"] == done["known"]


@pytest.mark.parametrize("act", [register, lambda **_: resend("ada@example.org")])
def test_the_owner_of_an_account_is_told_now_and_then_and_nothing_changes(act: Any) -> None:
    make_user()
    statuses = [act(password="another password of mine").status_code for _ in range(5)]
    assert statuses == [202, 202, 429, 429, 429]
    assert [email.template for email in Email.objects.all()] == ["account_exists"] * 2
    assert User.objects.get().check_password(PASSWORD)


def test_one_address_gets_few_verification_mails_and_keeps_no_more_registrations() -> None:
    for _ in range(5):
        register()
    assert Email.objects.count() == Registration.objects.count() == 2


@pytest.mark.parametrize("staff", [True, False])
def test_registering_changes_nothing_of_an_account_whose_address_is_not_verified(
    staff: bool,
) -> None:
    make_user(staff=staff, verified=False)
    register(password="let me in, admin")
    assert User.objects.get().check_password(PASSWORD)
    assert Email.objects.get().template == "account_exists"


def test_registrations_whose_keys_have_run_out_are_cleared_away() -> None:
    for number in range(30):
        make_registration(f"{number}@example.org")
    Registration.objects.update(created_at=timezone.now() - timedelta(days=3, seconds=1))
    register()
    assert Registration.objects.count() == 11
    register(email="grace@example.org")
    assert set(Registration.objects.values_list("email", flat=True)) == {
        "ada@example.org", "grace@example.org",
    }  # fmt: skip


@pytest.mark.parametrize(
    "spelling", ["ADA@EXAMPLE.org", "\uff41da@example.org", "ada@\uff45xample.org"]
)
def test_every_spelling_of_an_address_is_counted_together(spelling: str) -> None:
    register()
    assert register(email=spelling).json()["email"] == "ada@example.org"
    refused = register()
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert 0 < int(refused["Retry-After"]) <= 61
    assert register(email=spelling).status_code == 429
    assert Email.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"email": "ada"}, "email", "invalid"),
        ({"email": ""}, "email", "blank"),
        ({"email": None}, "email", "null"),
        ({"email": f"{'a' * 250}@example.org"}, "email", "max_length"),
        ({"email": "a@exam\u200bple.org"}, "email", "invalid"),
        ({"email": "a@example.org\ufeff"}, "email", "invalid"),
        ({"email": "a@i\u2764.example.org"}, "email", "invalid"),
        ({"email": '"a"@example.org'}, "email", "invalid"),
        ({"email": '"a\x01"@example.org'}, "email", "invalid"),
        ({"email": "x@localhost"}, "email", "invalid"),
        ({"email": "x@[127.0.0.1]"}, "email", "invalid"),
        ({"email": "ada@example.org "}, "email", "invalid"),
        ({"email": "a\0da@example.org"}, "", "parse_error"),
        ({"password": "short"}, "password", "password_too_short"),
        ({"password": "1234567890123"}, "password", "password_entirely_numeric"),
        ({"password": "password123"}, "password", "password_too_common"),
        ({"password": "ada@example.org"}, "password", "password_too_similar"),
        ({"password": "x" * 257}, "password", "max_length"),
        ({"password": ["x"]}, "password", "invalid"),
    ],
)
def test_what_cannot_be_registered_is_refused_by_field(
    changes: dict[str, Any], field: str, code: str
) -> None:
    answer = register(**changes)
    assert answer.status_code == 400
    problem = answer.json()
    if not field:
        assert problem["code"] == code
    else:
        assert (field, code) in [(error["field"], error["code"]) for error in problem["errors"]]
    assert not Registration.objects.exists()


def test_a_password_keeps_its_spaces() -> None:
    register(password="  correct horse battery  ")
    assert check_password("  correct horse battery  ", Registration.objects.get().password)


def test_registering_takes_few_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    register(email="warm.up@example.org")
    # The count of requests; savepoint and its release; the counts of mails: 3; the registration;
    # is there an account; mail; message; those that have run out: 1.
    with django_assert_num_queries(11):
        register()


@pytest.mark.django_db(transaction=True)
def test_simultaneous_registrations_get_a_key_each() -> None:
    barrier = threading.Barrier(4)
    failures: list[Exception] = []
    statuses: list[int] = []

    def run() -> None:
        try:
            barrier.wait(30)
            statuses.append(register().status_code)
        except Exception as error:  # noqa: BLE001 -- shown by the assertion below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert sorted(statuses) == [202, 202, 429, 429]
    assert Registration.objects.count() == len(set(mailed_keys())) == 2
