"""Web under a bad database, and killed in the middle of a request."""

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import psycopg

from .support.api import Account
from .support.polling import poll
from .support.stack import Stack

ADDITION = {"computation": "add", "arguments": {"x": 1, "y": 2}}


def submit(user: Account, key: str) -> httpx.Response:
    return user.http.post("jobs", json=ADDITION, headers={"Idempotency-Key": key})


def accepted(user: Account, key: str) -> str:
    """Repeat a request until it is answered well, as a client does; the job's id."""

    def attempt() -> httpx.Response | httpx.TransportError:
        try:
            return submit(user, key)
        except httpx.TransportError as error:  # the process that had the connection was killed
            return error

    answer = poll(attempt, lambda it: getattr(it, "status_code", 0) == 202, what="accepted job")
    assert isinstance(answer, httpx.Response)
    return str(answer.json()["id"])


def test_requests_are_answered_while_the_database_is_frozen(healed: Stack, user: Account) -> None:
    keys = [str(uuid.uuid4()) for _ in range(40)]
    healed.database.pause()
    with ThreadPoolExecutor(len(keys)) as pool:  # more than all connections of web
        answers = list(pool.map(lambda key: submit(user, key), keys))
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    web = healed.settings.web_url
    assert user.http.get(f"{web}/healthz").status_code == 200
    assert user.http.get(f"{web}/readyz").status_code == 503
    healed.database.resume()
    jobs = [accepted(user, key) for key in keys]
    assert len(set(jobs)) == len(keys)
    assert {user.job(job, wait=30)["state"] for job in jobs} == {"succeeded"}


def test_a_request_whose_process_is_killed_can_be_repeated(healed: Stack, user: Account) -> None:
    key = str(uuid.uuid4())
    url = healed.settings.database.url("warren")
    with psycopg.connect(url) as blocking, ThreadPoolExecutor(1) as pool:
        blocking.execute("LOCK TABLE messaging_outboxmessage IN SHARE MODE")
        answer = pool.submit(submit, user, key)
        poll(lambda: _held_up(healed), what="request that waits for the lock")
        _kill_the_workers(healed, answer)
    job_id = accepted(user, key)
    assert accepted(user, key) == job_id
    assert healed.rows("SELECT id FROM jobs_job WHERE idempotency_key = %s", key) == [
        {"id": uuid.UUID(job_id)}
    ]
    assert user.job(job_id, wait=30)["attempts"] == 1


def _held_up(stack: Stack) -> Any:
    return stack.rows(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND query LIKE '%%WITH admitted%%'"
    )


def _kill_the_workers(stack: Stack, answer: "Future[httpx.Response]") -> None:
    for pid in stack.web.children:
        stack.web.kill_child(pid)
    error = answer.exception(timeout=30)
    assert isinstance(error, httpx.TransportError), error
