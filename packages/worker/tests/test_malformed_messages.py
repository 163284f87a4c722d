"""Messages that are none: each becomes a dead letter as it was, and the worker lives on."""

import json
import uuid
from typing import Any

import pytest

from .messaging import EMBED, PAYLOAD, BareWorker, body, headers

CASES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no JSON": (b"\xff\x00 not json", headers()),
    "broken JSON": (b'[[], {"job_id"', headers()),
    "broken JSON without headers": (b"{not json", {}),
    "empty": (b"", headers()),
    "JSON nested beyond reason": (b"[" * 100_000 + b"]" * 100_000, headers()),
    "an integer beyond reason": (b"[[], {}, " + b"9" * 10_000 + b"]", headers()),
    "JSON that is no task": (b'{"hello": "world"}', {}),
    "a number": (b"42", headers()),
    "a string": (b'"planted"', headers()),
    "null": (b"null", headers()),
    "a list too short": (b"[[], {}]", headers()),
    "a list too long": (b"[[], {}, {}, {}]", headers()),
    "embedded options that are none": (json.dumps([[], PAYLOAD, 7]).encode(), headers()),
    "arguments that are no object": (json.dumps([[], [1, 2], EMBED]).encode(), headers()),
    "arguments that are null": (json.dumps([[], None, EMBED]).encode(), headers()),
    "positional arguments that are none": (json.dumps([7, PAYLOAD, EMBED]).encode(), headers()),
    "no headers": (body(PAYLOAD), {}),
    "no id": (body(PAYLOAD), {"lang": "py", "task": "compute.run"}),
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
def test_a_malformed_message_becomes_a_dead_letter(case: str, worker: BareWorker) -> None:
    content, given = CASES[case]
    marker = f"{case} {uuid.uuid4()}"

    worker.web.publish(content, given, correlation_id=marker)
    letter = worker.web.dead_letter(marker)

    death: Any = letter.headers["x-death"][0]
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", "compute", 1)
    assert letter.body == content
    assert worker.alive
    assert worker.works()


@pytest.mark.parametrize(
    "content_type", ["application/x-python-serialize", "text/xml", "text/plain"]
)
def test_another_content_type_becomes_a_dead_letter(content_type: str, worker: BareWorker) -> None:
    marker = str(uuid.uuid4())
    worker.web.publish(body(PAYLOAD), headers(), content_type=content_type, correlation_id=marker)

    assert worker.web.dead_letter(marker).properties["content_type"] == content_type
    assert worker.works()


def test_a_payload_against_the_contract_is_told_home_too(worker: BareWorker) -> None:
    given = headers()
    payload = {"job_id": "1", "computation": "add"}
    worker.web.publish(body(payload), given, correlation_id=given["id"])

    answer = worker.web.outcome(given["id"])

    assert answer.state == "FAILURE"
    assert answer.error
    assert answer.error.type == "MalformedMessageError"
    assert "missing required field `arguments`" in answer.error.message
    assert worker.web.dead_letter(given["id"]).headers["id"] == given["id"]


def test_nothing_of_a_malformed_message_is_logged(worker: BareWorker) -> None:
    secret = "planted-in-a-malformed-message"
    contents = (
        json.dumps([secret]).encode(),
        secret.encode(),
        body(PAYLOAD | {"arguments": secret}),
    )
    for content in contents:
        marker = str(uuid.uuid4())
        worker.web.publish(content, headers(), correlation_id=marker)
        worker.web.dead_letter(marker)

    assert secret not in worker.log
