"""What the mailer reports of itself: the mails it holds, and how it finds its mail server."""

from .conftest import StartServer, StartWorker
from .delivering import MAIL
from .scripted_server import HANG, free_port
from .web import Web


def test_a_mail_that_is_being_sent_is_reported(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server(END=[HANG])
    task_id = web.ask(MAIL)
    start_worker(server)
    web.until(lambda: any(report.holding == [task_id] for report in web.reports))
    server.released.set()
    web.await_receipt(task_id)
    web.until(lambda: web.reports[-1].holding == [])
    assert {(report.service, report.checks["smtp"]) for report in web.reports} == {("mailer", "")}


def test_what_is_wrong_with_the_mail_server_is_reported_in_words(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server(GREETING=["421 closed for repairs"])
    start_worker(server)
    web.until(lambda: web.reports)
    assert "closed for repairs" in web.reports[0].checks["smtp"]


def test_a_mail_server_that_is_silent_holds_up_no_report(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server(EHLO=[HANG])
    start_worker(server)
    web.until(lambda: web.reports)
    assert web.reports[0].checks["smtp"] == "it has not answered yet"


def test_one_of_two_mail_servers_is_enough_for_a_good_report(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server()
    both = f"smtp://127.0.0.1:{free_port()} smtp://127.0.0.1:{server.port}"
    worker = start_worker(server, SMTP_URL=both)
    web.until(lambda: web.reports)
    assert web.reports[0].checks["smtp"] == ""
    worker.await_log("mail server not available")
