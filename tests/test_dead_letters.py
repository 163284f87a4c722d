"""What nobody can handle is kept with its reason."""

import uuid
from typing import Any

import msgspec
import pytest
from amqp.basic_message import Message as BasicMessage

from .support.api import Account, connect
from .support.intrusion import ARGUMENTS, dead_letter, intrude, message
from .support.stack import Stack
from .support.wire import Wire

TASK_ID = b"7b1c2a0e-5d0f-4f43-8a0b-0c7f7a3f9d11"
EVENT = (
    b'{"task_id": "' + TASK_ID + b'", "task": "compute.run", "state": "SUCCESS", "attempt": 1,'
    b' "worker": "w", "at": "2026-01-01T00:00:00Z"}'
)
TASKS = pytest.mark.parametrize("task", ARGUMENTS)


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
    letter = intrude(stack, wire, body, "compute.run.success", exchange="warren.results.compute")
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
    [letter] = healed.rows("SELECT detail FROM messaging_deadletter WHERE task_id = %s", mail["id"])
    assert letter["detail"] == failed["answer"]


def test_an_operator_practises_on_a_letter_of_a_mail_that_is_never_sent(healed: Stack) -> None:
    told = healed.manage("dead_letters", "practise", check=True).stdout

    def waiting() -> list[str]:
        listed = healed.manage("dead_letters", "list", "--task", "mailer.send_email", check=True)
        return [line for line in listed.stdout.splitlines() if "'practise'" in line]

    [line] = healed.poll(waiting, bool, "letter")
    number = line.split()[0]
    assert "there is no mail template 'practise'" in line
    shown = healed.manage("dead_letters", "show", number, check=True).stdout
    assert [word for word in shown.split() if word in told], "the mail's id"
    assert healed.manage("dead_letters", "replay", number, check=True).stdout == "1 replayed\n"
    [again] = healed.poll(waiting, bool, "letter once more")
    number = again.split()[0]
    assert healed.manage("dead_letters", "discard", number, check=True).stdout == "1 discarded\n"
    assert not waiting()
