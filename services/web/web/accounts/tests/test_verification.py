"""Verifying an address with the key from the mail, which makes the account."""

import threading
import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from runtime.rates import Rate
from web.accounts.keys import key_of
from web.accounts.models import RateUsage, Registration, User
from web.accounts.tests.factories import (
    PASSWORD,
    client_of,
    mailed_keys,
    make_registration,
    make_user,
    shapes,
)
from web.mail.models import Email
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
API = "/api/v1"


def register(password: str = PASSWORD, email: str = "ada@example.org") -> str:
    """Register, and return the key that is mailed, if one is."""
    before = len(mailed_keys(email))
    APIClient().post(f"{API}/users", {"email": email, "password": password})
    return next(iter(mailed_keys(email)[before:]), "")


def verify(key: Any) -> Any:
    return APIClient().post(f"{API}/users/verify", {"key": key})


def resend(email: str) -> Any:
    return APIClient().post(f"{API}/users/verify/resend", {"email": email})


def sign_in(password: str = PASSWORD) -> int:
    body = {"email": "ada@example.org", "password": password}
    return APIClient().post(f"{API}/auth/token", body).status_code


def forget_mail_limits(scope: str = "account_mail") -> None:
    RateUsage.objects.filter(key__startswith=scope).delete()


def test_the_key_makes_the_account_and_queues_the_welcome_mail() -> None:
    key = register()
    answer = verify(key)
    assert answer.status_code == 200
    assert answer.json() == {"email": "ada@example.org", "verified": True}
    user = User.objects.get()
    address = EmailAddress.objects.get(user=user, email="ada@example.org")
    assert (address.primary, address.verified) == (True, True)
    assert Email.objects.filter(user=user, template="welcome", recipient=user.email).count() == 1
    assert OutboxMessage.objects.count() == 2
    assert not Registration.objects.exists()
    assert sign_in() == 200


@pytest.mark.parametrize(
    ("stored", "spellings"),
    [
        (
            "x@xn--bcher-kva.example.org",
            [
                "x@b\u00fccher.example.org",
                "x@bu\u0308cher.example.org",
                "x@XN--BCHER-KVA.example.org",
            ],
        ),
        (
            "\u00e9@example.org",
            ["\u00e9@example.org", "e\u0301@example.org", "E\u0301@example.org"],
        ),
        ("i\u0307a@example.org", ["\u0130a@example.org", "I\u0307a@example.org"]),
    ],
)
def test_all_spellings_of_an_address_are_one_account(stored: str, spellings: list[str]) -> None:
    for spelling in [*spellings, stored]:
        forget_mail_limits()
        answer = APIClient().post(f"{API}/users", {"email": spelling, "password": PASSWORD})
        assert (answer.status_code, answer.json()["email"]) == (202, stored)
    first, *others = mailed_keys(stored)
    assert Email.objects.count() == len(spellings) + 1
    assert verify(first).json() == {"email": stored, "verified": True}
    for key in others:
        verify(key)
    forget_mail_limits()
    for spelling in [*spellings, stored]:
        register(email=spelling)
        body = {"email": spelling, "password": PASSWORD}
        assert APIClient().post(f"{API}/auth/token", body).status_code == 200
    assert Email.objects.filter(recipient=stored, template="account_exists").exists()
    assert User.objects.get().email == stored


def test_the_mails_that_went_to_an_address_are_its_owners() -> None:
    verify(register())
    mails = client_of(User.objects.get()).get(f"{API}/mails").json()["results"]
    assert {mail["template"] for mail in mails} == {"verify_email", "welcome"}


MINE, OTHERS = "correct horse battery", "laid in wait by somebody"
STRANGER = "198.51.100.7"


@pytest.mark.parametrize("mine_first", [True, False])
def test_a_key_makes_the_account_of_its_own_registration_alone(mine_first: bool) -> None:
    passwords = [MINE, OTHERS] if mine_first else [OTHERS, MINE]
    keys = {password: register(password) for password in passwords}
    assert verify(keys[MINE]).status_code == 200
    assert (sign_in(MINE), sign_in(OTHERS)) == (200, 401)
    assert verify(keys[OTHERS]).json()["code"] == "invalid_key"
    assert (sign_in(MINE), sign_in(OTHERS)) == (200, 401)


def test_registrations_past_the_limit_of_mails_change_nothing() -> None:
    key = register(MINE)
    assert [register(OTHERS) for _ in range(4)][1:] == ["", "", ""]
    verify(key)
    assert (sign_in(MINE), sign_in(OTHERS)) == (200, 401)


def test_somebody_who_is_there_first_blocks_nothing() -> None:
    register(OTHERS)
    assert verify(register(MINE)).status_code == 200
    assert sign_in(MINE) == 200


