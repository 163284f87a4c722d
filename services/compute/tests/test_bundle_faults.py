"""Workers that die, stop or are told to revoke while they have a bundle: no member is lost."""

import os
import signal
from pathlib import Path

from contracts.events import TaskState

from .bundled import ADD, FOREVER, RETURNED, SUCCESS, ends
from .client import Client
from .conftest import StartWorker


def test_a_bundle_that_comes_again_is_returned_as_it_is(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = start_worker()
    marker = tmp_path / "marker"
    ids = client.compute_together(ADD, ("sleep_at_first", {"marker": str(marker)}), ADD)
    client.until(marker.exists, "first run")
    first.kill()
    start_worker()
    last = [client.await_state(each, TaskState.RETRY) for each in ids[1:]]
    assert {each.error and each.error.type for each in last} == {RETURNED}
    assert (last[0].attempt, last[1].attempt) == (1, 1)
    assert client.waiting() == 0


def test_a_worker_that_stops_returns_what_has_not_ended(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="1")
    ids = client.compute_together(FOREVER, ADD, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    assert worker.terminate() == 0
    assert ends(client, ids) == [RETURNED] * 3
    assert client.waiting() == 0


def test_one_that_is_revoked_is_not_run_and_the_one_that_runs_is_ended(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(CONCURRENCY="2")
    ids = client.compute_together(FOREVER, ADD, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    client.revoke(ids[0])
    assert client.outcome(ids[0]).state == TaskState.REVOKED
    assert worker.works_on(client)


def test_what_was_revoked_before_it_came_is_not_run(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(CONCURRENCY="1")
    running = client.compute("sleep", {"seconds": 3})
    client.await_state(running, TaskState.STARTED)
    marker = tmp_path / "marker"
    ids = client.compute_together(ADD, ("sleep_at_first", {"marker": str(marker)}), ADD)
    client.revoke(ids[1])
    assert ends(client, ids) == [SUCCESS, TaskState.REVOKED, SUCCESS]
    assert not marker.exists()
    assert worker.works_on(client)


def test_what_a_worker_holds_are_the_members_that_have_no_end(
    client: Client, start_worker: StartWorker
) -> None:
    start_worker()
    ids = client.compute_together(ADD, FOREVER, ADD)
    client.await_state(ids[1], TaskState.STARTED)
    client.until(lambda: client.reports[-1].holding == [ids[1]], "report of the one that runs")


def test_the_rest_is_returned_when_a_process_is_killed(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker()
    ids = client.compute_together(FOREVER, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    for process in worker.children:
        os.kill(process, signal.SIGKILL)
    assert ends(client, ids) == [RETURNED, RETURNED]
    assert worker.works_on(client)
