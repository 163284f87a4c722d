"""Watching a registration by its id, and verifying it by its code."""

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from web.accounts import codes
from web.accounts.models import RateUsage, Registration, User
from web.accounts.tests.factories import PASSWORD, make_user, shapes, sign_in
from web.mail.models import Email

pytestmark = pytest.mark.django_db
API = "/api/v1"


def register(email: str = "ada@example.org") -> str:
    body = {"email": email, "password": PASSWORD}
    registration: str = APIClient().post(f"{API}/users", body).json()["registration"]
    return registration


def watch(registration: object) -> Any:
    return APIClient().get(f"{API}/registrations/{registration}")


def mailed_code() -> str:
    context = Email.objects.filter(template="verify_email").latest("created_at").context
    assert context is not None
    return str(context["verification_code"])


def verify(registration: object, code: object) -> Any:
    body = {"registration": registration, "code": code}
    return APIClient().post(f"{API}/users/verify", body)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_who_registers_sees_where_the_mail_is() -> None:
    registration = register()
    seen = watch(registration).json()
    assert (seen["id"], seen["verified"], seen["mail"]["state"]) == (registration, False, "queued")
    Email.objects.update(state="retrying", answer="450 4.2.1 try later")
    assert "It said: 450 4.2.1 try later." in watch(registration).json()["mail"]["detail"]
    Email.objects.update(state="failed", answer="550 5.1.1 no such user.")
    assert "550 5.1.1 no such user." in watch(registration).json()["mail"]["detail"]
    Email.objects.update(state="sent")
    assert watch(registration).json()["mail"]["state"] == "sent"
    assert verify(registration, mailed_code()).status_code == 200
    assert watch(registration).json() == {"id": registration, "verified": True, "mail": None}


@pytest.mark.parametrize("state", Email.State.values)
def test_each_state_of_a_mail_has_words(state: str) -> None:
    registration = register()
    Email.objects.update(state=state)
    assert watch(registration).json()["mail"]["detail"].endswith(".")


def test_watching_tells_nothing_of_an_account() -> None:
    make_user("grace@example.org")
    new, known = watch(register()), watch(register("grace@example.org"))
    assert new.json() | {"id": ""} == known.json() | {"id": ""}
    done = []
    for registration in (new.json()["id"], known.json()["id"]):
        with CaptureQueriesContext(connection) as queries:
            watch(registration)
        done.append(shapes(queries))
    assert done[0] == done[1]


def test_watching_does_not_tell_that_somebody_else_has_verified_the_address() -> None:
    watched = register()
    before, code = watch(watched).json(), mailed_code()
    verify(register(), mailed_code())
    assert User.objects.count() == 1
    assert watch(watched).json() == before
    assert verify(watched, code).json()["code"] == "invalid_code"
    assert str(User.objects.get().pk) != watched


def test_a_registration_is_shown_for_three_days() -> None:
    registration = register()
    late = timezone.now() - Registration.VALID_FOR
    Registration.objects.update(created_at=late)
    assert watch(registration).status_code == 404
    registration = register("bob@example.org")
    verify(registration, mailed_code())
    User.objects.update(created_at=late)
    assert watch(registration).status_code == 404
    assert watch(uuid4()).status_code == 404
    assert watch("nonsense").status_code == 404


def test_a_fresh_mail_is_the_one_that_is_shown_and_its_code_the_one_that_counts() -> None:
    registration, first = register(), mailed_code()
    Email.objects.update(state="failed")
    APIClient().post(f"{API}/users/verify/resend", {"email": "ada@example.org"})
    assert watch(registration).json()["mail"]["state"] == "queued"
    second = mailed_code()
    if first != second:
        assert verify(registration, first).status_code == 400
    assert verify(registration, second).json() == {"email": "ada@example.org", "verified": True}


def test_a_resend_does_the_same_for_every_address() -> None:
    make_user("known@example.org")
    register("waiting@example.org")
    done = {}
    for name in ("warm-up", "new", "waiting", "known"):
        with CaptureQueriesContext(connection) as queries:
            APIClient().post(f"{API}/users/verify/resend", {"email": f"{name}@example.org"})
        done[name] = shapes(queries)
    assert done["new"] == done["waiting"] == done["known"]


def test_the_code_makes_the_account_once() -> None:
    registration, code = register(), mailed_code()
    assert verify(registration, code).status_code == 200
    assert sign_in().status_code == 200
    assert verify(registration, code).json()["code"] == "invalid_code"


def test_a_code_holds_five_attempts_and_an_hour() -> None:
    registration, code = register(), mailed_code()
    for _ in range(codes.ATTEMPTS):
        assert verify(registration, wrong(code)).json()["code"] == "invalid_code"
    assert verify(registration, code).status_code == 400
    registration = register("bob@example.org")
    Registration.objects.update(
        code_made_at=timezone.now() - codes.VALID_FOR - timedelta(seconds=1)
    )
    assert verify(registration, mailed_code()).status_code == 400
    assert not User.objects.exists()


def test_new_mails_bring_no_more_than_fifty_attempts_a_day() -> None:
    registration = register()
    for _ in range(codes.ATTEMPTS_OF_AN_ADDRESS.limit):
        Registration.objects.update(code_attempts=0)
        verify(registration, wrong(mailed_code()))
    Registration.objects.update(code_attempts=0)
    assert verify(registration, mailed_code()).status_code == 400
    RateUsage.objects.all().delete()
    assert verify(registration, mailed_code()).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_simultaneous_attempts_are_all_counted() -> None:
    registration, code = register(), mailed_code()
    start, statuses = threading.Barrier(8), []

    def ask() -> None:
        start.wait(30)
        statuses.append(verify(registration, wrong(code)).status_code)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [400] * 8
    assert Registration.objects.get().code_attempts == codes.ATTEMPTS


def test_no_code_is_right_for_an_address_with_an_account() -> None:
    make_user()
    registration = register()
    noted = Registration.objects.get()
    assert noted.code == ""
    refused, unknown = verify(registration, "000000"), verify(str(uuid4()), "000000")
    assert refused.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "123456"},
        {"registration": str(uuid4())},
        {"registration": str(uuid4()), "code": "12345"},
        {"registration": str(uuid4()), "code": "\uff11\uff12\uff13\uff14\uff15\uff16"},
        {"registration": str(uuid4()), "code": "123456\n7"},
        {"registration": "nonsense", "code": "123456"},
        {"registration": str(uuid4()), "code": "123456", "key": "x"},
        {"registration": str(uuid4()), "code": None},
    ],
)
def test_anything_else_is_refused_by_field(body: dict[str, Any]) -> None:
    answer = APIClient().post(f"{API}/users/verify", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_only_a_digest_of_a_code_is_stored() -> None:
    register()
    code = mailed_code()
    assert len(code) == 6
    assert code not in str(list(Registration.objects.values()))
