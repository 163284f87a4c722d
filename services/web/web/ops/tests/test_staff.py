"""Who may see the operators' pages: what the reverse proxy asks."""

import pytest
from django.test import Client

from web.accounts.tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def answer(client: Client) -> int:
    return client.get("/staff").status_code


def sign_in(client: Client, *, staff: bool) -> None:
    user = make_user(staff=staff)
    assert client.login(email=user.email, password=PASSWORD)


def test_without_a_session_the_answer_is_to_sign_in(client: Client) -> None:
    assert answer(client) == 401


def test_staff_may(client: Client) -> None:
    sign_in(client, staff=True)
    assert answer(client) == 204


def test_a_user_may_not(client: Client) -> None:
    sign_in(client, staff=False)
    assert answer(client) == 403


def test_staff_whose_account_is_closed_may_not(client: Client) -> None:
    user = make_user(staff=True)
    assert client.login(email=user.email, password=PASSWORD)
    user.is_active = False
    user.save()
    assert answer(client) == 401


def test_an_access_token_is_no_session(client: Client) -> None:
    make_user(staff=True)
    body = {"email": "ada@example.org", "password": PASSWORD}
    token = client.post("/api/v1/auth/token", body, content_type="application/json").json()
    assert (
        client.get("/staff", headers={"authorization": f"Bearer {token['access']}"}).status_code
        == 401
    )


def test_nobody_keeps_the_answer(client: Client) -> None:
    assert "no-store" in client.get("/staff")["Cache-Control"]
