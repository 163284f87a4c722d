"""What nobody can handle is kept with its reason, shown to an operator, and can be repaired."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from amqp.basic_message import Message as BasicMessage

from .api import Account, Gate, connect
from .stack import Stack
from .wire import Wire

ARGUMENTS: dict[str, dict[str, Any]] = {
    "compute.run": {"job_id": "1", "computation": "add", "arguments": {"x": 1, "y": 2}},
    "mailer.send_email": {
        "email_id": "1",
        "template": "welcome",
        "recipient": "ada@example.org",
        "context": {},
    },
}
TASK_ID = b"7b1c2a0e-5d0f-4f43-8a0b-0c7f7a3f9d11"
EVENT = (
    b'{"task_id": "' + TASK_ID + b'", "task": "compute.run", "state": "SUCCESS", "attempt": 1,'
    b' "worker": "w", "at": "2026-01-01T00:00:00Z"}'
)
TASKS = pytest.mark.parametrize("task", ARGUMENTS)


def message(arguments: object) -> bytes:
    return msgspec.json.encode([[], arguments, {}])


def dead_letter(stack: Stack, correlation_id: str) -> dict[str, Any]:
    query = "SELECT * FROM messaging_deadletter WHERE properties->>'correlation_id' = %s"
    [row] = stack.poll(lambda: stack.rows(query, correlation_id), bool, "dead letter")
    return dict(row)


def intrude(stack: Stack, wire: Wire, body: bytes, routing_key: str, **options: Any) -> Any:
    """Publish what Warren would not, and return its dead letter."""
    correlation_id = str(uuid.uuid4())
    wire.publish(body, routing_key, correlation_id=correlation_id, **options)
    return dead_letter(stack, correlation_id)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"{not json", "JSON is malformed", id="no JSON"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "recursion", id="nested without end"),
    ],
)
@TASKS
def test_a_body_that_cannot_be_decoded_is_named_malformed(
    stack: Stack, wire: Wire, task: str, body: bytes, detail: str
) -> None:
    headers = {"id": str(uuid.uuid4()), "task": task}
    letter = intrude(stack, wire, body, task, headers=headers)
    assert (letter["reason"], letter["state"]) == ("malformed", "waiting")
    assert detail in letter["detail"]
    assert (letter["queue"], letter["task"]) == (task.partition(".")[0], task)
    assert bytes(letter["body"]) == body


@pytest.mark.parametrize("deaths", [7, "yesterday", [1], [[]], {"a": 1}, [{"count": "many"}], None])
@TASKS
def test_a_forged_record_of_deaths_does_not_end_the_dead_lettering(
    stack: Stack, wire: Wire, task: str, deaths: object
) -> None:
    headers = {"id": str(uuid.uuid4()), "task": task, "x-death": deaths}
    letter = intrude(stack, wire, b"{not json", task, headers=headers)
    assert letter["reason"] == "malformed"
    assert bytes(letter["body"]) == b"{not json"
    headers = {"id": str(uuid.uuid4()), "task": task, "x-death": deaths}
    assert intrude(stack, wire, message({}), task, headers=headers)["reason"] == "malformed"
    assert intrude(stack, wire, b"{next", task)["queue"] == task.partition(".")[0]


@TASKS
def test_json_that_is_no_task_message_is_named_so(stack: Stack, wire: Wire, task: str) -> None:
    letter = intrude(stack, wire, b'{"hello": "world"}', task)
    assert letter["reason"] == "malformed"
    assert "no task message" in letter["detail"]


@TASKS
def test_a_task_that_nobody_knows_is_named(stack: Stack, wire: Wire, task: str) -> None:
    unknown = f"{task}_not"
    headers = {"id": str(uuid.uuid4()), "task": unknown}
    letter = intrude(stack, wire, message(ARGUMENTS[task]), unknown, headers=headers)
    assert letter["reason"] == "malformed"
    assert letter["detail"] == f"there is no task '{unknown}'"


@TASKS
def test_wrong_arguments_are_named_by_field(stack: Stack, wire: Wire, task: str) -> None:
    first = next(iter(ARGUMENTS[task]))
    headers = {"id": str(uuid.uuid4()), "task": task}
    body = message(ARGUMENTS[task] | {first: ["planted"]})
    letter = intrude(stack, wire, body, task, headers=headers)
    assert letter["reason"] == "malformed"
    assert f"$.{first}" in letter["detail"]
    assert "planted" not in letter["detail"]


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(b"\x04\x00\x02\xff\xfe", id="correlation id that is no text"),
        pytest.param(b"\x20\x00\x00\x00\x00\x0b\x01aT" + b"\xff" * 8, id="time without end"),
        pytest.param(b"\x20\x00\x00\x00\x00\x0b\x01aT\x01" + b"\0" * 7, id="very late time"),
    ],
)
@TASKS
def test_properties_that_cannot_be_read_stop_no_worker(
    stack: Stack, wire: Wire, user: Account, task: str, properties: bytes
) -> None:
    body = uuid.uuid4().bytes
    raw: Any = BasicMessage(body)
    raw._serialize_properties = lambda: properties
    with wire.channel() as channel:
        channel.basic_publish_confirm(raw, exchange="warren.tasks", routing_key=task)
    query = "SELECT reason, routing_key FROM messaging_deadletter WHERE body = %s"
    [letter] = stack.poll(lambda: stack.rows(query, body), bool, "dead letter")
    assert (letter["reason"], letter["routing_key"]) == ("malformed", task)
    assert user.job(user.submit("add", x=1, y=2), wait=30)["result"] == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"rubbish", id="no JSON"),
        pytest.param(b'{"task_id": 5}', id="no event"),
        pytest.param(EVENT.replace(TASK_ID, b"5"), id="no id of ours"),
    ],
)
def test_a_result_that_is_none_becomes_a_dead_letter_and_stops_no_other(
    stack: Stack, wire: Wire, user: Account, body: bytes
) -> None:
    letter = intrude(stack, wire, body, "compute.run.success", exchange="warren.results")
    assert (letter["reason"], letter["queue"]) == ("malformed", "web.results")
    assert letter["detail"]
    assert user.job(user.submit("add", x=1, y=2), wait=30)["result"] == 3


def test_a_message_that_no_queue_wants_becomes_a_dead_letter(stack: Stack, wire: Wire) -> None:
    letter = intrude(stack, wire, b"{}", "nobody.knows")
    assert letter["reason"] == "unrouted"
    assert letter["detail"] == "no queue is bound to 'nobody.knows'"


def test_a_mail_whose_message_went_wrong_is_marked_as_failed(healed: Stack, wire: Wire) -> None:
    tasks = wire.spy("warren.tasks")
    healed.mailer.stop()
    with connect(healed.settings.web_url) as http:
        Account.register(http)
    [mail] = healed.rows("SELECT id FROM mail_email ORDER BY created_at DESC LIMIT 1")
    original = tasks.await_copy(str(mail["id"]))
    healed.poll(lambda: wire.take("mailer"), bool, "message to take away")
    args, arguments, embed = msgspec.json.decode(original.body)
    body = msgspec.json.encode([args, arguments | {"template": "no_such_template"}, embed])
    wire.repeat(original._replace(body=body))
    healed.mailer.start()

    letter = dead_letter(healed, str(mail["id"]))
    assert letter["reason"] == "rejected"
    query = "SELECT state, answer FROM mail_email WHERE id = %s"
    [failed] = healed.poll(
        lambda: healed.rows(query, mail["id"]), lambda rows: rows[0]["state"] == "failed", "failure"
    )
    assert "no mail template 'no_such_template'" in failed["answer"]


def test_a_computation_that_kills_its_worker_is_given_up_repaired_and_replayed(
    stack: Stack, user: Account, gate: Gate
) -> None:
    job_id = user.submit("crash", **gate.arguments)
    job = user.job(job_id, wait=60)
    assert job["state"] == "failed"
    assert job["error"] == {
        "type": "DeadLetter",
        "message": "delivery_limit: crashed its worker 4 times",
    }
    assert (gate.runs, job["attempts"]) == (4, 4)

    letter = dead_letter(stack, job_id)
    number = str(letter["id"])
    listed = stack.manage("dead_letters", "list", check=True).stdout
    line = next(line for line in listed.splitlines() if line.split()[:1] == [number])
    assert "delivery_limit" in line
    assert "crashed its worker 4 times" in line
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
