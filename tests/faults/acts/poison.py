"""Messages that do harm: each has to end in the dead letters, with its reason."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from contracts.tasks import TASKS
from contracts.topology import SERVICES, TASK_DELIVERY_LIMIT, queue_name
from tests.faults.catalogue import QUEUES, Act, fault
from tests.faults.stage import Stage
from tests.support.forgery import Forger
from tests.support.intrusion import ARGUMENTS
from tests.support.wire import Wire

GROUP = "poison"
BODIES, FEWER = 10_000, 500
LARGE = 5 * 1024 * 1024  # bytes
LETTERS = "SELECT count(*) AS count FROM messaging_deadletter WHERE detail <> ''"
DONE = 300.0  # seconds
TASK = {"id": "00000000-0000-4000-8000-000000000000", "task": "compute.run", "lang": "py"}
MALFORMED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "malformed JSON": (b'[[], {"x": ', TASK),
    "JSON that is no task": (b'{"hello": "world"}', {}),
    "wrong types of arguments": (b'[[], {"job_id": 7, "computation": []}, {}]', TASK),
    "unknown task": (b"[[], {}, {}]", TASK | {"task": "compute.nonsense"}),
    "no UTF-8": (b"\xff\xfe\x00", TASK),
    "nothing": (b"", {}),
    "too deep": (b"[" * 50_000 + b"]" * 50_000, TASK),
}


def random_bodies(random: Random, count: int) -> Iterator[bytes]:
    """Make bytes of all kinds: noise, JSON that means nothing, tasks that are none of ours."""
    for number in range(count):
        unique = f"{number}-{random.getrandbits(64):x}"
        meaningless: tuple[Any, ...] = (
            {"unique": unique},
            [[], {"unique": unique}, {}],
            [[unique], {}, {"callbacks": 3}],
            [unique],
            unique,
            random.random(),
        )
        if random.random() < 0.4:
            yield unique.encode() + random.randbytes(random.randint(1, 400))
        else:
            yield json.dumps(random.choice(meaningless)).encode()


def random_headers(random: Random) -> dict[str, Any]:
    """Make headers of all kinds."""
    odd = (None, "", 7, -1, "x" * 300, [1, {"a": 2}], {"b": None}, "compute.run", "no.such.task")
    names = ("task", "id", "retries", "timelimit", "eta", "expires", "argsrepr", "x-death")
    return {name: random.choice(odd) for name in names if random.random() < 0.4}


def _count(stage: Stage) -> int:
    return int(stage.stack.rows(LETTERS)[0]["count"])


@contextmanager
def _landing(stage: Stage, count: int) -> Iterator[Wire]:
    """Publish so many, of which each has to land in the dead letters and none may end a process."""
    letters, exits = _count(stage), stage.exits
    with Wire.open(stage.stack.environment["BROKER_URL"]) as wire, wire.confirming():
        yield wire
    stage.until(lambda: _count(stage) >= letters + count, f"{count} dead letters", DONE)
    if (found := _count(stage) - letters) != count:
        stage.problems.append(f"{found} dead letters of {count} messages")
    if ended := stage.exits - exits:
        stage.problems.append(f"{ended} times a process did not outlive them")


def _publish(wire: Wire, body: bytes, queue: str, headers: dict[str, Any]) -> None:
    """Put something straight into a queue, unlike all that was ever put there."""
    wire.publish(body, queue, headers, exchange="", correlation_id=secrets.token_hex(8))


def _random(queue: str) -> Act:
    def act(stage: Stage) -> None:
        count = BODIES if stage.long else FEWER
        with _landing(stage, count) as wire:
            for body in random_bodies(stage.random, count):
                _publish(wire, body, queue, random_headers(stage.random))

    return act


for _queue in QUEUES:
    fault(GROUP, f"10,000 random bodies on {_queue}", quick=_queue == "compute")(_random(_queue))


def _forged(task: str) -> Act:
    def act(stage: Stage) -> None:
        count = BODIES if stage.long else FEWER
        with _landing(stage, count) as wire:
            seed = stage.random.getrandbits(32)
            for forgery in Forger(seed, task, ARGUMENTS[task]).forge(count):
                properties = {"correlation_id": forgery.marker} | forgery.properties
                wire.publish(forgery.body, task, forgery.headers, **properties)

    return act


for _task in TASKS:
    fault(GROUP, f"10,000 forged messages of {_task}")(_forged(_task))


@fault(GROUP, "one of each kind of malformed message", quick=True)
def malformed(stage: Stage) -> None:
    with _landing(stage, len(SERVICES) * len(MALFORMED)) as wire:
        for body, headers in MALFORMED.values():
            for service in SERVICES:
                unique = secrets.token_hex(8)
                wire.publish(
                    body, f"{queue_name(service)}.anything", headers, correlation_id=unique
                )


@fault(GROUP, "5 MiB on every queue")
def large(stage: Stage) -> None:
    body = json.dumps("x" * LARGE).encode()
    with _landing(stage, len(QUEUES)) as wire:
        for queue in QUEUES:
            _publish(wire, body, queue, {})


@fault(GROUP, "a task that kills its worker")
def killer(stage: Stage) -> None:
    gate = stage.directory / secrets.token_hex(6)
    gate.mkdir()
    stage.user.sign_in()
    _fails(stage, stage.user.submit("crash", gate=str(gate)), "DeadLetter")


@fault(GROUP, "a task that kills its worker, among small ones", quick=True)
def killer_among_others(stage: Stage) -> None:
    gates = {name: stage.directory / secrets.token_hex(6) for name in ("harmless", "harmful")}
    for gate in gates.values():
        gate.mkdir()
    (gates["harmless"] / "mended").touch()
    stage.user.sign_in()
    jobs: list[tuple[str, dict[str, Any]]] = [
        ("add", {"x": 1, "y": 2}),
        ("crash", {"gate": str(gates["harmless"])}),
    ] * 10
    expected = (
        "SELECT count(*) AS count FROM jobs_computation WHERE expected < 0.02 AND name = '{}'"
    )
    for name, arguments in jobs[:2]:
        stage.until(
            lambda: (
                _ended(stage, stage.user.submit_many([(name, arguments)] * 3))  # noqa: B023
                and stage.stack.rows(expected.format(name))[0]["count"]  # noqa: B023
            ),
            f"quick runs of {name}",
        )
    jobs[7] = ("crash", {"gate": str(gates["harmful"])})
    stage.wait(3)  # web knows of computations what it has read within the last two seconds
    ids = stage.user.submit_many(jobs)
    harmful = ids.pop(7)
    _fails(stage, harmful, "DeadLetter")
    # One run together with others, and as many alone as any message has.
    if stage.user.job(harmful)["attempts"] != TASK_DELIVERY_LIMIT + 2:
        stage.problems.append("it was not among others")
    if not _ended(stage, ids):
        stage.problems.append("others did not succeed, too")


def _ended(stage: Stage, ids: list[str]) -> bool:
    """Wait for the end of jobs; whether all have succeeded."""
    listed = ", ".join(f"'{each}'" for each in ids)
    query = f"SELECT state FROM jobs_job WHERE id IN ({listed})"  # noqa: S608

    def states() -> set[str]:
        return {row["state"] for row in stage.stack.rows(query)}

    stage.until(lambda: not states() & {"queued", "running"}, "end of many jobs")
    return states() == {"succeeded"}


@fault(GROUP, "a task that takes memory without end")
def devourer(stage: Stage) -> None:
    stage.user.sign_in()
    _fails(stage, stage.user.submit("devour"), "MemoryLimitExceeded")


def _fails(stage: Stage, job_id: str, error: str) -> None:
    query = f"SELECT state, error_type FROM jobs_job WHERE id = '{job_id}'"  # noqa: S608
    stage.until(lambda: stage.stack.rows(query)[0]["state"] == "failed", "failure of the job")
    found = stage.stack.rows(query)[0]["error_type"]
    if found != error:
        stage.problems.append(f"the job failed with {found!r}, not {error!r}")
