"""The whole worker on a real broker: what becomes of good messages."""

from contracts.events import Progress, TaskError, TaskState

from .client import Client
from .worker_process import WorkerProcess


def test_a_computation_is_answered(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("add", {"x": 4, "y": 6})

    answer = client.outcome(task_id)

    assert answer.result == 10
    assert client.states(task_id)[-1] == (TaskState.SUCCESS, 1)
    assert answer.task == "compute.run"
    assert answer.worker.startswith(f"compute-{worker.pid}@")
    assert answer.request_id == f"request-{task_id}"
    assert answer.started_at is not None
    assert answer.started_at <= answer.at


def test_a_run_that_takes_longer_is_told_as_it_begins(
    client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute("sleep", {"seconds": 1})

    start = client.await_state(task_id, TaskState.STARTED)

    answer = client.outcome(task_id)
    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    assert start.worker == answer.worker
    assert start.started_at
    assert start.started_at < start.at < answer.at


def test_progress_is_reported_a_few_times_a_second(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("advance", {"steps": 50, "seconds": 0.02})

    answer = client.outcome(task_id)

    history = client.history(task_id)
    reports = [event.progress for event in history if event.state == TaskState.PROGRESS]
    assert answer.result == 50
    assert 1 <= len(reports) < 25
    assert all(isinstance(report, Progress) and report.total == 50 for report in reports)
    assert TaskState.STARTED in [event.state for event in history]
    assert history[-1].state == TaskState.SUCCESS


def test_an_exception_is_an_answer_and_no_dead_letter(
    client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute("fail", {"message": "the wells are dry"})

    answer = client.outcome(task_id)

    assert answer.state == TaskState.FAILURE
    assert answer.error == TaskError("ValueError", "the wells are dry")
    assert_acknowledged(client, task_id)


def test_an_unknown_computation_is_an_answer(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("divide", {"x": 1, "y": 0})

    answer = client.outcome(task_id)

    assert answer.error == TaskError("UnknownComputation", "there is no computation named 'divide'")
    assert_acknowledged(client, task_id)


def test_wrong_arguments_are_an_answer(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("count_primes", {"limit": -1})

    answer = client.outcome(task_id)

    assert answer.error == TaskError(
        "InvalidArguments", "count_primes: Expected `int` >= 0 - at `$.limit`"
    )
    assert_acknowledged(client, task_id)


def test_a_result_beyond_64_bits_comes_home_exact(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("multiply", {"x": 2**80 + 1, "y": -(2**80)})

    assert client.outcome(task_id).result == -((2**80 + 1) * 2**80)


def test_a_result_that_json_cannot_hold_is_an_answer(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("multiply", {"x": 1e200, "y": 1e200})

    error = client.outcome(task_id).error

    assert error is not None
    assert error.type == "InvalidResult"
    assert "inf is not a finite number" in error.message
    assert_acknowledged(client, task_id)


def test_a_result_beyond_its_limit_is_an_answer(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("repeat", {"text": "x", "times": 300 * 1024})

    assert client.outcome(task_id).error == TaskError(
        "ResultTooLarge", "the result is larger than its limit of 256 KiB"
    )
    assert_acknowledged(client, task_id)


def test_a_transient_error_asks_web_to_come_again(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("be_busy", {}, retries=2)

    answer = client.outcome(task_id, attempt=3)

    assert answer.state == TaskState.RETRY
    assert answer.error == TaskError("TransientError", "the telescope is in use")
    assert_acknowledged(client, task_id)


def test_logs_carry_the_request_id_and_no_arguments(client: Client, worker: WorkerProcess) -> None:
    done = client.compute("describe", {"values": [8675309.25, 8675309.5]})
    failed = client.compute("fail", {"message": "planted-in-the-message"})
    refused = client.compute("describe", {"values": ["planted-in-the-arguments"]})
    for task_id in (done, failed, refused):
        client.outcome(task_id)

    for task_id, event in (
        (done, "task done"),
        (failed, "task answered with an error"),
        (refused, "task answered with an error"),
    ):
        line = worker.await_record(event=event, task_id=task_id)
        assert line["request_id"] == f"request-{task_id}"
        assert line["attempt"] == 1
        assert line["service"] == "compute"
    assert "8675309" not in worker.log
    assert "planted" not in worker.log


def test_the_log_says_where_a_computation_raised(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("fail", {"message": "oh"})
    client.outcome(task_id)

    line = worker.await_record(event="computation raised", task_id=task_id)

    assert line["kind"] == "ValueError"
    assert str(line["file"]).endswith("own_computations.py")


def test_the_catalogue_is_announced_with_the_extra_modules(
    client: Client, worker: WorkerProcess
) -> None:
    catalogue = client.catalogues[0]

    names = {each.name for each in catalogue.computations}
    assert {"add", "multiply", "count_primes", "describe", "sleep_too_long"} <= names


def assert_acknowledged(client: Client, task_id: str) -> None:
    # The worker has one process and takes one message at a time, so that a message which follows
    # comes into the dead letters after the one in question would have.
    marker = f"after-{task_id}"
    client.publish(b"{", {}, correlation_id=marker)
    client.dead_letter(marker)

    assert task_id not in [message.properties.get("correlation_id") for message in client.dead]
    assert len({event.attempt for event in client.history(task_id)}) == 1
