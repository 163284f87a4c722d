import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

from local.ports import free_ports
from local.smtp import read_mails
from tests.support.program import Program


def test_a_mail_is_kept_and_shown_without_what_it_says(tmp_path: Path) -> None:
    [port] = free_ports(1)
    command = [sys.executable, "-m", "local", "smtp", f"--port={port}", f"--mails={tmp_path}/mails"]
    with Program(command, tmp_path / "log", {}) as catcher:
        catcher.await_log("catching mails")
        _send(port)
        catcher.await_log("Grüße\n")
        assert catcher.stop() == 0
    [mail] = read_mails(tmp_path / "mails")
    assert mail["subject"] == "Grüße"
    assert mail.get_content() == "a secret\n"
    assert catcher.log.splitlines()[1:] == ["to ada@example.org: Grüße"]


def _send(port: int) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "warren@example.org", "ada@example.org", "Grüße"
    mail.set_content("a secret")
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as server:
        server.send_message(mail)