def test_a_welcome_mail_that_cannot_be_stored_undoes_the_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    key = register()
    monkeypatch.setattr("web.messaging.outbox.outbox.send", fail)
    with pytest.raises(ZeroDivisionError):
        verify(key)
    assert not User.objects.exists()
    assert Registration.objects.exists()


def test_to_use_a_key_again_succeeds_and_sends_nothing() -> None:
    key = register()
    assert verify(key).json() == verify(key).json()
    assert Email.objects.filter(template="welcome").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("keys", [1, 2])
def test_of_simultaneous_uses_one_makes_the_account(keys: int) -> None:
    made = [register() for _ in range(keys)]
    barrier = threading.Barrier(4)
    answers: list[int] = []

    def run(key: str) -> None:
        barrier.wait(30)
        answers.append(verify(key).status_code)
        connection.close()

    threads = [threading.Thread(target=run, args=[made[number % keys]]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == ([200] * 4 if keys == 1 else [200, 200, 400, 400])
    assert User.objects.count() == EmailAddress.objects.count() == 1
    assert Email.objects.filter(template="welcome").count() == 1


def test_a_changed_key_is_refused() -> None:
    key = key_of(make_registration())
    answer = verify(key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_key")
    assert not User.objects.exists()


def test_an_expired_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(make_registration())
    expiry = Registration.VALID_FOR.total_seconds()
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + expiry + 60)
    assert verify(key).json()["code"] == "invalid_key"
    assert not User.objects.exists()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + expiry - 60)
    assert verify(key).status_code == 200


def test_a_key_signed_for_another_purpose_is_refused() -> None:
    answer = verify(signing.dumps(make_registration().pk.hex, salt="something else"))
    assert answer.json()["code"] == "invalid_key"


def test_the_key_of_a_deleted_or_closed_account_is_refused() -> None:
    key = register()
    verify(key)
    User.objects.update(is_active=False)
    assert verify(key).json()["code"] == "invalid_key"
    User.objects.all().delete()
    assert verify(key).json()["code"] == "invalid_key"


@pytest.mark.parametrize("key", ["", None, "x" * 201, ["a"], "a\0b"])
def test_what_is_no_key_is_refused(key: object) -> None:
    assert verify(key).status_code == 400


def test_verifying_takes_few_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    verify("warm up the count of requests")
    key = key_of(make_registration())
    # The count of requests; savepoint and its release; the registration, and all of its address,
    # locked; the user made, and looked for; its address; registrations and mails of that; the
    # welcome mail and message.
    with django_assert_num_queries(12):
        verify(key)


def test_a_fresh_link_is_sent_to_the_one_registration_of_an_address() -> None:
    make_registration()
    assert resend("Ada@example.org").status_code == 202
    assert verify(mailed_keys()[0]).status_code == 200
    assert sign_in() == 200


@pytest.mark.parametrize("registrations", [0, 2])
def test_where_a_link_could_be_anybodys_one_is_asked_to_register_again(registrations: int) -> None:
    for _ in range(registrations):
        make_registration()
    resend("ada@example.org")
    email = Email.objects.get()
    assert (email.template, email.recipient) == ("register_again", "ada@example.org")


def test_resend_answers_and_does_the_same_for_every_address() -> None:
    make_registration("waiting@example.org")
    make_user("known@example.org")
    resend("warm.up@example.org")
    answers, done = [], []
    for name in ("waiting", "known", "nobody"):
        with CaptureQueriesContext(connection) as queries:
            answers.append(resend(f"{name}@example.org"))
        done.append(shapes(queries))
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert done[0] == done[1] == done[2]


def ask_from(client: str, way: str, password: str = OTHERS) -> int:
    """Ask for a mail from some client address, and return how many there are now."""
    body = {"email": "ada@example.org", "password": password}
    if way != "users":
        del body["password"]
    if way == "page":
        Client(REMOTE_ADDR=client).post("/verify/resend", body)
    else:
        APIClient(REMOTE_ADDR=client).post(f"{API}/{way}", body)
    return Email.objects.count()


@pytest.mark.parametrize("way", ["users", "users/verify/resend", "page"])
def test_one_client_has_few_mails_sent_to_an_address_and_takes_them_from_nobody(way: str) -> None:
    for _ in range(25):
        ask_from(STRANGER, way)
    assert Email.objects.count() == 2
    for _ in range(30):
        forget_mail_limits("account_mail:")  # a minute passes
        ask_from(STRANGER, way)
    assert Email.objects.count() == 20
    assert ask_from("203.0.113.9", way) == 21
    assert verify(register(MINE)).status_code == 200
    assert sign_in(MINE) == 200


def test_one_address_gets_so_many_mails_a_day_and_no_more_whoever_asks(settings: Settings) -> None:
    settings.VERIFICATION_MAIL_ADDRESS_RATE = Rate(5, seconds=86_400)
    sent = [ask_from(f"198.51.100.{number}", "users") for number in range(8)]
    assert sent == [1, 2, 3, 4, 5, 5, 5, 5]
