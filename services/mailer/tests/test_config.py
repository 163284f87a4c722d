"""What the mailer reads from its environment, and what it refuses."""

from pathlib import Path

import pytest

from contracts.errors import SettingsError
from mailer.config import MailerSettings
from mailer.smtp_url import Security, SmtpServer, parse_servers
from mailer.throttle import Rates
from runtime.environment import Environment
from runtime.rates import Rate

COMPLETE = {
    "BROKER_URL": "amqp://mailer:planted@rabbitmq/warren",
    "LEDGER_URL": "postgresql://mailer:planted@postgres/mailer",
    "SMTP_URL": "smtp+starttls://warren:planted@mail.example.org",
    "MAIL_FROM": "Warren <noreply@example.org>",
}
BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
ED25519_KEY = f"{BEGIN}\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n{END}"


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
        (
            "SMTP_URL",
            "smtp://b.example.org smtps://a:plan ted@c.example.org",
            "number 2 is not right",
        ),
        ("SMTP_URL", "smtp://b.example.org,smtp://planted.example.org", "by spaces"),
        ("DKIM_KEY", "planted", "must be one private key in PEM"),
        ("DKIM_KEY", f"{BEGIN}\nplanted+\n{END}", "must be a key of RSA or Ed25519"),
        ("DKIM_KEY", f"{BEGIN}\nplanted\n{END}", "base64 is not complete"),
        ("DKIM_SELECTOR", "planted selector", "must be a name in the DNS"),
        ("DKIM_DOMAIN", "-planted.example.org", "must be a name in the DNS"),
        ("MAIL_RATE", "planted/1s", "must be a number, a slash and a time"),
        ("MAIL_RATE_DOMAIN", "0/1s planted", "must be a number, a slash and a time"),
        ("MAIL_FROM", "planted", "must be one e-mail address"),
        ("SMTP_TIMEOUT", "0", "greater than 0"),
        ("SMTP_EHLO_NAME", "planted name", "must be a host's name"),
        ("SMTP_EHLO_NAME", "planted\r\nMAIL FROM:<>", "must be a host's name"),
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


def test_servers_are_read_in_their_order_with_spaces_and_line_breaks_between_them() -> None:
    assert parse_servers(
        "smtp://a:p%20%2C@one.example.org  smtps://two.example.org\nsmtp://[::1]"
    ) == (
        SmtpServer("one.example.org", 25, user="a", password="p ,"),
        SmtpServer("two.example.org", 465, Security.TLS),
        SmtpServer("::1", 25),
    )


def test_no_secret_is_shown_with_the_settings() -> None:
    settings = MailerSettings.read(Environment(COMPLETE))
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "example.org"),
        ({"MAIL_FROM": "x@bücher.example"}, "xn--bcher-kva.example"),
        ({"SMTP_EHLO_NAME": "mail-1.example.org"}, "mail-1.example.org"),
        ({"SMTP_EHLO_NAME": "[192.0.2.1]"}, "[192.0.2.1]"),
    ],
)
def test_the_mailer_introduces_itself_with_its_domain(more: dict[str, str], name: str) -> None:
    assert MailerSettings.read(Environment(COMPLETE | more)).smtp_servers[0].ehlo_name == name


@pytest.mark.parametrize(
    ("server", "works"),
    [("smtp://{}mail.warren.test", False), ("smtps://{}mail.warren.test", True),
     ("smtp://{}127.0.0.1", True),
     ("smtps://{0}mail.warren.test smtp://{0}mail.warren.test", False)],
)  # fmt: skip
def test_in_production_no_password_goes_over_a_line_in_clear(server: str, works: bool) -> None:
    variables = {name: value.replace("planted", "p4k2") for name, value in COMPLETE.items()} | {
        "WARREN_ENVIRONMENT": "production",
        "SMTP_URL": server.format("warren:p4k2@"),
    }
    if works:
        assert MailerSettings.read(Environment(variables)).smtp_servers[0].password
        return
    with pytest.raises(SettingsError, match="would send its password in clear"):
        MailerSettings.read(Environment(variables))


def test_mails_are_signed_if_there_are_a_key_and_a_selector(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(ED25519_KEY + "\n")
    given = COMPLETE | {"DKIM_KEY_FILE": str(file), "DKIM_SELECTOR": "warren"}
    signer = MailerSettings.read(Environment(given)).signer
    assert signer is not None
    assert (signer.selector, signer.domain) == ("warren", "example.org")
    assert ED25519_KEY.splitlines()[1][-20:] not in repr(signer)
    assert signer.key.secret.decode() not in repr(signer)
    signer = MailerSettings.read(Environment(given | {"DKIM_DOMAIN": "example.net"})).signer
    assert signer is not None
    assert signer.domain == "example.net"


def test_mails_are_limited_only_if_a_rate_is_set() -> None:
    assert MailerSettings.read(Environment(COMPLETE | {"MAIL_RATE": "none"})).rates == Rates()
    limited = COMPLETE | {"MAIL_RATE": "10/1s", "MAIL_RATE_DOMAIN": "100/1m"}
    rates = Rates(Rate(10, seconds=1), Rate(100, seconds=60))
    assert MailerSettings.read(Environment(limited)).rates == rates


@pytest.mark.parametrize("given", [{}, {"DKIM_KEY": "none", "DKIM_SELECTOR": ""}])
def test_mails_are_not_signed_without_a_key(given: dict[str, str]) -> None:
    assert MailerSettings.read(Environment(COMPLETE | given)).signer is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"DKIM_KEY": ED25519_KEY}, "DKIM_SELECTOR"),
        ({"DKIM_SELECTOR": "warren"}, "DKIM_KEY"),
        ({"DKIM_SELECTOR": "warren", "DKIM_KEY": "none"}, "DKIM_KEY"),
    ],
)
def test_a_part_of_the_settings_of_dkim_is_refused(given: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is missing, which"):
        MailerSettings.read(Environment(COMPLETE | given))
