"""Verifying an address with the key from the mail."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.account import app_settings
from allauth.account.models import EmailAddress
from django.core import signing
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from web.accounts.models import RateUsage
from web.accounts.tests.factories import key_for, make_user
from web.mail.models import Email
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db


def verify(key: Any) -> Any:
    return APIClient().post("/api/v1/users/verify", {"key": key})


def resend(email: str) -> Any:
    return APIClient().post("/api/v1/users/verify/resend", {"email": email})


def is_verified() -> bool:
    return EmailAddress.objects.get().verified


def test_the_key_verifies_the_address_and_queues_the_welcome_mail() -> None:
    user = make_user(verified=False)
    answer = verify(key_for(user))
    assert answer.status_code == 200
    assert answer.json() == {"email": "ada@example.org", "verified": True}
    assert is_verified()
    email = Email.objects.get(user=user, template="welcome", recipient="ada@example.org")
    assert OutboxMessage.objects.get().task_id == email.id


def test_a_welcome_mail_that_cannot_be_stored_undoes_the_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    key = key_for(make_user(verified=False))
    monkeypatch.setattr("web.messaging.outbox.send", fail)
    with pytest.raises(ZeroDivisionError):
        verify(key)
    assert not is_verified()


def test_to_use_a_key_again_succeeds_and_sends_nothing() -> None:
    key = key_for(make_user(verified=False))
    assert verify(key).json() == verify(key).json()
    assert Email.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_uses_one_sends_the_welcome_mail() -> None:
    key = key_for(make_user(verified=False))
    barrier = threading.Barrier(4)
    answers: list[int] = []

    def run() -> None:
        barrier.wait(30)
        answers.append(verify(key).status_code)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 4
    assert Email.objects.count() == 1


def test_a_changed_key_is_refused() -> None:
    key = key_for(make_user(verified=False))
    answer = verify(key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_key")
    assert not is_verified()


def test_an_expired_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_for(make_user(verified=False))
    expiry = timedelta(days=app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS).total_seconds()
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + expiry + 60)
    assert verify(key).json()["code"] == "invalid_key"
    assert not is_verified()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + expiry - 60)
    assert verify(key).status_code == 200


def test_a_key_signed_for_another_purpose_is_refused() -> None:
    make_user(verified=False)
    address = EmailAddress.objects.get()
    answer = verify(signing.dumps(address.pk, salt="something else"))
    assert answer.json()["code"] == "invalid_key"


def test_the_key_of_a_deleted_account_is_refused() -> None:
    user = make_user(verified=False)
    key = key_for(user)
    user.delete()
    assert verify(key).json()["code"] == "invalid_key"


@pytest.mark.parametrize("key", ["", None, "x" * 201, ["a"], "a\0b"])
def test_what_is_no_key_is_refused(key: object) -> None:
    assert verify(key).status_code == 400


def test_verifying_takes_few_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    verify("warm up the count of requests")
    key = key_for(make_user(verified=False))
    # The count of requests; savepoint and its release; the address, locked; is it the user's
    # first, is it anybody else's, is there a primary one; saved; the welcome mail and its message.
    with django_assert_num_queries(10):
        verify(key)


def test_a_fresh_link_is_sent_to_an_address_that_waits_for_it() -> None:
    make_user(verified=False)
    answer = resend("Ada@example.org")
    assert answer.status_code == 202
    email = Email.objects.get(template="verify_email")
    assert email.context is not None
    assert verify(email.context["verification_key"]).status_code == 200


def test_the_answer_to_resend_is_the_same_for_every_address() -> None:
    make_user(verified=False)
    make_user("grace@example.org")
    answers = [resend(f"{name}@example.org") for name in ("ada", "grace", "nobody")]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert [email.recipient for email in Email.objects.all()] == ["ada@example.org"]


def test_a_closed_account_gets_no_link() -> None:
    user = make_user(verified=False)
    user.is_active = False
    user.save()
    resend(user.email)
    assert not Email.objects.exists()


def test_one_address_gets_few_links_a_day() -> None:
    make_user(verified=False)
    for _ in range(30):
        resend("ada@example.org")
        RateUsage.objects.filter(key__startswith="verification_mail:").delete()  # a minute passes
    assert Email.objects.count() == 20
