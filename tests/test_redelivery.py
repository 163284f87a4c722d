"""Every arrow may deliver twice, late, or out of order: the effect is once."""

import pytest

from .support.api import Account, Gate, connect
from .support.polling import poll
from .support.stack import Stack
from .support.wire import Spy, Wire


@pytest.fixture
def results(wire: Wire) -> Spy:
    return wire.spy_results()


@pytest.fixture
def tasks(wire: Wire) -> Spy:
    return wire.spy("warren.tasks")


def await_successes(results: Spy, task_id: str, count: int) -> None:
    def successes() -> int:
        return sum(copy.routing_key.endswith(".success") for copy in results.of(task_id))

    poll(successes, lambda found: found >= count, what=f"{count} successes of {task_id}")


def let_all_results_arrive(user: Account) -> None:
    """Results come in order: once a later one is there, so are those before it."""
    assert user.job(user.submit("add", x=1, y=1), wait=30)["state"] == "succeeded"


def test_the_same_mail_message_twice_sends_one_mail(
    stack: Stack, wire: Wire, tasks: Spy, results: Spy
) -> None:
    with connect(stack.settings.web_url) as http:
        visitor = Account.register(http)
        visitor.move_in(stack.smtp)
        mail = visitor.mail()
        wire.repeat(tasks.await_copy(mail["id"]))
        await_successes(results, mail["id"], 2)
        let_all_results_arrive(visitor)
        assert len(stack.smtp.mails_to(visitor.email)) == 2  # the other one is the welcome
        assert visitor.mail() | {"history": []} == mail | {"history": []}


def test_results_that_come_again_in_another_order_change_nothing(
    wire: Wire, results: Spy, user: Account
) -> None:
    job_id = user.submit("count_primes", limit=10**8)
    job = user.job(job_id, wait=60)
    await_successes(results, job_id, 1)
    copies = results.of(job_id)
    assert len(copies) >= 3  # started, at least one report of progress, success
    for copy in [*reversed(copies), *copies[1:], copies[0]]:
        wire.repeat(copy)
    let_all_results_arrive(user)
    assert user.job(job_id) == job


def test_the_same_computation_asked_for_again_keeps_its_result(
    wire: Wire, tasks: Spy, results: Spy, user: Account
) -> None:
    job_id = user.submit("add", x=20, y=22)
    job = user.job(job_id, wait=30)
    wire.repeat(tasks.await_copy(job_id))
    await_successes(results, job_id, 2)
    let_all_results_arrive(user)
    assert user.job(job_id) == job


def test_the_same_computation_running_twice_at_a_time_has_one_result(
    wire: Wire, tasks: Spy, results: Spy, user: Account, gate: Gate
) -> None:
    job_id = user.submit("hold", **gate.arguments)
    wire.repeat(tasks.await_copy(job_id))
    gate.await_runs(2)
    gate.release()
    await_successes(results, job_id, 2)
    let_all_results_arrive(user)
    job = user.job(job_id)
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", "released", 1)


def test_the_same_request_twice_is_one_job(user: Account, gate: Gate) -> None:
    body = {"computation": "hold", "arguments": gate.arguments}
    gate.release()
    first, second = (
        user.post("jobs", body, expect=202, headers={"Idempotency-Key": "once"}).json()
        for _ in range(2)
    )
    assert first["id"] == second["id"]
    assert user.job(first["id"], wait=30)["state"] == "succeeded"
    let_all_results_arrive(user)
    assert gate.runs == 1
