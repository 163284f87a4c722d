"""Signing in, and what a token opens."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from runtime.rates import Rate
from tests.support.polling import poll
from web import recent
from web.accounts.hashing import Argon2
from web.accounts.models import User
from web.accounts.tests.factories import (
    PASSWORD,
    access_token,
    client_of,
    make_registration,
    make_user,
    sign_in,
    sign_in_to_the_administration,
)

pytestmark = pytest.mark.django_db


def refresh(token: Any) -> Any:
    return APIClient().post("/api/v1/auth/token/refresh", {"refresh": token})


def whoami(token: str) -> Any:
    return APIClient().get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})


def test_a_token_says_who_one_is() -> None:
    user = make_user()
    answer = sign_in("Ada@Example.ORG")
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}
    me = whoami(answer.json()["access"])
    assert me.status_code == 200
    assert me.json() == {
        "id": str(user.id),
        "email": "ada@example.org",
        "email_verified": True,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_whoever_cannot_sign_in_gets_the_same_answer() -> None:
    make_user()
    make_user("closed@example.org")
    make_user("unverified@example.org", verified=False)
    make_registration("registered@example.org")
    User.objects.filter(email="closed@example.org").update(is_active=False)
    answers = [
        sign_in(password="wrong password"),
        sign_in("nobody@example.org"),
        sign_in("closed@example.org"),
        sign_in("unverified@example.org"),
        sign_in("registered@example.org"),
        sign_in("no address"),
    ]
    assert [answer.status_code for answer in answers] == [401] * 6
    assert answers[0].json()["code"] == "wrong_credentials"
    assert "POST /api/v1/users/verify/resend" in answers[0].json()["detail"]
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert all(answer["WWW-Authenticate"] == 'Bearer realm="api"' for answer in answers)


def test_every_refusal_costs_exactly_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    make_user()
    calls: list[str] = []

    def count(name: str) -> None:
        method = getattr(Argon2, name)

        def counted(*arguments: Any) -> Any:
            calls.append(name)
            return method(*arguments)

        monkeypatch.setattr(Argon2, name, counted)

    count("encode")
    count("verify")
    sign_in(password="wrong password")
    assert calls == ["verify"]
    calls.clear()
    sign_in("nobody@example.org")
    assert calls == ["encode"]


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [("caf\u00e9 au lait", "cafe\u0301 au lait"), ("ﬁne phrase", "fine phrase")],
)
def test_a_password_is_the_same_from_every_keyboard(chosen: str, typed: str) -> None:
    user = make_user()
    user.set_password(chosen)
    user.save()
    assert [sign_in(password=each).status_code for each in (chosen, typed)] == [200, 200]
    assert sign_in(password=typed + "!").status_code == 401


def test_a_change_of_the_password_ends_all_tokens() -> None:
    user = make_user()
    tokens = sign_in().json()
    user.set_password("another fine password")
    user.save()
    assert whoami(tokens["access"]).status_code == 401
    assert refresh(tokens["refresh"]).status_code == 401
    fresh = sign_in(password="another fine password").json()
    assert whoami(refresh(fresh["refresh"]).json()["access"]).status_code == 200


def test_a_token_is_checked_again_after_two_seconds(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    token = sign_in().json()["access"]
    assert whoami(token).status_code == 200
    user.is_active = False
    user.save()
    with django_assert_num_queries(1):  # the view's own
        assert whoami(token).status_code == 200
    later = time.monotonic() + recent.SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert whoami(token).status_code == 401


def test_a_token_counts_no_longer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "SECONDS", 3600.0)
    ending = access_token(make_user())
    ending.set_exp(lifetime=timedelta(seconds=3))
    assert whoami(str(ending)).status_code == 200
    poll(lambda: whoami(str(ending)).status_code, lambda status: status == 401, what="end of it")


def test_who_signed_in_or_failed_is_told_in_the_log() -> None:
    user = make_user()
    with capture_logs() as lines:
        sign_in(password="planted-password")
        sign_in()
    told = [line for line in lines if line["event"] in ("sign-in failed", "signed in")]
    assert [line.get("user") for line in told] == [str(user.pk)] * 2
    assert {line["network"] for line in told} == {"127.0.0.1"}
    assert "planted-password" not in str(lines)


def test_what_was_limited_refused_or_not_refreshed_is_told_in_the_log(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN = Rate(1, seconds=60)
    user = make_user()
    with capture_logs() as lines:
        refresh("planted-token")
        sign_in()
        client_of(user).get("/api/v1/ops/dead-letters")
    told = [line for line in lines if line["event"] in ("refresh refused", "limited", "refused")]
    assert [line["event"] for line in told] == ["refresh refused", "limited", "refused"]
    assert {line["network"] for line in told} == {"127.0.0.1"}
    assert told[1]["scope"] == "sign_in"
    assert (told[2]["user"], told[2]["path"]) == (str(user.pk), "/api/v1/ops/dead-letters")
    assert "planted-token" not in str(lines)


def test_which_operator_signed_in_failed_or_was_refused_is_told_in_the_log(
    settings: Settings,
) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(1, seconds=600)
    user = make_user(staff=True)
    with capture_logs() as lines:
        assert sign_in_to_the_administration("Ada@example.org") == 302
        for _ in range(2):
            sign_in_to_the_administration("Ada@example.org", "planted-password")
    told = [(line["event"], line["user"]) for line in lines if "operator" in line["event"]]
    assert told == [
        ("operator signed in", str(user.pk)),
        ("operator's sign-in failed", str(user.pk)),
        ("operator's sign-in refused, after too many failures", str(user.pk)),
    ]
    assert "planted-password" not in str(lines)


@pytest.mark.parametrize("way", [sign_in, sign_in_to_the_administration])
def test_failures_without_an_account_are_told_apart_by_a_digest_of_the_address(
    way: Callable[[str], object], settings: Settings
) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(1, seconds=600)
    with capture_logs() as lines:
        for address in ("nobody@example.org", "Nobody@example.org", "other@example.org"):
            way(address)
    told = [line for line in lines if "sign-in" in line["event"]]
    assert ["failed" in line["event"] for line in told] == [True, False, True]
    digests = [line["address_digest"] for line in told]
    assert digests[0] == digests[1] != digests[2]
    assert "nobody" not in str(lines)


def test_a_refresh_token_gives_the_next_access_token() -> None:
    make_user()
    answer = refresh(sign_in().json()["refresh"])
    assert answer.status_code == 200
    assert whoami(answer.json()["access"]).status_code == 200


def test_tokens_end_with_the_account() -> None:
    user = make_user()
    tokens = sign_in().json()
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert whoami(tokens["access"]).json()["code"] == "user_inactive"
    assert refresh(tokens["refresh"]).status_code == 401
    User.objects.all().delete()
    assert whoami(tokens["access"]).json()["code"] == "user_not_found"
    assert refresh(tokens["refresh"]).status_code == 401


def test_an_access_token_is_no_refresh_token_and_the_reverse() -> None:
    make_user()
    tokens = sign_in().json()
    assert refresh(tokens["access"]).json()["code"] == "token_not_valid"
    assert whoami(tokens["refresh"]).json()["code"] == "token_not_valid"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "é", 7])
def test_nonsense_is_no_refresh_token(token: object) -> None:
    assert refresh(token).status_code in (400, 401)


def test_without_a_token_nobody_is_anybody() -> None:
    answer = APIClient().get("/api/v1/users/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_a_token_has_no_case(scheme: str) -> None:
    make_user()
    token = sign_in().json()["access"]
    headers = {"Authorization": f"{scheme} {token}"}
    assert APIClient().get("/api/v1/users/me", headers=headers).status_code == 200


def test_public_addresses_do_not_look_at_a_stale_token() -> None:
    make_user()
    body = {"email": "ada@example.org", "password": PASSWORD}
    headers = {"Authorization": "Bearer expired"}
    assert APIClient().post("/api/v1/auth/token", body, headers=headers).status_code == 200


def test_signing_in_and_showing_oneself_take_few_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    user = make_user()
    sign_in()
    # The limits of requests and failures, the network, the user by address, whether it is verified,
    # the failure taken back; the session, and an old one's end.
    with django_assert_num_queries(8):
        sign_in()
    # The account, the session, the view's own.
    client = client_of(user)
    with django_assert_num_queries(3):
        client.get("/api/v1/users/me")


def test_the_tokens_are_signed_with_a_key_of_their_own() -> None:
    assert settings.SIMPLE_JWT["SIGNING_KEY"] != settings.SECRET_KEY
    assert get_user_model() is User
