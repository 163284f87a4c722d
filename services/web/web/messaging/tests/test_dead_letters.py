"""Dead letters: diagnosed, kept once, shown without secrets, replayed or discarded once."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from web.accounts.models import User
from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.messaging import dead_letters
from web.messaging.dead_letters import Corpse, NotReplayableError
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.redaction import shown_message

pytestmark = pytest.mark.django_db


def corpse(task_id: UUID, body: Any = None, **headers: Any) -> Corpse:
    arguments = {"job_id": str(task_id), "computation": "add", "arguments": {}}
    encoded = body if isinstance(body, bytes) else json.dumps(body or [[], arguments, {}]).encode()
    death = {"reason": "rejected", "queue": "compute", "exchange": "warren.tasks", "count": 1}
    defaults = {"task": "compute.run", "id": str(task_id), "retries": 0, "x-death": [death]}
    return Corpse(defaults | headers, {"correlation_id": str(task_id)}, encoded, "compute.run")


def save(dead: Corpse) -> DeadLetter:
    dead_letters.store([dead_letters.describe(dead)])
    return DeadLetter.objects.get()


@pytest.fixture
def operator() -> User:
    return make_user("operator@example.org")


@pytest.mark.parametrize(
    ("body", "headers", "detail"),
    [
        (b"{not json", {}, "JSON is malformed"),
        (b"\xff\xfe\x00", {}, "malformed"),
        ({"a": 1}, {}, "the body is not"),
        ([[], [], {}], {}, "keyword arguments"),
        ([[], {"job_id": "1"}, {}], {}, "missing required field"),
        ([[], {}, {}], {"task": "compute.halt"}, "there is no task 'compute.halt'"),
        ([[], {}, {}], {"task": None}, "no task message"),
    ],
)
def test_a_malformed_message_is_told_by_what_is_wrong_with_it(
    body: Any, headers: dict[str, Any], detail: str
) -> None:
    letter = dead_letters.describe(corpse(uuid4(), body, **headers))
    assert letter.reason == "malformed"
    assert detail in letter.detail


def test_a_failure_that_nobody_foresaw_is_told_apart() -> None:
    assert dead_letters.describe(corpse(uuid4())).reason == "rejected"


def test_a_dead_letter_delivered_twice_is_kept_once() -> None:
    dead = corpse(uuid4())
    dead_letters.store([dead_letters.describe(dead), dead_letters.describe(dead)])
    dead_letters.store([dead_letters.describe(dead)])
    assert DeadLetter.objects.count() == 1


def test_secrets_of_a_mail_are_not_shown() -> None:
    arguments = {"email_id": "1", "template": "verify_email", "recipient": "ada@example.org",
                 "context": {"verification_key": "planted-secret"}}  # fmt: skip
    letter = save(corpse(uuid4(), [[], arguments, {}], task="mailer.send_email"))
    text = shown_message(letter)
    assert "verify_email" in text
    assert "planted-secret" not in text
    assert "ada@example.org" not in text


def test_a_replay_runs_the_same_job_again_and_outranks_what_was(operator: User) -> None:
    job = make_job(operator, state="failed", attempt=3, phase=3, error_type="DeadLetter")
    letter = save(corpse(job.id))
    dead_letters.replay(letter.pk, "ops")
    job.refresh_from_db()
    letter.refresh_from_db()
    message = OutboxMessage.objects.get()
    assert (job.state, job.error) == ("queued", None)
    assert message.task_id == job.id
    assert message.headers["retries"] == 3
    assert not [name for name in message.headers if name.startswith("x-")]
    assert (message.exchange, message.routing_key) == ("warren.tasks", "compute.run")
    assert (letter.state, letter.handled_by, bytes(letter.body)) == ("replayed", "ops", b"")
    with pytest.raises(NotReplayableError, match="already been replayed"):
        dead_letters.replay(letter.pk, "ops")


def test_what_ended_well_is_not_replayed(operator: User) -> None:
    job = make_job(operator, state="succeeded")
    letter = save(corpse(job.id))
    with pytest.raises(NotReplayableError):
        dead_letters.replay(letter.pk, "ops")
    assert not OutboxMessage.objects.exists()
    assert Job.objects.get().state == "succeeded"


def test_a_letter_that_names_a_foreign_exchange_is_not_replayed(operator: User) -> None:
    job = make_job(operator, state="failed")
    death = {"reason": "rejected", "queue": "compute", "exchange": "amq.fanout"}
    letter = save(corpse(job.id, **{"x-death": [death]}))
    with pytest.raises(NotReplayableError, match=r"amq\.fanout"):
        dead_letters.replay(letter.pk, "ops")


def test_a_discarded_letter_stays_on_record_and_is_not_replayed(operator: User) -> None:
    letter = save(corpse(make_job(operator, state="failed").id))
    dead_letters.discard(letter.pk, "ops")
    letter.refresh_from_db()
    assert (letter.state, letter.handled_by, bytes(letter.body)) == ("discarded", "ops", b"")
    with pytest.raises(NotReplayableError, match="already been discarded"):
        dead_letters.replay(letter.pk, "ops")
