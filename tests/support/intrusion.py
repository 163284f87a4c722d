"""Messages that Warren would not send, and the dead letters that become of them."""

import uuid
from typing import Any

import msgspec

from .stack import Stack
from .wire import Wire

ARGUMENTS: dict[str, dict[str, Any]] = {
    "compute.run": {"job_id": "1", "computation": "add", "arguments": {"x": 1, "y": 2}},
    "mailer.send_email": {
        "email_id": "1",
        "template": "welcome",
        "recipient": "ada@example.org",
        "context": {},
    },
}


def message(arguments: object) -> bytes:
    return msgspec.json.encode([[], arguments, {}])


def dead_letter(stack: Stack, correlation_id: str) -> dict[str, Any]:
    query = "SELECT * FROM messaging_deadletter WHERE properties->>'correlation_id' = %s"
    [row] = stack.poll(lambda: stack.rows(query, correlation_id), bool, "dead letter")
    return dict(row)


def intrude(stack: Stack, wire: Wire, body: bytes, routing_key: str, **options: Any) -> Any:
    """Publish what Warren would not, and return its dead letter."""
    correlation_id = str(uuid.uuid4())
    wire.publish(body, routing_key, correlation_id=correlation_id, **options)
    return dead_letter(stack, correlation_id)
