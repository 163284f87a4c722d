"""A bare worker, and what goes to it and comes from it."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from contracts import topology
from contracts.results import TaskState
from contracts.tasks import RUN_COMPUTATION
from tests.measuring import coverage_settings
from tests.polling import poll
from tests.wire import Copy, Wire

PROGRAM = Path(__file__).with_name("bare_worker.py")
PAYLOAD = {"job_id": "1", "computation": "add", "arguments": {"x": 1, "y": 2}}
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def headers(**changes: Any) -> dict[str, Any]:
    """Headers as web makes them, but for the changes."""
    task_id = str(uuid.uuid4())
    return {"lang": "py", "task": RUN_COMPUTATION.name, "id": task_id, "root_id": task_id} | changes


def body(payload: Any) -> bytes:
    """A body as web makes it, with any payload."""
    return json.dumps([[], payload, EMBED]).encode()


class BareWorker:
    """A worker process, with a client in web's place."""

    def __init__(self, url: str, wire: Wire, log: Path, pool: str) -> None:
        """Start it without waiting."""
        self._wire = wire
        self._log = log
        self._results: list[Copy] = []
        self._dead: dict[str, Copy] = {}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), pool],
                env={"PATH": os.environ["PATH"], "BROKER_URL": url, **coverage_settings()},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        """Wait until it works."""
        poll(
            lambda: " ready." in self.log or not self.alive,
            what="ready worker",
            explain=lambda: self.log,
        )
        assert self.alive, self.log

    def kill(self) -> None:
        """End it whatever it does; its children end with it."""
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def publish(self, content: bytes, given: dict[str, Any], **properties: Any) -> None:
        """Put a message of any kind into the worker's queue."""
        options = {"delivery_mode": 2, **properties}
        self._wire.publish(content, RUN_COMPUTATION.name, given, **options)

    def dead_letter(self, marker: str) -> Copy:
        """Wait for the dead letter of the message with this correlation id."""
        poll(
            lambda: marker in self._take_dead_letters(),
            what=f"dead letter of {marker}",
            explain=lambda: self.log[-3000:],
        )
        return self._dead[marker]

    def works(self) -> bool:
        """Have it run a task, and wait for the result."""
        given = headers()
        self.publish(body(PAYLOAD), given, correlation_id=given["id"])
        return bool(self.outcome(given["id"])["result"] == 3)

    def outcome(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task."""
        ends = (TaskState.SUCCESS, TaskState.FAILURE)

        def found() -> list[dict[str, Any]]:
            self._results += self._take(topology.WEB_RESULTS.name)
            events = [json.loads(each.body) for each in self._results]
            return [e for e in events if e.get("task_id") == task_id and e["state"] in ends]

        return poll(found, what=f"end of {task_id}", explain=lambda: self.log[-3000:])[0]

    def _take_dead_letters(self) -> dict[str, Copy]:
        taken = self._take(topology.WEB_DEAD.name)
        self._dead |= {str(each.properties.get("correlation_id")): each for each in taken}
        return self._dead

    def _take(self, queue: str) -> list[Copy]:
        taken = []
        with self._wire.channel() as channel:
            while message := channel.basic_get(queue, no_ack=True):
                taken.append(Copy.of(message))
        return taken
