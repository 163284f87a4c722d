"""Who may see the operators' pages: what the reverse proxy asks."""

import pytest
from django.test import Client
from structlog.testing import capture_logs

from web.accounts.tests.factories import PASSWORD, make_user, permit
from web.ops.views import DOORS

pytestmark = pytest.mark.django_db


def answer(client: Client, page: str = "flower") -> int:
    return client.get(f"/staff/{page}").status_code


def sign_in(client: Client, *codenames: str, staff: bool = True) -> None:
    user = permit(make_user(staff=staff), *codenames)
    assert client.login(email=user.email, password=PASSWORD)


def test_without_a_session_the_answer_is_to_sign_in(client: Client) -> None:
    assert answer(client) == 401


@pytest.mark.parametrize(("page", "permission"), DOORS.items())
def test_each_door_asks_for_its_permission(client: Client, page: str, permission: str) -> None:
    sign_in(client, permission.split(".")[1])
    assert {each: answer(client, each) for each in DOORS} == {
        each: 204 if each == page else 403 for each in DOORS
    }


def test_who_was_refused_is_told_in_the_log_and_a_stranger_is_not(client: Client) -> None:
    with capture_logs() as lines:
        answer(client)
        sign_in(client, "change_worker")
        assert [answer(client, page) for page in ("flower", "mails")] == [204, 403]
    [told] = [line for line in lines if line["event"] == "refused"]
    assert (told["user"], told["path"]) == (client.session["_auth_user_id"], "/staff/mails")


def test_superusers_may_and_nobody_may_enter_where_there_is_no_door(admin_client: Client) -> None:
    assert [answer(admin_client, page) for page in (*DOORS, "cellar")] == [204, 204, 204, 403]


def test_a_user_with_the_permission_who_is_no_staff_may_not(client: Client) -> None:
    sign_in(client, "change_worker", staff=False)
    assert answer(client) == 403


def test_staff_whose_account_is_closed_may_not(client: Client) -> None:
    user = permit(make_user(staff=True), "change_worker")
    assert client.login(email=user.email, password=PASSWORD)
    user.is_active = False
    user.save()
    assert answer(client) == 401


def test_an_access_token_is_no_session(client: Client) -> None:
    permit(make_user(staff=True), "change_worker")
    body = {"email": "ada@example.org", "password": PASSWORD}
    token = client.post("/api/v1/auth/token", body, content_type="application/json").json()
    headers = {"authorization": f"Bearer {token['access']}"}
    assert client.get("/staff/flower", headers=headers).status_code == 401


def test_nobody_keeps_the_answer(client: Client) -> None:
    assert "no-store" in client.get("/staff/flower")["Cache-Control"]


def test_a_session_ends_after_a_working_day(client: Client) -> None:
    sign_in(client, "change_worker")
    assert client.session.get_expiry_age() == 10 * 3600
