"""Several SMTP servers: which of them gets a mail."""

import socket
from collections.abc import Iterator

import pytest

from contracts.errors import PermanentError, TransientError
from mailer.servers import Servers
from mailer.smtp_url import SmtpServer
from tests.support.polling import poll

from .conftest import StartServer
from .delivering import say_hello
from .scripted_server import ScriptedServer, free_port

REPAIRS = "421 4.3.2 closed for repairs"


@pytest.fixture
def first(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


@pytest.fixture
def second(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen, but never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def at(*ports: int, timeout: float = 10, pause: float = 600) -> Servers:
    servers = [SmtpServer("127.0.0.1", port) for port in ports]
    return Servers(servers, timeout=timeout, pause=pause)


def test_the_first_server_gets_all_mails(first: ScriptedServer, second: ScriptedServer) -> None:
    servers = at(first.port, second.port)
    say_hello(servers)
    say_hello(servers)
    assert (len(first.mails), second.seen) == (2, [])
    servers.close()


def test_a_server_that_refuses_the_connection_leaves_the_mail_to_the_next(
    second: ScriptedServer,
) -> None:
    servers = at(free_port(), second.port)
    say_hello(servers)
    assert len(second.mails) == 1
    servers.close()


def test_a_server_that_says_nothing_leaves_the_mail_to_the_next(
    silent_port: int, second: ScriptedServer
) -> None:
    servers = at(silent_port, second.port, timeout=3)
    say_hello(servers)
    assert len(second.mails) == 1
    servers.close()


@pytest.mark.parametrize("greeting", [REPAIRS, "554 5.7.1 not for you"])
def test_a_server_that_could_not_be_opened_is_left_alone(
    first: ScriptedServer, second: ScriptedServer, greeting: str
) -> None:
    first.script["GREETING"] = [greeting]
    servers = at(first.port, second.port)
    for _ in range(3):
        say_hello(servers)
    assert (first.mails, first.seen.count("GREETING")) == ([], 1)
    assert (len(second.mails), second.seen.count("EHLO")) == (3, 1)
    servers.close()


def test_a_server_that_refuses_the_sign_in_leaves_the_mail_to_the_next(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    first.script["EHLO"] = ["250-here\r\n250 AUTH PLAIN"]
    first.script["AUTH"] = ["535 5.7.8 no"]
    guarded = SmtpServer("127.0.0.1", first.port, user="warren", password="planted")
    servers = Servers([guarded, SmtpServer("127.0.0.1", second.port)], timeout=10)
    say_hello(servers)
    assert "AUTH" in first.seen
    assert len(second.mails) == 1
    servers.close()


def test_the_first_server_is_preferred_again_after_its_pause(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    first.script["GREETING"] = [REPAIRS]
    servers = at(first.port, second.port, pause=0.2)
    say_hello(servers)
    assert len(second.mails) == 1
    poll(lambda: say_hello(servers) and first.mails, what="mail at the first server")
    taken = len(second.mails)
    say_hello(servers)
    assert (len(first.mails), len(second.mails)) == (2, taken)
    assert first.seen.count("EHLO") == second.seen.count("EHLO") == 1
    servers.close()


def test_a_server_that_is_left_alone_is_asked_before_a_mail_is_put_off(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    first.script["GREETING"] = [REPAIRS]
    servers = at(first.port, second.port)
    say_hello(servers)
    second.drop_connections()
    second.script["GREETING"] = [REPAIRS]
    say_hello(servers)
    assert (len(first.mails), len(second.mails)) == (1, 1)
    servers.close()


def test_a_kept_connection_that_is_lost_leaves_the_mail_to_the_next(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    servers = at(first.port, second.port)
    say_hello(servers)
    first.drop_connections()
    first.script["GREETING"] = [REPAIRS]
    say_hello(servers)
    assert (len(first.mails), len(second.mails)) == (1, 1)
    servers.close()


def test_the_reason_of_each_server_is_told_without_a_password(first: ScriptedServer) -> None:
    first.script["GREETING"] = [REPAIRS] * 2
    away = SmtpServer("127.0.0.1", free_port(), user="warren", password="planted")
    servers = Servers([away, SmtpServer("127.0.0.1", first.port)], timeout=10)
    with pytest.raises(TransientError) as caught:
        say_hello(servers)
    for told in (str(caught.value), servers.problem()):
        assert f"127.0.0.1:{away.port}: no connection to the SMTP server: " in told
        assert f"127.0.0.1:{first.port}: no connection to the SMTP server: {REPAIRS}" in told
        assert "planted" not in told
        assert "warren" not in told


@pytest.mark.parametrize(
    ("stage", "answer", "error"),
    [
        ("MAIL", "421 4.3.2 shutting down", TransientError),
        ("RCPT", "450 4.2.0 later", TransientError),
        ("RCPT", "550 5.1.1 no such mailbox", PermanentError),
        ("END", "451 4.7.1 later", TransientError),
    ],
)
def test_an_answer_about_a_mail_counts_and_no_other_server_is_asked(
    first: ScriptedServer,
    second: ScriptedServer,
    stage: str,
    answer: str,
    error: type[Exception],
) -> None:
    first.script[stage] = [answer]
    servers = at(first.port, second.port)
    with pytest.raises(error, match=answer[:3]):
        say_hello(servers)
    assert second.seen == []
    servers.close()


def test_one_server_that_can_be_used_is_enough(silent_port: int, second: ScriptedServer) -> None:
    assert at(silent_port, free_port(), second.port).problem() == ""
