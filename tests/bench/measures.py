"""What is measured of a system that takes jobs."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from statistics import median
from typing import TypedDict

import httpx

from tests.support.http_load import Answered, request, send
from tests.support.polling import poll

from .systems import System
from .usage import memory, processor_seconds

CONCURRENCY = 16  # requests at a time
WARM_UP = 100  # jobs that do not count
LEARNED = 3.0  # seconds
PATIENCE = 300.0  # seconds for all jobs of a run
ACCEPTED = 202
LOOK = 0.02  # seconds between two looks at what is done
PAUSE = 0.02  # seconds between two jobs one after the other: the system is idle then


class Throughput(TypedDict):
    """Of one run."""

    accepted: float  # in a second
    done: float  # jobs in a second, from the first request to the last result
    milliseconds: dict[str, float]  # of processor time for each job, by part


class Drain(TypedDict):
    """Of a backlog."""

    done: float  # in a second
    milliseconds: dict[str, float]


class Latency(TypedDict):
    """Milliseconds from the request until its client has the result, one at a time."""

    p50: float
    p95: float


def warm_up(system: System, jobs: int = WARM_UP) -> None:
    """Have some jobs done, so that every cache and connection is there.

    It is done twice: what Warren has learned of its jobs counts after the first time.
    """
    throughput(system, jobs)
    time.sleep(LEARNED)
    throughput(system, jobs)


def throughput(system: System, jobs: int) -> Throughput:
    """Submit jobs at a fixed concurrency, and wait until all are done."""
    finish = system.done() + jobs
    began = time.perf_counter()
    with _processor_time(system, jobs) as milliseconds:
        answered = submit(system, jobs)
        await_done(system, finish)
        seconds = time.perf_counter() - began
    return {"accepted": answered.rate, "done": jobs / seconds, "milliseconds": milliseconds}


def drain(system: System, jobs: int) -> Drain:
    """Let jobs wait, then have them done; the start of whatever does them is left out."""
    before = system.done()
    system.hold()
    submit(system, jobs)
    with _processor_time(system, jobs) as milliseconds:
        system.go_on()
        first = poll(system.done, lambda done: done > before, what="job", deadline=PATIENCE,
                     meanwhile=moment)  # fmt: skip
        began = time.perf_counter()
        await_done(system, before + jobs)
        seconds = time.perf_counter() - began
    return {"done": (before + jobs - first) / seconds, "milliseconds": milliseconds}


def latency(system: System, jobs: int) -> Latency:
    """Submit one job after the other, each when the last one's result is known."""
    seconds = []
    url = f"http://127.0.0.1:{system.port}"
    with httpx.Client(base_url=url, headers=system.headers[0], timeout=30, trust_env=False) as http:
        for _ in range(jobs):
            began = time.perf_counter()
            answer = http.post(system.path, content=system.body)
            assert answer.status_code == ACCEPTED, answer.text
            system.wait_for(http, answer.json()["id"])
            seconds.append(time.perf_counter() - began)
            time.sleep(PAUSE)
    seconds.sort()
    return {"p50": 1000 * median(seconds), "p95": 1000 * seconds[int(len(seconds) * 0.95)]}


def idle_memory(system: System) -> dict[str, float]:
    """MiB of each part."""
    return memory(system.parts())


def submit(system: System, jobs: int) -> Answered:
    """Submit jobs, each of which must be accepted."""
    different = [
        request("POST", system.path, system.port, system.body, headers)
        for headers in system.headers
    ]
    return accepted(send(system.port, islice(cycle(different), jobs), CONCURRENCY))


def accepted(answered: Answered) -> Answered:
    """Raise unless every request was accepted."""
    assert set(answered.statuses) == {ACCEPTED}, f"answers: {dict(answered.statuses)}"
    return answered


def registrations(port: int, count: int, concurrency: int = 2) -> Answered:
    """Register new addresses."""
    headers = {"Content-Type": "application/json"}
    bodies = (
        json.dumps(
            {"email": f"{secrets.token_hex(8)}@example.org", "password": secrets.token_urlsafe()}
        ).encode()
        for _ in range(count)
    )
    requests = (request("POST", "/api/v1/users", port, body, headers) for body in bodies)
    return accepted(send(port, requests, concurrency))


def await_done(system: System, finish: int) -> None:
    """Wait until so many jobs are done."""
    poll(system.done, lambda done: done >= finish, what="end of all jobs", deadline=PATIENCE,
         meanwhile=moment)  # fmt: skip


def moment() -> None:
    """Pause between two looks."""
    time.sleep(LOOK)


@contextmanager
def _processor_time(system: System, jobs: int) -> Iterator[dict[str, float]]:
    """Fill in, at the end, the milliseconds for each job by part."""
    parts = system.parts()
    before = processor_seconds(parts)
    spent: dict[str, float] = {}
    yield spent
    after = processor_seconds(parts)
    spent.update({part: 1000 * (after[part] - before[part]) / jobs for part in parts})
