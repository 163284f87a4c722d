"""Processes show that they live, end when told to, and may run several times."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .support.api import Account, Gate
from .support.process import Process
from .support.stack import Stack, run

WITH_LIVENESS_FILE = pytest.mark.parametrize(
    "name", ["relay", "collector", "reconciler", "mailer", "compute", "tasks"]
)

LISTENING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN warren_jobs%%'"


@pytest.fixture
def twins(healed: Stack) -> Iterator[Callable[[Process], Process]]:
    """Start second processes of a kind, for the length of a test."""
    started: list[Process] = []

    def start(process: Process) -> Process:
        started.append(process.twin())
        started[-1].start()
        return started[-1]

    yield start
    for twin in started:
        twin.stop()


def health(stack: Stack, process: Process) -> tuple[int, str]:
    """What a health check says, as a container runs it."""
    command = [sys.executable, "-m", "runtime.liveness", str(process.liveness_file)]
    ended = run(command, stack.environment)
    return ended.returncode, ended.stderr


@WITH_LIVENESS_FILE
def test_a_process_that_runs_passes_its_health_check(stack: Stack, name: str) -> None:
    process = stack.process(name)
    stack.poll(process.liveness_file.exists, bool, f"sign of life of {name}")
    assert health(stack, process) == (0, "")


@WITH_LIVENESS_FILE
def test_a_process_that_is_told_to_stop_ends_and_fails_its_health_check(
    healed: Stack, name: str
) -> None:
    process = healed.process(name)
    process.stop()
    assert process.exit_status == 0, process.tail()
    assert health(healed, process) == (1, "not alive: there is no liveness file\n")


def test_web_answers_what_it_has_begun_before_it_stops(
    healed: Stack, user: Account, gate: Gate
) -> None:
    healed.web.stop()
    healed.web.start()  # with nobody left who listens for an earlier job
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(user.job, job_id, wait=60)
        healed.poll(lambda: healed.rows(LISTENING), bool, "request that waits for the job")
        stopping = pool.submit(healed.web.stop)
        healed.poll(lambda: "Handling signal: term" in healed.web.last_log, bool, "end of web")
        gate.release()
        assert waiting.result()["state"] == "succeeded"
        stopping.result()
    assert healed.web.exit_status == 0, healed.web.tail()


def test_twice_as_many_workers_do_twice_as_much_at_a_time(
    healed: Stack,
    user: Account,
    gates: Callable[[], Gate],
    twins: Callable[[Process], Process],
) -> None:
    twins(healed.compute)
    held = [gates() for _ in range(4)]  # two for each worker's slots
    jobs = [user.submit("hold", **gate.arguments) for gate in held]
    for gate in held:
        gate.await_runs()
    for gate in held:
        gate.release()
    answers = [user.job(job_id, wait=30) for job_id in jobs]
    assert {job["state"] for job in answers} == {"succeeded"}
    assert len({job["worker"] for job in answers}) == 2


def test_a_second_relay_and_collector_take_over(
    healed: Stack, user: Account, twins: Callable[[Process], Process]
) -> None:
    for process in (healed.relay, healed.collector):
        twins(process)
    jobs = [user.submit("add", x=number, y=0) for number in range(20)]
    assert [user.job(job_id, wait=30)["result"] for job_id in jobs] == list(range(20))
    assert {user.job(job_id)["attempts"] for job_id in jobs} == {1}
    healed.relay.kill()
    healed.collector.kill()
    jobs = [user.submit("add", x=number, y=0) for number in range(20)]
    assert [user.job(job_id, wait=30)["result"] for job_id in jobs] == list(range(20))
