"""Limits of unfinished jobs: what is refused can be had once others have ended."""

from collections.abc import Iterator

import httpx
import pytest

from .support.api import Account, Gate
from .support.stack import Stack


@pytest.fixture
def limited(healed: Stack) -> Iterator[Stack]:
    """A stack whose web a test starts with limits of its own."""
    healed.web.stop()
    yield healed
    healed.web.stop()  # and `healed` starts it without them


def submit(user: Account, gate: Gate) -> httpx.Response:
    return user.http.post("jobs", json={"computation": "hold", "arguments": gate.arguments})


def check_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_user_with_too_many_unfinished_jobs_may_go_on_when_some_have_ended(
    limited: Stack, user: Account, gate: Gate
) -> None:
    limited.web.start(JOBS_UNFINISHED_PER_USER="2")
    held = [submit(user, gate).json()["id"] for _ in range(2)]
    check_refused(submit(user, gate), 429, "too_many_unfinished_jobs")
    gate.release()
    assert {user.job(job_id, wait=30)["state"] for job_id in held} == {"succeeded"}
    last = submit(user, gate)
    assert last.status_code == 202
    assert user.job(last.json()["id"], wait=30)["state"] == "succeeded"


def test_a_full_backlog_takes_jobs_again_when_some_have_ended(
    limited: Stack, user: Account, gate: Gate
) -> None:
    limited.web.start(JOBS_UNFINISHED="1")
    refused = limited.poll(
        lambda: submit(user, gate), lambda answer: answer.status_code != 202, "full backlog"
    )
    check_refused(refused, 503, "backlog_full")
    gate.release()
    taken = limited.poll(
        lambda: submit(user, gate), lambda answer: answer.status_code == 202, "room for a job"
    )
    assert user.job(taken.json()["id"], wait=30)["state"] == "succeeded"
