"""Accounts of an older installation, brought to what they are now."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from rest_framework.test import APIClient

from web.accounts.keys import key_of
from web.accounts.models import Registration, User
from web.accounts.tests.factories import PASSWORD, mailed_keys
from web.accounts.verification import verify
from web.mail.models import Email

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def before() -> Iterator[Any]:
    """The models as they were, in a database without accounts' later migrations."""
    executor = MigrationExecutor(connection)
    executor.migrate([("accounts", "0001_initial")])
    yield executor.loader.project_state(
        [("accounts", "0001_initial"), ("account", "0001_initial"), ("mail", "0002_reconciliation")]
    ).apps
    call_command("migrate", verbosity=0)


def make(apps: Any, email: str, *, verified: bool) -> Any:
    user = apps.get_model("accounts", "User").objects.create(
        email=email, password=make_password(PASSWORD)
    )
    address = {"user": user, "email": email, "primary": True, "verified": verified}
    apps.get_model("account", "EmailAddress").objects.create(**address)
    return user


def sign_in(email: str) -> int:
    return (
        APIClient().post("/api/v1/auth/token", {"email": email, "password": PASSWORD}).status_code
    )


def test_who_waits_for_the_verification_becomes_a_registration(before: Any) -> None:
    known = make(before, "known@example.org", verified=True)
    waiting = make(before, "waiting@example.org", verified=False)
    mail = {"user": waiting, "template": "verify_email", "recipient": waiting.email}
    before.get_model("mail", "Email").objects.create(**mail)
    call_command("migrate", verbosity=0)
    assert list(User.objects.values_list("pk", flat=True)) == [known.pk]
    assert Registration.objects.get().pk == waiting.pk
    assert Email.objects.get().user is None
    APIClient().post("/api/v1/users/verify/resend", {"email": waiting.email})
    [key] = mailed_keys(waiting.email)
    assert APIClient().post("/api/v1/users/verify", {"key": key}).status_code == 200
    assert [sign_in(each.email) for each in (known, waiting)] == [200, 200]


def test_addresses_get_their_one_spelling_where_nobody_else_has_it(before: Any) -> None:
    for email in (
        "x@b\u00fccher.example.org",
        "y@xn--bcher-kva.example.org",
        "y@b\u00fccher.example.org",
    ):
        make(before, email, verified=True)
    call_command("migrate", verbosity=0)
    emails = {
        "x@xn--bcher-kva.example.org",
        "y@xn--bcher-kva.example.org",
        "y@b\u00fccher.example.org",
    }
    assert set(User.objects.values_list("email", flat=True)) == emails
    assert set(EmailAddress.objects.values_list("email", flat=True)) == emails
    assert sign_in("X@b\u00fccher.example.org") == 200


def test_a_process_of_an_earlier_release_can_still_store_a_registration() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_registration (id, email, password) VALUES (%s, %s, %s)",
            [uuid4(), "ada@example.org", make_password(PASSWORD)],
        )
    noted = Registration.objects.get()
    assert (noted.code, noted.code_attempts, noted.mail) == ("", 0, None)
    assert APIClient().get(f"/api/v1/registrations/{noted.pk}").json()["mail"] is None
    assert verify(key_of(noted)).email == "ada@example.org"
