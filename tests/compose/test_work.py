"""The main job in containers: through the proxy, scaled, killed and stopped."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.polling import poll

from .client import PATIENCE, User, browser, result_of_a_task
from .composition import Composition

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
KILL_EVERYTHING = "import os, signal; os.kill(-1, signal.SIGKILL)"
LONG = {"limit": 4_000_000_000}  # for many seconds


@pytest.fixture
def scaled(composition: Composition) -> Iterator[Composition]:
    """Two compute workers, and one again afterwards."""
    composition.compose("up", "--wait", "--no-recreate", "--scale", "compute=2")
    yield composition
    composition.compose("up", "--wait", "--no-recreate", "--scale", "compute=1")


def test_a_new_user_gets_both_mails_and_sees_that_they_were_sent(user: User) -> None:
    poll(lambda: user.mail("welcome"), what="welcome mail", deadline=PATIENCE)

    def all_sent() -> list[str] | None:
        mails = user.get("mails")["results"]
        return [m["template"] for m in mails] if all(m["state"] == "sent" for m in mails) else None

    assert sorted(poll(all_sent, what="receipts", deadline=PATIENCE)) == ["verify_email", "welcome"]


def test_the_doctor_sees_everything_as_the_one_who_declares_the_topology(
    composition: Composition,
) -> None:
    doctor = ("python", "manage.py", "doctor", "--json")

    def nothing_wrong() -> str | None:
        asked = composition.try_compose("run", "--rm", "--no-deps", "-T", "migrate", *doctor)
        status = str(json.loads(asked.stdout)["status"])
        return None if status == "problem" else status  # other tests may have left a warning

    poll(nothing_wrong, what="reports of all workers", deadline=PATIENCE)


def test_a_computation_comes_back_with_its_result(user: User) -> None:
    offered = {computation["name"] for computation in user.get("computations")["results"]}
    job = user.result(user.submit("add", x=4, y=6))

    assert {"add", "multiply", "count_primes", "describe"} <= offered
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", 10, 1)


def test_webs_own_tasks_run_in_a_container_of_their_own(composition: Composition) -> None:
    assert result_of_a_task(composition).startswith("{")


def test_three_compute_workers_share_the_work(composition: Composition, user: User) -> None:
    scale = ("--scale", "compute=3", "--scale", "mailer=2")
    composition.compose("up", "--wait", "--no-recreate", *scale)
    seen: set[str] = set()

    def all_three() -> set[str] | None:
        jobs = [user.submit("count_primes", limit=20_000_000) for _ in range(12)]
        seen.update(user.result(job)["worker"] for job in jobs)
        return seen if len(seen) >= 3 else None

    poll(all_three, what="jobs by three workers", deadline=PATIENCE)
    hosts = {worker.partition("@")[2] for worker in seen}
    assert hosts == {id_[:12] for id_ in composition.containers("compute")}
    assert len(composition.containers("mailer")) == 2
    composition.compose("up", "--wait", "--no-recreate")


def test_a_killed_worker_comes_back_and_its_job_with_it(
    composition: Composition, user: User
) -> None:
    (worker,) = composition.containers("compute")
    job_id = user.submit("count_primes", **LONG)
    user.await_running(job_id)
    # Not by `docker kill`, after which a container stays down as if it had been stopped on purpose.
    composition.docker("exec", "--detach", worker, "python", "-c", KILL_EVERYTHING)

    job = user.result(job_id)

    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert composition.inspect(worker)["RestartCount"] == 1


def test_killed_relay_and_collector_come_back_and_lose_nothing(
    composition: Composition, user: User
) -> None:
    for service in ("relay", "collector"):
        (container,) = composition.containers(service)
        composition.docker("exec", "--detach", container, "python", "-c", KILL_EVERYTHING)
    jobs = {user.submit("add", x=number, y=1): number + 1 for number in range(20)}

    assert {job: user.result(job)["result"] for job in jobs} == jobs


def test_a_killed_broker_comes_back_and_loses_nothing(composition: Composition, user: User) -> None:
    job_id = user.submit("count_primes", limit=1_000_000_000)
    user.await_running(job_id)
    (broker,) = composition.containers("rabbitmq")
    composition.docker("exec", "--detach", broker, "bash", "-c", "kill -KILL -1")
    late = user.submit("add", x=1, y=2)  # web takes it, broker or not

    assert user.result(job_id)["state"] == "succeeded"
    assert user.result(late)["result"] == 3
    composition.compose("up", "--wait", "--no-recreate")


def test_a_killed_database_comes_back_and_loses_nothing(
    composition: Composition, user: User
) -> None:
    job_id = user.submit("count_primes", limit=1_000_000_000)
    user.await_running(job_id)
    (database,) = composition.containers("postgres")
    composition.docker("exec", "--detach", database, "bash", "-c", "kill -KILL -1")
    poll(
        lambda: composition.inspect(database)["RestartCount"],
        what="another start",
        deadline=PATIENCE,
    )
    composition.compose("up", "--wait", "--no-recreate")

    assert user.result(job_id)["state"] == "succeeded"
    assert composition.inspect(database)["RestartCount"] == 1


def test_what_a_stopped_worker_was_at_goes_on_at_another(scaled: Composition, user: User) -> None:
    job_id = user.submit("count_primes", **LONG)
    user.await_running(job_id)
    first = user.get(f"jobs/{job_id}")["worker"].partition("@")[2]
    scaled.docker("stop", first)  # SIGTERM, and SIGKILL only after the grace period
    state = scaled.inspect(first)["State"]

    job = user.result(job_id)

    assert (state["Running"], state["OOMKilled"], state["ExitCode"] == 137) == (False, False, False)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert not job["worker"].endswith(first)


def test_web_is_replaced_without_a_request_refused(composition: Composition) -> None:
    """As docs/operations.md tells."""
    answers: list[int] = []
    done = threading.Event()

    def ask() -> None:
        with browser(composition) as http:
            while not done.wait(0.02):  # the proxy refuses a client who asks too often
                answers.append(http.get("/api/v1/jobs").status_code)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            (old,) = composition.containers("web")
            add = ("--no-deps", "--wait", "--no-recreate", "--scale", "web=2", "web")
            composition.compose("up", *add)
            composition.docker("stop", old)
            composition.docker("rm", old)
            seen = len(answers)
            poll(
                lambda: len(answers) > seen + 20, what="requests to the new one", deadline=PATIENCE
            )
        finally:
            done.set()
        asking.result()

    assert set(answers) == {401}
    assert old not in composition.containers("web")


def test_a_stopped_worker_finishes_what_is_short(scaled: Composition, user: User) -> None:
    jobs = {user.submit("add", x=number, y=1): number + 1 for number in range(40)}
    scaled.compose("stop", "compute")
    scaled.compose("start", "compute")
    found = {job: user.result(job) for job in jobs}

    assert {job: answer["result"] for job, answer in found.items()} == jobs
    assert {answer["attempts"] for answer in found.values()} == {1}
