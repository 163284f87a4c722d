"""Users see their own mails, and nothing of what was in them."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from web.accounts.models import User
from web.accounts.tests.factories import client_of, make_user
from web.mail.models import Email
from web.mail.tests.factories import BEGINNING, KEY, arrive, event, make_mail

pytestmark = pytest.mark.django_db


def minute(number: int) -> str:
    return (BEGINNING + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def user() -> User:
    return make_user()


@pytest.fixture
def api(user: User) -> APIClient:
    return client_of(user)


def test_a_mail_shows_its_state_and_each_attempt_with_the_servers_answer(
    user: User, api: APIClient
) -> None:
    email = make_mail(user)
    arrive(event(email.id, "RETRY"), event(email.id, "SUCCESS", 2))
    answer = api.get(f"/api/v1/mails/{email.id}")
    assert answer.status_code == 200
    mail = answer.json()
    assert mail.pop("created_at")
    assert mail == {
        "id": str(email.id),
        "template": "verify_email",
        "recipient": "ada@example.org",
        "state": "sent",
        "attempts": 2,
        "answer": "answer 2.7",
        "message_id": f"<{email.id}@host>",
        "uncertain": False,
        "next_attempt_at": None,
        "sent_at": minute(2),
        "failed_at": None,
        "history": [
            {
                "number": 1,
                "at": minute(1),
                "outcome": "deferred",
                "answer": "answer 1.4",
                "worker": "mailer-1@host",
            },
            {
                "number": 2,
                "at": minute(2),
                "outcome": "sent",
                "answer": "answer 2.7",
                "worker": "mailer-2@host",
            },
        ],
    }


def test_what_was_in_a_mail_is_shown_nowhere(
    user: User, api: APIClient, admin_client: Client
) -> None:
    email = make_mail(user)
    for address in ("/api/v1/mails", f"/api/v1/mails/{email.id}"):
        assert KEY not in api.get(address).content.decode()
    for address in ("", f"{email.id}/change/"):
        page = admin_client.get(f"/admin/mail/email/{address}")
        assert page.status_code == 200
        assert "ada@example.org" in page.content.decode()
        assert KEY not in page.content.decode()


def test_operators_see_the_attempts_and_change_nothing(admin_client: Client) -> None:
    email = make_mail()
    arrive(event(email.id, "RETRY"))
    page = admin_client.get(f"/admin/mail/email/{email.id}/change/").content.decode()
    assert "answer 1.4" in page
    assert admin_client.post(f"/admin/mail/email/{email.id}/delete/").status_code == 403
    assert admin_client.get("/admin/mail/email/?state__exact=sent&q=ada").status_code == 200
    assert Email.objects.exists()


def test_nobody_sees_anothers_mail(user: User, api: APIClient) -> None:
    for email in (make_mail(make_user("grace@example.org")), make_mail()):
        answer = api.get(f"/api/v1/mails/{email.id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert api.get("/api/v1/mails").json()["results"] == []
    assert APIClient().get("/api/v1/mails").status_code == 401


def test_mails_are_listed_newest_first_page_by_page(user: User, api: APIClient) -> None:
    now = timezone.now()
    mails = [
        make_mail(user, created_at=now - timedelta(minutes=number // 2)) for number in range(7)
    ]
    expected = sorted(mails, key=lambda mail: (mail.created_at, mail.id), reverse=True)
    seen: list[str] = []
    address: str | None = "/api/v1/mails?page_size=2"
    while address:
        page = api.get(address).json()
        seen += [mail["id"] for mail in page["results"]]
        address = page["next"]
    assert seen == [str(mail.id) for mail in expected]


def test_mails_are_filtered_by_state(user: User, api: APIClient) -> None:
    sent, failed = make_mail(user), make_mail(user)
    make_mail(user)
    arrive(event(sent.id, "SUCCESS"), event(failed.id, "FAILURE"))
    listed = api.get("/api/v1/mails?state=sent&state=failed").json()["results"]
    assert {mail["id"] for mail in listed} == {str(sent.id), str(failed.id)}
    refused = api.get("/api/v1/mails?state=lost")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "state"


@pytest.mark.parametrize("mail_id", [str(UUID(int=1)), "-" * 36, "x"])
def test_a_mail_that_does_not_exist_is_not_found(api: APIClient, mail_id: str) -> None:
    answer = api.get(f"/api/v1/mails/{mail_id}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_mails_are_only_read(user: User, api: APIClient, method: str) -> None:
    email = make_mail(user)
    assert getattr(api, method)(f"/api/v1/mails/{email.id}", {}).status_code == 405


def test_a_list_of_any_length_takes_few_queries(
    user: User, api: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        email = make_mail(user)
        arrive(event(email.id, "SUCCESS"))
    with django_assert_num_queries(3):  # the account, the session, the mails
        api.get("/api/v1/mails")
    with django_assert_num_queries(2):  # the account was read a moment ago
        api.get(f"/api/v1/mails/{email.id}")


def test_mails_go_with_their_user(user: User) -> None:
    make_mail(user)
    user.delete()
    assert not Email.objects.exists()
