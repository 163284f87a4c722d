"""Connections that are kept, replaced, protected and signed in."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult

from contracts.errors import TransientError
from mailer.connections import Connections
from mailer.smtp_url import Security, SmtpServer

from .conftest import StartServer
from .delivering import say_hello
from .scripted_server import DROP, ScriptedServer

PASSWORD = "planted pa55/word"


def to(server: ScriptedServer, **changes: Any) -> SmtpServer:
    return replace(SmtpServer("127.0.0.1", server.port), **changes)


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


@pytest.fixture
def connections(server: ScriptedServer) -> Iterator[Connections]:
    kept = Connections(to(server), timeout=10)
    yield kept
    kept.close()


def test_one_connection_carries_many_mails(
    server: ScriptedServer, connections: Connections
) -> None:
    for _ in range(3):
        say_hello(connections)
    assert len(server.mails) == 3
    assert server.seen.count("EHLO") == 1


def test_a_refused_mail_leaves_the_connection_fit_for_the_next(
    server: ScriptedServer, connections: Connections
) -> None:
    server.script["RCPT"] = ["450 4.2.0 later"]
    with pytest.raises(TransientError):
        say_hello(connections)
    say_hello(connections)
    assert server.seen.count("EHLO") == 1
    assert len(server.mails) == 1


def test_threads_that_send_at_the_same_time_have_a_connection_each(
    server: ScriptedServer, connections: Connections
) -> None:
    together = Barrier(3, timeout=20)
    server.script["END"] = [together.wait] * 3
    for _ in range(2):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: say_hello(connections), range(3)))
        server.script["END"] = [together.wait] * 3
    assert len(server.mails) == 6
    assert server.seen.count("EHLO") == 3


def test_a_connection_that_the_server_closed_is_replaced_unnoticed(
    server: ScriptedServer, connections: Connections
) -> None:
    say_hello(connections)
    server.drop_connections()
    say_hello(connections)
    assert len(server.mails) == 2
    assert server.seen.count("EHLO") == 2


def test_a_connection_that_the_server_wants_to_close_is_replaced_unnoticed(
    server: ScriptedServer, connections: Connections
) -> None:
    say_hello(connections)
    server.script["RSET"] = ["421 4.4.2 idle for too long"]
    say_hello(connections)
    assert len(server.mails) == 2
    assert server.seen.count("EHLO") == 2


def test_a_lost_connection_is_not_used_again(
    server: ScriptedServer, connections: Connections
) -> None:
    server.script["MAIL"] = [DROP]
    with pytest.raises(TransientError):
        say_hello(connections)
    say_hello(connections)
    assert server.seen.count("EHLO") == 2
    assert "RSET" not in server.seen


def test_an_idle_connection_is_closed_with_a_farewell(server: ScriptedServer) -> None:
    connections = Connections(to(server), timeout=10, keep=0.1)
    say_hello(connections)
    server.wait_for(lambda: not server.sessions)
    assert server.seen[-1] == "QUIT"
    say_hello(connections)
    assert len(server.mails) == 2
    connections.close()


def test_closing_takes_leave_on_waiting_connections_and_on_those_in_use(
    server: ScriptedServer, connections: Connections
) -> None:
    with connections.borrow(), connections.borrow() as waiting:
        connections._give_back(waiting)
        connections.close()
        server.wait_for(lambda: len(server.sessions) == 1)
    server.wait_for(lambda: not server.sessions)
    assert server.seen.count("QUIT") == 2


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Make a certificate authority that this process trusts."""
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return authority


def certificate(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def with_tls(smtp_server: StartServer, security: Security, tls: ssl.SSLContext) -> ScriptedServer:
    if security is Security.TLS:
        return smtp_server({"ssl_context": tls})
    return smtp_server({"tls_context": tls, "require_starttls": True})


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_mail_travels_over_tls(
    smtp_server: StartServer, authority: trustme.CA, security: Security
) -> None:
    server = with_tls(smtp_server, security, certificate(authority, "127.0.0.1"))
    connections = Connections(to(server, security=security), timeout=10)
    say_hello(connections)
    assert server.sessions[0].transport is not None
    assert server.sessions[0].transport.get_extra_info("cipher") is not None
    connections.close()


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_server_with_a_wrong_certificate_gets_no_mail(
    smtp_server: StartServer, authority: trustme.CA, security: Security
) -> None:
    server = with_tls(smtp_server, security, certificate(authority, "elsewhere.example"))
    connections = Connections(to(server, security=security), timeout=10)
    with pytest.raises(TransientError, match="CERTIFICATE_VERIFY_FAILED"):
        say_hello(connections)
    assert server.mails == []


def test_a_server_without_starttls_gets_no_mail(server: ScriptedServer) -> None:
    connections = Connections(to(server, security=Security.STARTTLS), timeout=10)
    with pytest.raises(TransientError, match="STARTTLS extension not supported"):
        say_hello(connections)
    assert "MAIL" not in server.seen


@pytest.fixture
def guarded(smtp_server: StartServer, authority: trustme.CA) -> ScriptedServer:
    """Start a server that asks for a sign-in, over TLS."""

    def check(_server: Any, _session: Any, _envelope: Any, _method: str, login: Any) -> AuthResult:
        right = login.login == b"warren" and login.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)

    tls = certificate(authority, "127.0.0.1")
    return smtp_server({"authenticator": check, "auth_required": True, "tls_context": tls})


def signing_in(server: ScriptedServer, user: str = "", password: str = "") -> Connections:
    protected = to(server, security=Security.STARTTLS, user=user, password=password)
    return Connections(protected, timeout=10)


def test_the_mailer_signs_in_once_for_each_connection(guarded: ScriptedServer) -> None:
    connections = signing_in(guarded, "warren", PASSWORD)
    say_hello(connections)
    say_hello(connections)
    assert len(guarded.mails) == 2
    assert guarded.seen.count("AUTH") == 1
    connections.close()


def test_a_refused_sign_in_is_the_operators_matter_and_keeps_the_password(
    guarded: ScriptedServer,
) -> None:
    connections = signing_in(guarded, "warren", f"not {PASSWORD}")
    with pytest.raises(
        TransientError, match=r"no session with the SMTP server: 535 5\.7\.8"
    ) as caught:
        say_hello(connections)
    assert PASSWORD not in repr(caught.value) + repr(caught.value.__cause__) + repr(
        to(guarded, password=PASSWORD)
    )


def test_a_mailer_without_a_sign_in_is_told_what_the_server_wants(
    guarded: ScriptedServer,
) -> None:
    connections = signing_in(guarded)
    with pytest.raises(TransientError, match=r"530 5\.7\.0 Authentication required"):
        say_hello(connections)
    connections.close()
