"""New passwords: by a key from a mail, by the old one, and on the pages for people."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from runtime.rates import Rate
from web import recent
from web.accounts import passwords
from web.accounts.models import RateUsage, Session, User
from web.accounts.tests.factories import PASSWORD, client_of, make_user, shapes, sign_in
from web.mail.models import Email

pytestmark = pytest.mark.django_db
API = "/api/v1/auth/password"
NEW = "another fine password"


def ask(email: str = "ada@example.org") -> Any:
    return APIClient().post(f"{API}/reset", {"email": email})


def mailed_key() -> str:
    context = Email.objects.filter(template="password_reset").latest("created_at").context
    assert context is not None
    return str(context["reset_key"])


def reset(key: object, password: object = NEW) -> Any:
    return APIClient().post(f"{API}/reset/confirm", {"key": key, "password": password})


def change(user: User, current: str = PASSWORD, password: str = NEW) -> Any:
    body = {"current_password": current, "password": password}
    return client_of(user).post(API, body)


def templates() -> list[str]:
    return list(Email.objects.order_by("created_at").values_list("template", flat=True))


def test_a_forgotten_password_is_replaced_and_everybody_is_signed_out() -> None:
    make_user()
    tokens = sign_in().json()
    assert ask("Ada@Example.org").status_code == 202
    assert reset(mailed_key()).json() == {"email": "ada@example.org", "verified": True}
    assert [sign_in(password=each).status_code for each in (PASSWORD, NEW)] == [401, 200]
    recent.forget_all()
    whoami = {"Authorization": f"Bearer {tokens['access']}"}
    assert APIClient().get("/api/v1/users/me", headers=whoami).status_code == 401
    assert templates() == ["password_reset", "password_changed"]


def test_a_key_counts_once_and_not_after_another_change() -> None:
    user = make_user()
    ask()
    key = mailed_key()
    assert reset(key).status_code == 200
    assert reset(key, "a third fine password").json()["code"] == "invalid_key"
    ask()
    key = mailed_key()
    user.refresh_from_db()
    assert change(user, NEW, "a fourth fine password").status_code == 200
    assert reset(key).status_code == 400


def test_a_key_counts_for_an_hour(settings: Settings) -> None:
    make_user()
    ask()
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert reset(mailed_key()).status_code == 400


@pytest.mark.parametrize("key", ["", "x", "a-b", f"{0:032}-abc-def", "é-ß-1", None, 7])
def test_nonsense_is_no_key(key: object) -> None:
    assert reset(key).status_code == 400


def test_the_key_of_another_account_opens_nothing() -> None:
    make_user()
    bob = make_user("bob@example.org")
    ask()
    assert reset(f"{bob.pk.hex}-{mailed_key().partition('-')[2]}").status_code == 400


@pytest.mark.parametrize("password", ["short", "1234567890123", "ada@example.org", "x" * 257])
def test_a_weak_password_is_refused_and_the_key_stays_valid(password: str) -> None:
    make_user()
    ask()
    refused = reset(mailed_key(), password)
    assert refused.json()["errors"][0]["field"] == "password"
    assert reset(mailed_key()).status_code == 200


def test_nothing_tells_whether_there_is_an_account() -> None:
    make_user("warm.up@example.org")
    make_user("known@example.org")
    make_user("unverified@example.org", verified=False)
    make_user("closed@example.org")
    User.objects.filter(email="closed@example.org").update(is_active=False)
    answers, done = [], []
    for name in ("warm.up", "known", "unverified", "closed", "nobody"):
        with CaptureQueriesContext(connection) as queries:
            answers.append(ask(f"{name}@example.org"))
        done.append(shapes(queries))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert all(each == done[1] for each in done[1:])
    assert templates() == ["password_reset"] * 2 + ["no_account"] * 3


def test_mails_for_new_passwords_count_with_the_others() -> None:
    make_user()
    assert [ask().status_code for _ in range(4)] == [202, 202, 429, 429]
    assert len(templates()) == 2


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_uses_of_a_key_one_counts() -> None:
    make_user()
    ask()
    key, start, statuses = mailed_key(), threading.Barrier(4), []

    def use(number: int) -> None:
        start.wait(30)
        statuses.append(reset(key, f"{NEW} {number}").status_code)
        connection.close()

    threads = [threading.Thread(target=use, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [200, 400, 400, 400]
    assert templates().count("password_changed") == 1


def test_whoever_knows_the_password_changes_it_and_stays_signed_in() -> None:
    user = make_user()
    other = client_of(user)
    answer = change(user)
    assert set(answer.json()) == {"access", "refresh"}
    recent.forget_all()
    assert other.get("/api/v1/users/me").status_code == 401
    mine = {"Authorization": f"Bearer {answer.json()['access']}"}
    assert APIClient().get("/api/v1/users/me", headers=mine).status_code == 200
    assert Session.objects.count() == 1
    assert templates() == ["password_changed"]
    assert sign_in(password=NEW).status_code == 200


def test_a_wrong_current_password_counts_as_a_failed_sign_in(settings: Settings) -> None:
    settings.THROTTLE_SIGN_IN_FAILURES = Rate(2, seconds=600)
    user = make_user()
    answers = [change(user, "wrong password") for _ in range(3)]
    assert [answer.json()["code"] for answer in answers] == ["wrong_password"] * 2 + ["throttled"]
    assert change(user).status_code == 429
    assert sign_in().status_code == 429
    RateUsage.objects.all().delete()
    assert change(user, password="short").json()["errors"][0]["field"] == "password"
    assert change(user).status_code == 200


def test_without_a_token_no_password_is_changed() -> None:
    body = {"current_password": PASSWORD, "password": NEW}
    assert APIClient().post(API, body).status_code == 401


def test_no_log_and_no_answer_holds_a_password_or_a_key() -> None:
    user = make_user()
    with capture_logs() as lines:
        told = [ask(), reset(mailed_key() + "x"), reset(mailed_key()), change(user, "planted-1")]
    said = str(lines) + "".join(answer.content.decode() for answer in told)
    for secret in (mailed_key(), NEW, "planted-1"):
        assert secret not in said
    assert "password reset" in [line["event"] for line in lines]


def test_people_get_a_new_password_on_pages() -> None:
    make_user()
    browser = Client()
    assert "Get a new password" in browser.get("/password").content.decode()
    assert "Look into" in browser.post("/password", {"email": "ada@example.org"}).content.decode()
    key = mailed_key()
    page = browser.get("/password/reset", {"key": key})
    assert key in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    weak = browser.post("/password/reset", {"key": key, "password": "short"})
    assert (weak.status_code, "too short" in weak.content.decode()) == (400, True)
    saved = browser.post("/password/reset", {"key": key, "password": NEW})
    assert "Your new password counts" in saved.content.decode()
    assert sign_in(password=NEW).status_code == 200
    again = browser.post("/password/reset", {"key": key, "password": NEW})
    assert (again.status_code, "not valid" in again.content.decode()) == (400, True)


@pytest.mark.parametrize("email", ["", "nonsense", "x" * 300])
def test_a_page_refuses_what_is_no_address(email: str) -> None:
    answer = Client().post("/password", {"email": email})
    assert (answer.status_code, "not an e-mail address" in answer.content.decode()) == (400, True)


def test_pages_are_limited_too(settings: Settings) -> None:
    make_user()
    for _ in range(2):
        assert Client().post("/password", {"email": "ada@example.org"}).status_code == 200
    refused = Client().post("/password", {"email": "ada@example.org"})
    assert (refused.status_code, int(refused["Retry-After"]) > 0) == (429, True)
    settings.THROTTLE_VERIFICATION = Rate(1, seconds=60)
    RateUsage.objects.all().delete()
    keys = [Client().post("/password/reset", {"key": "x", "password": NEW}) for _ in range(2)]
    assert [answer.status_code for answer in keys] == [400, 429]


def test_a_key_holds_the_account_and_nothing_secret_of_it() -> None:
    user = make_user()
    key = passwords.key_of(user)
    assert key.startswith(user.pk.hex)
    assert user.password not in key
