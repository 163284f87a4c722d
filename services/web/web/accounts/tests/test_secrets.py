"""Passwords, keys and tokens are planted, and then looked for where they must not be."""

import logging
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from contracts.tasks import SEND_EMAIL
from web.accounts.models import User
from web.mail.models import Email
from web.messaging.models import OutboxMessage

PASSWORD = "planted-password-42"
pytestmark = pytest.mark.django_db


def test_no_log_and_no_answer_holds_a_password_a_key_or_a_token(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    api, account = APIClient(), {"email": "ada@example.org", "password": PASSWORD}
    answers: list[Any] = [api.post("/api/v1/users", account), api.post("/api/v1/users", account)]
    email = Email.objects.order_by("created_at")[0]
    assert email.context is not None
    key = email.context["verification_key"]
    answers += [
        api.post("/api/v1/auth/token", account),
        Client().get("/verify", {"key": key}, headers={"accept": "text/plain"}),
        api.post("/api/v1/users/verify", {"key": key}),
        api.post("/api/v1/users/verify", {"key": key + "x"}),
    ]
    tokens = api.post("/api/v1/auth/token", account).json()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    answers += [
        api.get("/api/v1/mails"),
        api.get(f"/api/v1/mails/{email.id}"),
        api.get("/api/v1/users/me"),
    ]
    secrets = [PASSWORD, key, tokens["access"], tokens["refresh"], User.objects.get().password]
    page_for_the_key = answers.pop(3)
    assert key in page_for_the_key.content.decode()  # the one place where it belongs
    told = "".join(answer.content.decode() for answer in answers)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "request answered" in logged
    for secret in secrets:
        assert secret not in told
        assert secret not in logged


def test_an_error_nobody_foresaw_tells_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted-detail")

    monkeypatch.setattr("web.messaging.outbox.outbox.send", fail)
    api = APIClient(raise_request_exception=False)
    answer = api.post("/api/v1/users", {"email": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "internal_error"
    assert "planted-detail" not in answer.content.decode()
    assert "planted-detail" in caplog.text
    assert PASSWORD not in caplog.text


def test_what_others_may_see_of_a_mail_holds_no_key() -> None:
    APIClient().post("/api/v1/users", {"email": "ada@example.org", "password": PASSWORD})
    email, message = Email.objects.get(), OutboxMessage.objects.get()
    assert email.context is not None
    key = email.context["verification_key"]
    assert key in bytes(message.body).decode()
    assert key not in f"{message.headers}{message.properties}{message.sent_event}{message}{email}"
    assert SEND_EMAIL.shown == {"email_id", "template"}


def test_the_password_reaches_the_database_only_as_a_hash() -> None:
    with CaptureQueriesContext(connection) as queries:
        APIClient().post("/api/v1/users", {"email": "ada@example.org", "password": PASSWORD})
    assert "argon2" in str(queries.captured_queries)
    assert PASSWORD not in str(queries.captured_queries)
