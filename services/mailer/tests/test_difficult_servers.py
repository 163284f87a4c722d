"""Servers whose answer never ends, though every line comes in time, and that change their mind."""

from collections.abc import Iterator

import pytest

from contracts.errors import TransientError
from mailer.connections import Connections
from mailer.smtp import OutcomeUnknownError
from mailer.smtp_url import Security, SmtpServer

from .conftest import StartServer
from .delivering import say_hello
from .dripping_server import DrippingServer
from .scripted_server import ScriptedServer


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[Connections]:
    """Connect to a server that never ends its answer at a stage."""
    endless = DrippingServer(request.param)
    connections = Connections(SmtpServer("127.0.0.1", endless.port), timeout=1.0)
    yield connections
    connections.close()
    endless.stop()


@pytest.mark.parametrize("dripping", ["GREETING", "EHLO", "MAIL", "DATA"], indirect=True)
def test_a_server_that_never_comes_to_an_end_is_left(dripping: Connections) -> None:
    with pytest.raises(TransientError, match="SMTP server"):
        say_hello(dripping)


@pytest.mark.parametrize("dripping", ["END"], indirect=True)
def test_a_mail_whose_answer_never_comes_to_an_end_may_have_been_sent(
    dripping: Connections,
) -> None:
    with pytest.raises(OutcomeUnknownError):
        say_hello(dripping)


@pytest.mark.parametrize("dripping", ["RSET"], indirect=True)
def test_a_kept_connection_that_never_comes_to_an_end_is_replaced(dripping: Connections) -> None:
    assert say_hello(dripping) == say_hello(dripping) == "250 taken"


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


def test_a_server_that_takes_back_starttls_gets_no_mail(server: ScriptedServer) -> None:
    server.script["EHLO"] = ["250-here\r\n250 STARTTLS"]  # but the command is refused
    protected = SmtpServer("127.0.0.1", server.port, Security.STARTTLS)
    connections = Connections(protected, timeout=10)
    with pytest.raises(TransientError, match="no session with the SMTP server"):
        say_hello(connections)
    assert "MAIL" not in server.seen


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
def test_a_server_that_closes_with_421_in_the_middle_gets_the_mail_later(
    stage: str, server: ScriptedServer
) -> None:
    connections = Connections(SmtpServer("127.0.0.1", server.port), timeout=10)
    server.script[stage] = ["421 4.3.2 shutting down"]
    with pytest.raises(TransientError, match="421") as caught:
        say_hello(connections)
    assert not isinstance(caught.value, OutcomeUnknownError)
    server.drop_connections()
    say_hello(connections)
    assert len(server.mails) == 1
    connections.close()
