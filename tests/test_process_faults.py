"""One process of Warren, or its database, ends at a bad moment: nothing is lost."""

from .support.api import Account, Gate
from .support.polling import poll
from .support.stack import Stack
from .support.wire import Wire


def test_a_task_whose_worker_was_killed_runs_again(
    healed: Stack, user: Account, gate: Gate
) -> None:
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    first = healed.poll(lambda: user.job(job_id), lambda job: job["worker"], "running job")
    healed.compute.kill()
    healed.compute.start()
    gate.await_runs(2)
    gate.release()
    job = user.job(job_id, wait=30)
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", "released", 2)
    assert job["worker"] != first["worker"]


def test_a_task_whose_workers_main_process_was_killed_runs_again(
    healed: Stack, user: Account, gate: Gate
) -> None:
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    healed.compute.kill_main()
    assert not healed.compute.running
    healed.compute.start()
    gate.await_runs(2)
    gate.release()
    job = user.job(job_id, wait=30)
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", "released", 2)


def test_web_replaces_a_process_of_its_own_that_was_killed(healed: Stack, user: Account) -> None:
    before = set(healed.web.children)
    killed = min(before)
    healed.web.kill_child(killed)
    after = poll(
        lambda: set(healed.web.children),
        lambda children: len(children) == len(before) and killed not in children,
        what="new process",
    )
    assert before - {killed} < after
    assert user.job(user.submit("add", x=1, y=2), wait=30)["result"] == 3


def test_results_wait_for_a_collector_that_was_killed(
    healed: Stack, wire: Wire, user: Account
) -> None:
    healed.collector.kill()
    jobs = [user.submit("add", x=number, y=number) for number in range(3)]
    poll(lambda: wire.waiting("web.results"), lambda count: count >= 3, what="waiting results")
    assert {user.job(job_id)["state"] for job_id in jobs} == {"queued"}
    healed.collector.start()
    assert [user.job(job_id, wait=30)["result"] for job_id in jobs] == [0, 2, 4]


def test_requests_wait_in_the_outbox_for_a_relay_that_was_killed(
    healed: Stack, user: Account
) -> None:
    healed.relay.kill()
    jobs = [user.submit("add", x=number, y=number) for number in range(3)]
    waiting = healed.rows("SELECT task_id FROM messaging_outboxmessage")
    assert {str(row["task_id"]) for row in waiting} == set(jobs)
    healed.relay.start()
    assert [user.job(job_id, wait=30)["result"] for job_id in jobs] == [0, 2, 4]


def test_a_job_goes_on_when_web_is_killed(healed: Stack, user: Account, gate: Gate) -> None:
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    healed.web.kill()
    gate.release()
    healed.web.start()
    assert user.job(job_id, wait=30)["state"] == "succeeded"


def test_results_wait_while_the_database_is_away(
    healed: Stack, wire: Wire, user: Account, gate: Gate
) -> None:
    job_id = user.submit("hold", **gate.arguments)
    gate.await_runs()
    healed.database.stop()

    body = {"computation": "add", "arguments": {"x": 1, "y": 2}}
    for answer in (
        user.post("jobs", body, expect=503),
        user.http.get(f"jobs/{job_id}"),
        user.http.get("computations"),
    ):
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["code"] == "unavailable"
    web = healed.settings.web_url
    assert user.http.get(f"{web}/healthz").status_code == 200
    assert user.http.get(f"{web}/readyz").status_code == 503

    gate.release()
    poll(lambda: wire.waiting("web.results"), what="waiting result")
    healed.start_database()
    assert user.job(job_id, wait=30)["state"] == "succeeded"
    assert user.job(user.submit("add", x=1, y=2), wait=30)["result"] == 3
