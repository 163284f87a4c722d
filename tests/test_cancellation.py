"""A cancelled job does not run, or stops running, wherever it is."""

import os
from collections.abc import Callable

from .support.api import Account, Gate
from .support.polling import poll
from .support.stack import Stack
from .support.wire import Wire

Gates = Callable[[], Gate]


def cancel(user: Account, job_id: str) -> None:
    job = user.post(f"jobs/{job_id}/cancel").json()
    assert job["state"] == "cancelled"
    assert job["finished_at"] is not None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_both_slots_work(stack: Stack, user: Account, stopped: Gate, gates: Gates) -> None:
    pid = int((stopped.folder / "started").read_text())
    stack.poll(lambda: alive(pid), lambda running: not running, f"end of process {pid}")
    others = [gates(), gates()]
    jobs = [user.submit("hold", **other.arguments) for other in others]
    for other in others:
        other.await_runs()
    for other in others:
        other.release()
    assert [user.job(other, wait=30)["state"] for other in jobs] == ["succeeded"] * 2


def await_revoke(stack: Stack) -> None:
    commands = "SELECT 1 FROM messaging_outboxmessage WHERE exchange = 'celery.pidbox'"
    stack.poll(lambda: stack.rows(commands), lambda waiting: not waiting, "revoke at the broker")


def assert_it_never_runs(user: Account, job_id: str, gate: Gate) -> None:
    # Both slots are asked for twice, so that what was queued before had its turn.
    later = [user.submit("add", x=n, y=n) for n in range(4)]
    for other in later:
        assert user.job(other, wait=30)["state"] == "succeeded"
    assert gate.runs == 0
    assert user.job(job_id)["state"] == "cancelled"


def test_a_job_that_waits_behind_others_never_runs(
    stack: Stack, user: Account, gate: Gate, gates: Gates
) -> None:
    busy = [gates(), gates()]
    before = [user.submit("hold", **each.arguments) for each in busy]
    for each in busy:
        each.await_runs()
    job_id = user.submit("hold", **gate.arguments)
    cancel(user, job_id)
    await_revoke(stack)  # its turn may come at the same moment, and is then cut short
    for each in busy:
        each.release()
    assert [user.job(other, wait=30)["state"] for other in before] == ["succeeded"] * 2
    assert_it_never_runs(user, job_id, gate)


def test_a_job_that_is_still_in_the_outbox_never_runs(
    healed: Stack, user: Account, gate: Gate
) -> None:
    healed.relay.stop()
    job_id = user.submit("hold", **gate.arguments)
    cancel(user, job_id)
    assert not healed.rows("SELECT 1 FROM messaging_outboxmessage WHERE task_id = %s", job_id)
    healed.relay.start()
    assert_it_never_runs(user, job_id, gate)


def test_a_job_cancelled_while_no_worker_was_there_is_stopped_by_the_next(
    healed: Stack, wire: Wire, user: Account, gate: Gate, gates: Gates
) -> None:
    healed.compute.kill()
    job_id = user.submit("hold", **gate.arguments)
    poll(lambda: wire.waiting("compute"), lambda count: count == 1, what="message in the queue")
    cancel(user, job_id)
    healed.compute.start()
    gate.await_runs()
    assert_both_slots_work(healed, user, gate, gates)
    assert user.job(job_id)["state"] == "cancelled"


def test_a_running_job_stops_and_its_slot_works_on(
    stack: Stack, user: Account, gate: Gate, gates: Gates
) -> None:
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    cancel(user, job_id)
    assert_both_slots_work(stack, user, gate, gates)
    assert user.job(job_id)["state"] == "cancelled"
    assert gate.runs == 1


def test_a_cancelled_job_stays_cancelled_when_its_result_comes_all_the_same(
    healed: Stack, wire: Wire, user: Account, gate: Gate
) -> None:
    results = wire.spy_results()
    healed.collector.stop()
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    gate.release()
    results.await_copy(job_id, ".success")
    cancel(user, job_id)
    healed.collector.start()
    assert user.job(user.submit("add", x=1, y=1), wait=30)["state"] == "succeeded"
    job = user.job(job_id)
    assert (job["state"], job["result"]) == ("cancelled", None)


def test_a_job_that_has_ended_cannot_be_cancelled(user: Account) -> None:
    job_id = user.submit("add", x=1, y=1)
    user.job(job_id, wait=30)
    problem = user.post(f"jobs/{job_id}/cancel", expect=409).json()
    assert problem["code"] == "job_is_final"
