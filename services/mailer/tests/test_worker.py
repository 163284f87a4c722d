"""The whole worker on a real broker: what becomes of each kind of message."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.events import TaskError, TaskState
from contracts.tasks import SEND_EMAIL, SendEmail
from local.servers.broker import Broker
from local.servers.database import Database
from tests.support.program import Program

from .conftest import MAILER, empty_vhost, worker_settings
from .delivering import MAIL
from .scripted_server import Misbehaviour, ScriptedServer
from .web import Web


@pytest.fixture(scope="module")
def broker_url(broker: Broker) -> Iterator[str]:
    with empty_vhost(broker) as url:
        yield url


@pytest.fixture(scope="module")
def web(broker_url: str) -> Iterator[Web]:
    with closing(Web(broker_url)) as connected:
        yield connected


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    shared = ScriptedServer({})
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def worker(
    web: Web,
    server: ScriptedServer,
    broker_url: str,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Program]:
    """Run one worker for all tests of the module; it must survive them."""
    name = f"mailer_{uuid.uuid4().hex}"
    ledger_url = database.create_database(name, owner="mailer")
    log: Path = tmp_path_factory.mktemp("worker") / "log"
    shared = Program(MAILER, log, worker_settings(broker_url, ledger_url, server.port))
    yield shared
    assert shared.alive, shared.log
    shared.kill()
    database.drop_database(name)


def a_mail(**changes: str) -> SendEmail:
    values = {"email_id": str(uuid.uuid4()), "template": MAIL.template, "recipient": MAIL.recipient}
    return SendEmail(**values | changes, context=MAIL.context)


def test_a_mail_is_sent_and_its_receipt_comes_home(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    mail = a_mail()
    task_id = web.ask(mail)
    receipt = web.await_receipt(task_id)
    assert receipt.message_id == f"<{mail.email_id}@example.org>"
    assert receipt.answer.startswith("250 2.0.0 Ok: queued as")
    assert not receipt.uncertain
    assert web.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    event = web.await_state(task_id, TaskState.SUCCESS)
    assert event.worker.startswith(f"mailer-{worker.pid}@")
    assert event.request_id == f"request-{task_id}"
    assert receipt.message_id in server.message_ids()


def test_the_same_request_in_two_messages_sends_one_mail(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    mail = a_mail()
    receipts = [web.await_receipt(task_id) for task_id in (web.ask(mail), web.ask(mail))]
    assert receipts[0] == receipts[1]
    assert server.message_ids().count(receipts[0].message_id) == 1


def test_a_4xx_answer_comes_home_as_a_retry_and_nothing_is_left_in_the_queue(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    mail = a_mail()
    server.script["RCPT"] = ["451 4.7.1 Greylisted"]
    task_id = web.ask(mail)
    event = web.await_state(task_id, TaskState.RETRY)
    assert event.error == TaskError("TransientError", "451 4.7.1 Greylisted")
    again = web.ask(mail)  # as web's outbox does after a while
    assert not web.await_receipt(again).uncertain
    assert web.states(task_id) == [(TaskState.STARTED, 1), (TaskState.RETRY, 1)]
    assert task_id not in web.dead_ids()
    assert web.waiting() == 0


def test_the_attempt_counts_the_senders_retries(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    task_id = web.send(SEND_EMAIL.encode(a_mail()), retries=4)
    web.await_receipt(task_id, attempt=5)


def test_a_5xx_answer_comes_home_as_a_failure_and_is_no_dead_letter(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    server.script["RCPT"] = [f"550 5.1.1 <{MAIL.recipient}>: unknown"]
    task_id = web.ask(a_mail())
    event = web.await_state(task_id, TaskState.FAILURE)
    assert event.error == TaskError("SmtpRefused", "550 5.1.1 <recipient>: unknown")
    web.dead_letter(web.send({"email_id": "later"}))  # dead letters come in order
    assert task_id not in web.dead_ids()


def test_an_unknown_outcome_comes_home_as_a_retry_of_its_own_type(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    mail = a_mail()
    server.script["END"] = [Misbehaviour.DROP]
    event = web.await_state(web.ask(mail), TaskState.RETRY)
    assert event.error is not None
    assert event.error.type == "OutcomeUnknownError"
    assert web.await_receipt(web.ask(mail)).uncertain


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"email_id": "e-1"}, "missing required field `template`"),
        ({**SEND_EMAIL.encode(MAIL), "context": {"verification_key": 1}}, "got `int`"),
        ({**SEND_EMAIL.encode(MAIL), "template": "goodbye"}, "no mail template 'goodbye'"),
        ({**SEND_EMAIL.encode(MAIL), "context": {}}, "'verification_url' is undefined"),
    ],
)
def test_a_malformed_request_comes_home_as_a_failure_and_as_a_dead_letter(
    web: Web, worker: Program, arguments: dict[str, object], said: str
) -> None:
    task_id = web.send(arguments)
    event = web.await_state(task_id, TaskState.FAILURE)
    assert event.error is not None
    assert event.error.type == "MalformedMessageError"
    assert said in event.error.message
    assert web.dead_letter(task_id).headers["x-first-death-reason"] == "rejected"


def test_a_recipient_that_is_none_is_an_answer_and_no_dead_letter(
    web: Web, worker: Program
) -> None:
    task_id = web.send({**SEND_EMAIL.encode(MAIL), "recipient": "planted\n@x.y"})
    error = TaskError("InvalidRecipient", "the recipient's address is none")
    assert web.await_state(task_id, TaskState.FAILURE).error == error
    assert web.await_receipt(web.ask(MAIL)).answer.startswith("250")
    assert task_id not in web.dead_ids()


def test_the_log_tells_of_each_run_but_gives_nothing_away(
    web: Web, server: ScriptedServer, worker: Program
) -> None:
    server.script["RCPT"] = [f"550 <{MAIL.recipient}> unknown", f"450 {MAIL.recipient} later"]
    bare = SEND_EMAIL.encode(a_mail())  # without a redacted description of its arguments
    refused = web.send(bare)  # one after the other: threads keep no order
    web.await_state(refused, TaskState.FAILURE)
    later = web.send(bare)
    web.await_state(later, TaskState.RETRY)
    sent = web.send(bare)
    web.await_receipt(sent)
    malformed = web.send({**bare, "template": "goodbye"})
    web.dead_letter(malformed)
    for event, task_id in (
        ("task done", sent),
        ("task answered with an error", refused),
        ("task to be tried again", later),
        ("task request malformed", malformed),
    ):
        assert any(event in line and task_id in line for line in worker.log.splitlines())
    for secret in ("planted", MAIL.recipient, "Your key", "Traceback (most recent call last)"):
        assert secret not in worker.log
