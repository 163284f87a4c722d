"""Nothing secret leaves a worker, not even in its most talkative logs."""

from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.smtp import AuthResult

from contracts.events import TaskState
from contracts.tasks import SEND_EMAIL

from .conftest import StartServer, StartWorker
from .delivering import MAIL
from .web import Web


def refuse(*_: Any) -> AuthResult:
    return AuthResult(success=False, handled=False)


def test_no_password_address_or_key_is_logged_or_sent_home(
    web: Web,
    smtp_server: StartServer,
    start_worker: StartWorker,
    broker_url: str,
    ledger_url: str,
) -> None:
    open_server = smtp_server()
    picky_server = smtp_server({"authenticator": refuse, "auth_require_tls": False})
    with_password = f"smtp://warren:planted-password@127.0.0.1:{picky_server.port}"

    picky = start_worker(picky_server, SMTP_URL=with_password, LOG_LEVEL="DEBUG")
    event = web.await_state(web.send(SEND_EMAIL.encode(MAIL)), TaskState.RETRY)
    picky.kill()
    plain = start_worker(open_server, LOG_LEVEL="DEBUG")
    web.await_receipt(web.send(SEND_EMAIL.encode(MAIL)))

    assert event.error is not None
    assert "535 5.7.8 Authentication credentials invalid" in event.error.message
    written = picky.log + plain.log + str(web.events)
    assert '"level": "debug"' in written
    assert len(open_server.mails) == 1
    for url in (broker_url, ledger_url):
        assert str(urlsplit(url).password) not in written
    for secret in ("planted", MAIL.recipient, "Your key", "Confirm your e-mail address"):
        assert secret not in written
