"""Web, as it asks for computations."""

import uuid
from typing import Any

from contracts.tasks import RUN_COMPUTATION
from tests.support.web import Web


class Client(Web):
    """Asks for computations."""

    def __init__(self, url: str) -> None:
        super().__init__(url, RUN_COMPUTATION)

    def compute(self, computation: str, arguments: dict[str, Any], **options: Any) -> str:
        """Ask for a computation; the task's id."""
        payload = {"job_id": str(uuid.uuid4()), "computation": computation, "arguments": arguments}
        return self.send(payload, **options)

    def compute_together(self, *asked: tuple[str, dict[str, Any]], **headers: Any) -> list[str]:
        """Ask for computations in one message; the tasks' ids."""
        payloads = [
            {"job_id": str(uuid.uuid4()), "computation": computation, "arguments": arguments}
            for computation, arguments in asked
        ]
        return self.send_bundle(*payloads, **headers)
