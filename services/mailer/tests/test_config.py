"""What the mailer reads from its environment, and what it refuses."""

import pytest

from contracts.errors import SettingsError
from contracts.settings import Environment
from mailer.config import MailerSettings, Security, SmtpServer

COMPLETE = {
    "BROKER_URL": "amqp://mailer:planted@rabbitmq/warren",
    "LEDGER_URL": "postgresql://mailer:planted@postgres/mailer",
    "SMTP_URL": "smtp+starttls://warren:planted@mail.example.org",
    "MAIL_FROM": "Warren <noreply@example.org>",
}


def test_four_settings_are_enough() -> None:
    settings = MailerSettings.read(Environment(COMPLETE))
    assert settings.ledger_url == COMPLETE["LEDGER_URL"]
    assert str(settings.mail_from) == COMPLETE["MAIL_FROM"]
    assert (settings.smtp_timeout, settings.ledger_wait) == (30.0, 60.0)
    assert settings.worker.concurrency == 8


def test_every_setting_that_is_missing_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError) as caught:
        MailerSettings.read(Environment({}))
    for name in COMPLETE:
        assert f"{name} is missing. Example: {name}=" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LEDGER_URL", "mysql://planted", "starts with postgresql"),
        ("SMTP_URL", "planted.example.org:25", "smtp://"),
        ("SMTP_URL", "smtp://", "smtp+starttls://"),
        ("SMTP_URL", "smtp://warren:planted/pass@mail.example.org", "percent-encoded"),
        ("SMTP_URL", "smtp://warren:plantedé@mail.example.org", "must be ASCII"),
        ("SMTP_URL", "smtp://mail.example.org:99999", "port must be a number"),
        ("MAIL_FROM", "planted", "must be one e-mail address"),
        ("SMTP_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_a_wrong_setting_is_named_but_not_repeated(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        MailerSettings.read(Environment(COMPLETE | {name: value}))
    assert name in str(caught.value)
    assert said in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://localhost", SmtpServer("localhost", 25)),
        ("smtp://localhost:1025", SmtpServer("localhost", 1025)),
        (
            "smtp+starttls://mail.example.org",
            SmtpServer("mail.example.org", 587, Security.STARTTLS),
        ),
        (
            "smtps://me%40example.org:p%2Fa%3Ass%25@mail.example.org",
            SmtpServer("mail.example.org", 465, Security.TLS, "me@example.org", "p/a:ss%"),
        ),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525)),
    ],
)
def test_a_server_is_read_from_its_url(url: str, server: SmtpServer) -> None:
    assert SmtpServer.parse(url) == server


def test_no_secret_is_shown_with_the_settings() -> None:
    settings = MailerSettings.read(Environment(COMPLETE))
    assert "planted" not in repr(settings)
