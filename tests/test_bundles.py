"""Small jobs that travel together, all the way: they end as if each had gone alone."""

import time
from collections.abc import Iterator

import pytest

from .support.api import Account, Gate
from .support.stack import Stack
from .support.wire import Wire

ADD = ("add", {"x": 1, "y": 2})
CACHED = 2.0  # seconds for which web believes what it has read of computations


@pytest.fixture
def known(healed: Stack) -> Iterator[Stack]:
    """A stack in which computations count as small, whatever they are."""
    healed.execute("UPDATE jobs_computation SET expected = 0")
    end = time.monotonic() + CACHED
    healed.poll(time.monotonic, lambda now: now > end, "end of what web remembers")
    yield healed
    healed.execute("UPDATE jobs_computation SET expected = NULL")


def test_many_small_jobs_are_one_message(known: Stack, user: Account, wire: Wire) -> None:
    known.compute.stop()
    ids = user.submit_many([ADD] * 30)
    known.poll(lambda: wire.waiting("compute"), lambda count: count == 1, "message")
    known.compute.start()
    jobs = [user.job(each, wait=20) for each in ids]
    assert {(job["state"], job["result"], job["attempts"]) for job in jobs} == {("succeeded", 3, 1)}


def test_a_worker_that_dies_of_one_loses_none(known: Stack, user: Account, gate: Gate) -> None:
    ids = user.submit_many([ADD, ("hold", dict(gate.arguments)), ADD])
    gate.await_runs()
    known.compute.kill()
    known.compute.start()
    gate.await_runs(2)
    gate.release()
    jobs = [user.job(each, wait=30) for each in ids]
    assert [(job["state"], job["result"]) for job in jobs] == [
        ("succeeded", 3), ("succeeded", "released"), ("succeeded", 3),
    ]  # fmt: skip
    assert jobs[1]["attempts"] == 2


def test_one_that_is_cancelled_ends_and_no_other_does(
    known: Stack, user: Account, gate: Gate
) -> None:
    ids = user.submit_many([ADD, ("hold", dict(gate.arguments)), ADD])
    gate.await_runs()
    user.post(f"jobs/{ids[1]}/cancel")
    jobs = [user.job(each, wait=30) for each in ids]
    assert [job["state"] for job in jobs] == ["succeeded", "cancelled", "succeeded"]
    assert gate.runs == 1
