"""A bare worker, and what goes to it and comes from it."""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

from contracts.tasks import RUN_COMPUTATION
from tests.support.program import Program
from tests.support.web import Web

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


class BareWorker(Program):
    """A worker process that has one task, with web played in front of it."""

    def __init__(self, url: str, web: Web, log: Path, pool: str) -> None:
        """Start it without waiting."""
        super().__init__([sys.executable, str(PROGRAM), pool], log, {"BROKER_URL": url})
        self.web = web

    def works(self) -> bool:
        """Have it run a task, and wait for the result."""
        given = headers()
        self.web.publish(body(PAYLOAD), given, correlation_id=given["id"])
        return bool(self.web.outcome(given["id"]).result == 3)
