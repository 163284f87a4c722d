"""An operator repairs what is in the dead letters, on the command line and through the API."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from .support.api import Account, Gate, connect
from .support.intrusion import ARGUMENTS, dead_letter, intrude, message
from .support.stack import Stack
from .support.wire import Wire


def test_a_computation_that_kills_its_worker_is_given_up_repaired_and_replayed(
    stack: Stack, user: Account, gate: Gate
) -> None:
    job_id = user.submit("crash", **gate.arguments)
    job = user.job(job_id, wait=60)
    assert job["state"] == "failed"
    assert job["error"] == {
        "type": "DeadLetter",
        "message": "delivery_limit: its worker died, or lost its connection, 4 times",
    }
    assert (gate.runs, job["attempts"]) == (4, 4)

    letter = dead_letter(stack, job_id)
    number = str(letter["id"])
    listed = stack.manage("dead_letters", "list", check=True).stdout
    line = next(line for line in listed.splitlines() if line.split()[:1] == [number])
    assert "delivery_limit" in line
    assert "its worker died, or lost its connection, 4 times" in line
    shown = stack.manage("dead_letters", "show", number, check=True).stdout
    assert job_id in shown
    assert '"computation": "crash"' in shown

    gate.mend()
    assert stack.manage("dead_letters", "replay", number, check=True).stdout == "1 replayed\n"
    job = user.job(job_id, wait=60)
    assert (job["state"], job["error"], job["attempts"]) == ("succeeded", None, 5)
    again = stack.manage("dead_letters", "replay", number)
    assert again.returncode == 1
    assert "it has already been replayed" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.fixture
def operator(stack: Stack) -> Iterator[Account]:
    """Somebody whom an administrator has made staff, with all permissions."""
    with connect(stack.settings.web_url) as http:
        account = Account.register(http)
        account.move_in(stack.smtp)
        query = "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE email = %s"
        stack.rows(f"{query} RETURNING id", account.email)
        yield account


def test_an_operator_repairs_a_job_through_the_api(
    stack: Stack, user: Account, operator: Account, gate: Gate
) -> None:
    job_id = user.submit("crash", **gate.arguments)
    assert user.job(job_id, wait=60)["state"] == "failed"
    user.get("ops/dead-letters", expect=403)

    [letter] = operator.get("ops/dead-letters", params={"task_id": job_id})["results"]
    assert (letter["reason"], letter["state"]) == ("delivery_limit", "waiting")
    shown = operator.get(f"ops/dead-letters/{letter['id']}")
    assert shown["arguments"]["computation"] == "crash"
    assert (shown["subject"]["kind"], shown["subject"]["id"]) == ("job", job_id)
    assert (shown["deaths"][0]["queue"], shown["deaths"][0]["count"]) == ("compute", 1)

    gate.mend()
    replayed = operator.post(f"ops/dead-letters/{letter['id']}/replay").json()
    assert (replayed["state"], replayed["handled_by"]) == ("replayed", operator.email)
    job = user.job(job_id, wait=60)
    assert (job["state"], job["attempts"]) == ("succeeded", 5)
    again = operator.post(f"ops/dead-letters/{letter['id']}/replay", expect=409).json()
    assert again["code"] == "dead_letter_handled"
    assert f'"letter": {letter["id"]}' in stack.web.last_log


def test_an_operator_repairs_a_mail_through_the_api(
    healed: Stack, wire: Wire, operator: Account
) -> None:
    wire_tap = wire.spy("warren.tasks", "mailer.#")
    healed.mailer.stop()
    with connect(healed.settings.web_url) as http:
        account = Account.register(http)
    query = "SELECT id FROM mail_email WHERE recipient = %s"
    [mail] = healed.rows(query, account.email)
    mail_id = str(mail["id"])
    original = wire_tap.await_copy(mail_id)
    taken = healed.poll(lambda: wire.take("mailer"), bool, "message to take away")
    wire.publish(taken.body, "web.dead", original.headers, exchange="", correlation_id=mail_id)

    def found() -> Any:
        return operator.get("ops/dead-letters", params={"task_id": mail_id})["results"]

    [letter] = healed.poll(found, bool, "dead letter")
    assert (letter["reason"], letter["detail"]) == ("misplaced", "it came straight to web.dead")
    shown = operator.get(f"ops/dead-letters/{letter['id']}")
    assert (shown["subject"]["kind"], shown["subject"]["state"]) == ("email", "failed")
    assert account.email not in str(shown)

    healed.mailer.start()
    report = operator.post("ops/dead-letters/replay", {"ids": [letter["id"]]}).json()
    assert (report["done"], report["refused"]) == (1, 0)
    mails = healed.poll(lambda: healed.smtp.mails_to(account.email), bool, "mail")
    assert len(mails) == 1
    assert mails[0]["Message-ID"].startswith(f"<{mail_id}@")


def test_a_discarded_dead_letter_stays_on_record(stack: Stack, wire: Wire) -> None:
    number = str(intrude(stack, wire, b"nonsense", "compute.run")["id"])
    assert stack.manage("dead_letters", "discard", number, check=True).stdout == "1 discarded\n"
    listed = stack.manage("dead_letters", "list", "--state", "discarded", check=True).stdout
    assert re.search(rf"^ *{number} ", listed, re.MULTILINE)
    refused = stack.manage("dead_letters", "replay", number)
    assert "it has already been discarded" in refused.stderr


def test_a_mail_is_shown_to_an_operator_without_what_it_says(stack: Stack, wire: Wire) -> None:
    secret = {"verification_key": "planted-key", "verification_url": "planted-url"}
    body = message(ARGUMENTS["mailer.send_email"] | {"context": secret, "template": "unheard_of"})
    headers = {"id": str(uuid.uuid4()), "task": "mailer.send_email"}
    letter = intrude(stack, wire, body, "mailer.send_email", headers=headers)
    shown = stack.manage("dead_letters", "show", str(letter["id"]), check=True).stdout
    assert '"template": "unheard_of"' in shown
    for hidden in ("planted", "ada@example.org"):
        assert hidden not in shown
