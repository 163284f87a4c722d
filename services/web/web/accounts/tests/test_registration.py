"""Registering, and what it tells to whom."""

import threading
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from contracts.tasks import SEND_EMAIL
from web.accounts import registration
from web.accounts.models import RateUsage, User
from web.accounts.tests.factories import PASSWORD, make_user
from web.mail.models import Email
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
ADA = {"email": "Ada@Example.org", "password": PASSWORD}


def register(**changes: Any) -> Any:
    return APIClient().post("/api/v1/users", ADA | changes)


def forget_mail_limits() -> None:
    RateUsage.objects.filter(key__contains="_mail").delete()


def test_user_address_mail_and_message_are_stored_together() -> None:
    answer = register()
    assert answer.status_code == 202
    assert answer.json() == {
        "email": "ada@example.org",
        "detail": "A mail to this address is on its way; it says what to do next.",
    }
    assert not answer.cookies
    assert "Cookie" not in answer.get("Vary", "")
    user = User.objects.get()
    assert user.check_password(PASSWORD)
    address = EmailAddress.objects.get(user=user, email="ada@example.org")
    assert (address.primary, address.verified) == (True, False)
    email = Email.objects.get(user=user, recipient="ada@example.org", state="queued")
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
        "expires_in_days": "3",
    }


def test_nothing_is_stored_if_a_part_of_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("web.messaging.outbox.send", fail)
    with pytest.raises(ZeroDivisionError):
        register()
    assert not User.objects.exists()
    assert not EmailAddress.objects.exists()
    assert not Email.objects.exists()


def test_the_answer_is_the_same_for_every_address() -> None:
    new = register()
    waiting = register()
    make_user("grace@example.org")
    known = register(email="Grace@example.org")
    assert new.status_code == waiting.status_code == known.status_code == 202
    assert new.json() == waiting.json()
    assert known.json() == new.json() | {"email": "grace@example.org"}
    assert new.headers.keys() == waiting.headers.keys() == known.headers.keys()


def test_the_owner_of_a_verified_address_is_told_at_most_once_an_hour() -> None:
    make_user()
    for _ in range(3):
        register(password="another password of mine")
    email = Email.objects.get()
    assert (email.template, email.recipient) == ("account_exists", "ada@example.org")
    assert User.objects.get().check_password(PASSWORD)


def test_registering_again_before_the_verification_sends_a_fresh_link() -> None:
    register()
    forget_mail_limits()
    register()
    assert [email.template for email in Email.objects.all()] == ["verify_email"] * 2
    assert User.objects.count() == EmailAddress.objects.count() == 1


def test_one_address_gets_few_verification_mails() -> None:
    for _ in range(5):
        register()
    assert Email.objects.count() == 2


def test_the_latest_password_counts_until_the_address_is_verified() -> None:
    register(password="laid in wait by somebody")
    register()
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("verified", [True, False])
def test_registering_never_changes_an_operators_password(verified: bool) -> None:
    make_user(staff=True, verified=verified)
    register(password="let me in, admin")
    assert User.objects.get().check_password(PASSWORD)
    assert Email.objects.get().template == "account_exists"


def test_registering_never_changes_the_password_of_an_account_made_by_hand() -> None:
    User.objects.create_user("ada@example.org", PASSWORD)  # without an EmailAddress
    register(password="let me in, please")
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"email": "ada"}, "email", "invalid"),
        ({"email": ""}, "email", "blank"),
        ({"email": None}, "email", "null"),
        ({"email": f"{'a' * 250}@example.org"}, "email", "max_length"),
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
    assert not User.objects.exists()


def test_a_password_keeps_its_spaces() -> None:
    register(password="  correct horse battery  ")
    assert User.objects.get().check_password("  correct horse battery  ")


def test_registering_takes_few_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    register(email="warm.up@example.org")
    # The count of requests; savepoint and its release; user, its reading back; address: 3; the
    # counts of mails: 2; mail; message.
    with django_assert_num_queries(12):
        register()


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_registrations_one_makes_the_user() -> None:
    barrier = threading.Barrier(4)
    failures: list[Exception] = []

    def run() -> None:
        try:
            barrier.wait(30)
            assert register().status_code == 202
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
    assert User.objects.count() == EmailAddress.objects.count() == 1
    assert Counter(email.template for email in Email.objects.all()) == {"verify_email": 2}


def test_the_password_is_in_no_representation() -> None:
    sign_up = registration.SignUp("ada@example.org", "planted-secret")
    assert "planted-secret" not in repr(sign_up)
