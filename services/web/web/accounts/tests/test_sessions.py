"""Sessions: refresh tokens that can be used once, and the ends of what a sign-in has opened."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken
from structlog.testing import capture_logs

from web import recent
from web.accounts import sessions
from web.accounts.models import Session, User
from web.accounts.tests.factories import client_of, make_user, sign_in

pytestmark = pytest.mark.django_db


def refresh(token: str) -> Any:
    return APIClient().post("/api/v1/auth/token/refresh", {"refresh": token})


def client_with(access: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


def whoami(access: str) -> int:
    recent.forget_all()
    return client_with(access).get("/api/v1/users/me").status_code


def long_ago() -> None:
    """Let the time pass in which a client may ask again that did not get its answer."""
    Session.objects.update(used_at=timezone.now() - sessions.REPEATABLE - timedelta(seconds=1))


def test_each_refresh_token_gives_the_next() -> None:
    make_user()
    token = sign_in().json()["refresh"]
    seen = {token}
    for _ in range(3):
        answer = refresh(token)
        assert set(answer.json()) == {"access", "refresh"}
        assert whoami(answer.json()["access"]) == 200
        token = answer.json()["refresh"]
        seen.add(token)
    assert len(seen) == 4
    assert Session.objects.count() == 1


def test_a_refresh_token_that_comes_again_ends_its_session_for_thief_and_owner() -> None:
    make_user()
    other = sign_in().json()
    stolen = sign_in().json()["refresh"]
    owners = refresh(stolen).json()
    long_ago()
    with capture_logs() as lines:
        refused = refresh(stolen)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_not_valid")
    assert "session ended, for its refresh token came twice" in [line["event"] for line in lines]
    assert stolen not in str(lines)
    assert refresh(owners["refresh"]).status_code == 401
    assert whoami(owners["access"]) == 401
    assert whoami(other["access"]) == 200


def test_a_refresh_token_from_before_the_last_two_ends_the_session_at_once() -> None:
    make_user()
    first = sign_in().json()["refresh"]
    third = refresh(refresh(first).json()["refresh"]).json()["refresh"]
    assert refresh(first).status_code == 401
    assert refresh(third).status_code == 401


def test_a_client_that_did_not_get_its_answer_gets_the_same_token_again() -> None:
    make_user()
    token = sign_in().json()["refresh"]
    lost, again = refresh(token).json(), refresh(token).json()
    assert lost["refresh"] == again["refresh"]
    assert refresh(again["refresh"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_refreshes_all_get_the_same_token() -> None:
    make_user()
    token = sign_in().json()["refresh"]
    start, answers = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        answers.append(refresh(token).json())
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["refresh"] for answer in answers}) == 1


def test_signing_out_ends_this_session_alone() -> None:
    make_user()
    here, there = sign_in().json(), sign_in().json()
    assert client_with(here["access"]).post("/api/v1/auth/logout").status_code == 204
    assert whoami(here["access"]) == 401
    assert refresh(here["refresh"]).status_code == 401
    assert whoami(there["access"]) == 200


def test_the_end_of_a_session_is_told_by_a_code() -> None:
    make_user()
    access = sign_in().json()["access"]
    Session.objects.all().delete()
    recent.forget_all()
    answer = client_with(access).get("/api/v1/users/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


def test_sessions_are_listed_and_ended_one_by_one_or_all() -> None:
    user = make_user()
    make_user("bob@example.org")
    sign_in("bob@example.org")
    APIClient().post(
        "/api/v1/auth/token",
        {"email": user.email, "password": "correct horse battery"},
        headers={"User-Agent": "warren-client/1 " + "x" * 400},
    )
    here = client_of(user)
    listed = here.get("/api/v1/auth/sessions").json()["results"]
    assert [each["current"] for each in listed] == [True, False]
    assert listed[1]["agent"].startswith("warren-client/1 x")
    assert {each["network"] for each in listed} == {"127.0.0.1"}
    assert here.delete(f"/api/v1/auth/sessions/{listed[1]['id']}").status_code == 204
    assert len(here.get("/api/v1/auth/sessions").json()["results"]) == 1
    assert here.delete("/api/v1/auth/sessions").status_code == 204
    recent.forget_all()
    assert here.get("/api/v1/auth/sessions").status_code == 401
    assert Session.objects.count() == 1  # Bob's


def test_nobody_ends_the_session_of_somebody_else() -> None:
    make_user("bob@example.org")
    sign_in("bob@example.org")
    client = client_of(make_user())
    theirs = Session.objects.get(user__email="bob@example.org")
    assert client.delete(f"/api/v1/auth/sessions/{theirs.pk}").status_code == 404
    assert client.delete("/api/v1/auth/sessions/nonsense").status_code == 404


def test_a_session_ends_after_ninety_days_however_often_it_is_prolonged() -> None:
    make_user()
    token = sign_in().json()["refresh"]
    began = timezone.now() - sessions.LONGEST + timedelta(minutes=5)
    Session.objects.update(created_at=began)
    answer = refresh(token).json()
    session = Session.objects.get()
    assert session.expires_at == began + sessions.LONGEST
    assert sessions.access(RefreshToken(answer["refresh"]))["exp"] <= int(
        session.expires_at.timestamp()
    )
    Session.objects.update(expires_at=timezone.now())
    assert refresh(answer["refresh"]).status_code == 401
    assert whoami(answer["access"]) == 401


def test_a_user_has_a_hundred_sessions_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST", 3)
    user = make_user()
    tokens = [sessions.begin(user, "127.0.0.1") for _ in range(5)]
    kept = {session.pk for session in Session.objects.all()}
    assert kept == {sessions.id_of(token) for token in tokens[2:]}


def test_tokens_without_a_session_are_refused() -> None:
    user = make_user()
    token = RefreshToken.for_user(user)
    assert whoami(str(token.access_token)) == 401
    assert refresh(str(token)).status_code == 401
    token[sessions.CLAIM] = "nonsense"
    assert refresh(str(token)).status_code == 401


def test_sessions_end_with_the_account() -> None:
    make_user()
    sign_in()
    User.objects.all().delete()
    assert not Session.objects.exists()
