"""Dead messages for tests."""

import json
from typing import Any
from uuid import UUID

from web.messaging.broker.arrivals import Arrival
from web.messaging.letters import dead_letters, making
from web.messaging.models import DeadLetter


def dead_message(task_id: UUID, body: Any = None, **headers: Any) -> Arrival:
    """Make a message that a worker has rejected."""
    arguments = {"job_id": str(task_id), "computation": "add", "arguments": {}}
    encoded = body if isinstance(body, bytes) else json.dumps(body or [[], arguments, {}]).encode()
    death = {"reason": "rejected", "queue": "compute", "exchange": "warren.tasks", "count": 1}
    defaults = {"task": "compute.run", "id": str(task_id), "retries": 0, "x-death": [death]}
    return Arrival(defaults | headers, {"correlation_id": str(task_id)}, encoded, "compute.run")


def save(dead: Arrival) -> DeadLetter:
    """Store it as the collector does."""
    dead_letters.store([making.of_arrival(dead)])
    return DeadLetter.objects.latest("pk")
