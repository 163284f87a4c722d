"""Messages that are none: each becomes a dead letter as it was, and the worker lives on."""

import json
import uuid
from typing import Any

import msgspec
import pytest

from contracts.results import TaskState
from contracts.tasks import RUN_COMPUTATION

from .client import Client
from .worker_process import WorkerProcess

PAYLOAD = {"job_id": "1", "computation": "add", "arguments": {"x": 1, "y": 2}}
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def headers(**changes: Any) -> dict[str, Any]:
    task_id = str(uuid.uuid4())
    return {"lang": "py", "task": RUN_COMPUTATION.name, "id": task_id, "root_id": task_id} | changes


def body(payload: Any) -> bytes:
    return msgspec.json.encode([[], payload, EMBED])


CASES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no JSON": (b"\xff\x00 not json", headers()),
    "broken JSON": (b'[[], {"job_id"', headers()),
    "empty": (b"", headers()),
    "JSON nested beyond reason": (b"[" * 100_000 + b"]" * 100_000, headers()),
    "an integer beyond reason": (b"[[], {}, " + b"9" * 10_000 + b"]", headers()),
    "JSON that is no task": (b'{"hello": "world"}', {}),
    "a number": (b"42", headers()),
    "null": (b"null", headers()),
    "a list too short": (b"[[], {}]", headers()),
    "a list too long": (b"[[], {}, {}, {}]", headers()),
    "embedded options that are none": (msgspec.json.encode([[], PAYLOAD, 7]), headers()),
    "arguments that are no object": (msgspec.json.encode([[], [1, 2], EMBED]), headers()),
    "arguments that are null": (msgspec.json.encode([[], None, EMBED]), headers()),
    "positional arguments that are none": (msgspec.json.encode([7, PAYLOAD, EMBED]), headers()),
    "no headers": (body(PAYLOAD), {}),
    "no id": (body(PAYLOAD), {"lang": "py", "task": RUN_COMPUTATION.name}),
    "an id that is none": (body(PAYLOAD), headers(id="no.such.task")),
    "an unknown task": (body(PAYLOAD), headers(task="compute.explode")),
    "a task name that is none": (body(PAYLOAD), headers(task=42)),
    "a wrong expiry": (body(PAYLOAD), headers(expires="tomorrow")),
    "a wrong start": (body(PAYLOAD), headers(eta="tomorrow")),
    "wrong time limits": (body(PAYLOAD), headers(timelimit=["a", "b"])),
    "time limits too many": (body(PAYLOAD), headers(timelimit=[1, 2, 3])),
    "a retry count that is none": (body(PAYLOAD), headers(retries="many")),
    "a field missing": (body({"job_id": "1", "computation": "add"}), headers()),
    "a field of a wrong type": (body(PAYLOAD | {"arguments": [1, 2]}), headers()),
    "a computation that is no name": (body(PAYLOAD | {"computation": {}}), headers()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_message_becomes_a_dead_letter(
    case: str, client: Client, worker: WorkerProcess
) -> None:
    content, given_headers = CASES[case]
    marker = f"{case} {uuid.uuid4()}"

    client.publish(content, given_headers, correlation_id=marker)
    corpse = client.dead_letter(marker)

    death: Any = corpse.headers["x-death"][0]
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", "compute", 1)
    assert raw(corpse.body) == content
    assert worker.alive
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3


@pytest.mark.parametrize(
    "content_type", ["application/x-python-serialize", "text/xml", "text/plain"]
)
def test_another_content_type_becomes_a_dead_letter(
    content_type: str, client: Client, worker: WorkerProcess
) -> None:
    marker = str(uuid.uuid4())
    client.publish(body(PAYLOAD), headers(), content_type=content_type, correlation_id=marker)

    assert client.dead_letter(marker).content_type == content_type
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3


def test_a_payload_against_the_contract_is_told_home_too(
    client: Client, worker: WorkerProcess
) -> None:
    task_id = client.send(RUN_COMPUTATION.name, {"job_id": "1", "computation": "add"})

    answer = client.outcome(task_id)

    assert answer.state == TaskState.FAILURE
    assert answer.error is not None
    assert answer.error.type == "MalformedMessageError"
    assert "missing required field `arguments`" in answer.error.message
    assert client.dead_letter(task_id).headers["id"] == task_id


def test_nothing_of_a_malformed_message_is_logged(client: Client, worker: WorkerProcess) -> None:
    secret = "planted-in-a-malformed-message"
    client.publish(json.dumps([secret]).encode(), headers(), correlation_id="s1")
    client.publish(secret.encode(), headers(), correlation_id="s2")
    client.publish(body(PAYLOAD | {"arguments": secret}), headers(), correlation_id="s3")
    for correlation_id in ("s1", "s2", "s3"):
        client.dead_letter(correlation_id)

    assert secret not in worker.log


def raw(content: Any) -> bytes:
    return content if isinstance(content, bytes) else str(content).encode()
