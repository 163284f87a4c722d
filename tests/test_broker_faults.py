"""The broker stops, crashes, hangs or refuses to take anything: requests are served all along."""

from collections.abc import Callable

import pytest

from .support.api import Account, Gate, connect
from .support.management import Management
from .support.stack import Stack

CLAIMED = "SELECT id FROM messaging_outboxmessage WHERE leased_until > now()"


def submit_some(user: Account) -> list[str]:
    return [user.submit("add", x=number, y=1) for number in range(5)]


def assert_all_succeed(user: Account, jobs: list[str]) -> None:
    answers = [user.job(job_id, wait=60) for job_id in jobs]
    assert [(job["state"], job["result"]) for job in answers] == [
        ("succeeded", number + 1) for number in range(5)
    ]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda stack: stack.broker.stop(), id="stopped"),
        pytest.param(lambda stack: stack.broker.kill(), id="killed"),
    ],
)
def test_all_that_is_accepted_while_the_broker_is_away_arrives_later(
    healed: Stack, user: Account, gate: Gate, end: Callable[[Stack], None]
) -> None:
    running = user.submit("hold", **gate.arguments)
    gate.await_runs()
    end(healed)

    jobs = submit_some(user)
    assert {user.job(job_id)["state"] for job_id in jobs} == {"queued"}
    with connect(healed.settings.web_url) as http:
        visitor = Account.register(http)
        gate.release()  # the run that the outage interrupts ends in the middle of it
        assert not healed.smtp.mails_to(visitor.email)

        healed.broker.start()
        assert_all_succeed(user, jobs)
        visitor.move_in(healed.smtp)
    job = user.job(running, wait=60)
    assert (job["state"], job["result"]) == ("succeeded", "released")
    healed.poll(
        lambda: healed.rows("SELECT id FROM messaging_outboxmessage"),
        lambda rows: not rows,
        "empty outbox",
    )


def test_a_message_whose_relay_and_broker_die_together_is_sent_by_the_next_relay(
    healed: Stack, user: Account
) -> None:
    healed.broker.pause()
    jobs = submit_some(user)
    healed.poll(lambda: healed.rows(CLAIMED), bool, "claimed message")
    healed.relay.kill()
    healed.broker.kill()  # with what the relay had written to it but it had not read
    waiting = healed.rows("SELECT task_id FROM messaging_outboxmessage")
    assert {str(row["task_id"]) for row in waiting} == set(jobs)

    healed.broker.start()
    healed.relay.start()
    assert_all_succeed(user, jobs)


def test_a_relay_killed_before_it_heard_of_the_confirm_sends_nothing_twice_in_effect(
    healed: Stack, user: Account
) -> None:
    healed.broker.pause()
    jobs = submit_some(user)
    healed.poll(lambda: healed.rows(CLAIMED), bool, "claimed message")
    healed.relay.kill()
    healed.broker.resume()  # it reads what the relay has written, if that was all of it
    healed.relay.start()
    assert_all_succeed(user, jobs)
    healed.poll(
        lambda: healed.rows("SELECT id FROM messaging_outboxmessage"),
        lambda rows: not rows,
        "empty outbox",
    )
    assert_all_succeed(user, jobs)


def test_requests_are_served_while_the_broker_is_out_of_memory(
    healed: Stack, user: Account, management: Management
) -> None:
    healed.broker.raise_memory_alarm()
    try:
        healed.poll(management.has_memory_alarm, bool, "memory alarm")
        jobs = submit_some(user)
        healed.poll(lambda: healed.rows(CLAIMED), bool, "message that the relay tries to publish")
        assert {user.job(job_id)["state"] for job_id in jobs} == {"queued"}
        waiting = healed.rows("SELECT task_id FROM messaging_outboxmessage")
        assert {str(row["task_id"]) for row in waiting} == set(jobs)
    finally:
        healed.broker.clear_memory_alarm()
    assert_all_succeed(user, jobs)
