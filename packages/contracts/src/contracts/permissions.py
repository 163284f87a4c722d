"""The permissions of each process at the broker, as RabbitMQ's definitions.

``python -m contracts.permissions`` writes them into ``infra/rabbitmq``. A test compares both.
Source: https://www.rabbitmq.com/docs/access-control#authorisation
"""

import json
import re
from pathlib import Path
from typing import Any

from contracts import topology

FILE = Path(__file__).parents[4] / "infra" / "rabbitmq" / "definitions.json"
VHOST = "warren"
NOTHING = "^$"
# Each process may ask whether this version's topology is declared.
MARKER = r"warren\.topology\..*"
# The exchanges of Celery's commands to workers, and of its events for Flower.
COMMANDS, EVENTS = r"celery\.pidbox", "celeryev"
REPLIES = r"reply\.celery\.pidbox"


def definitions() -> dict[str, Any]:
    """Return the vhost, the users without passwords, and their permissions."""
    owner = _any(r"warren\..*", *(re.escape(queue.name) for queue in topology.QUEUES))
    read_by_collector = (re.escape(queue.name) for queue in topology.OF_COLLECTOR)
    permissions = [
        _permissions("topology", configure=owner, write=owner, read=owner),
        _permissions(
            "relay",
            configure=_any(COMMANDS, EVENTS),
            write=_any(
                r"warren\.tasks", r"warren\.results(\..+)?", r"amq\.default", COMMANDS, EVENTS
            ),
            read=_any(MARKER),
        ),
        _permissions("collector", read=_any(*read_by_collector, MARKER)),
        _permissions("reconciler", configure=owner, write=owner, read=owner),
        *map(_of_worker, topology.SERVICES),
        _permissions(
            "flower",
            configure=_any(r"celeryev(\..+)?", rf"([^.]+\.)?{REPLIES}", COMMANDS),
            write=_any(r"celeryev\..+", rf"[^.]+\.{REPLIES}", COMMANDS),
            read=_any(r"celeryev(\..+)?", rf"([^.]+\.)?{REPLIES}"),
        ),
        _permissions("monitoring"),
    ]
    tags = {"monitoring": ["monitoring"]}
    users = [{"name": each["user"], "tags": tags.get(each["user"], [])} for each in permissions]
    return {"vhosts": [{"name": VHOST}], "users": users, "permissions": permissions}


def _of_worker(service: str) -> dict[str, str]:
    """Let a worker read its own queue, publish to its own exchange, and receive commands."""
    own_commands = rf"{service}-[0-9]+@[^.]+\.{COMMANDS}"
    results = re.escape(topology.results_name(service))
    return _permissions(
        service,
        configure=_any(own_commands, rf"(reply\.)?{COMMANDS}", EVENTS),
        write=_any(results, own_commands, REPLIES, EVENTS),
        read=_any(re.escape(topology.queue_name(service)), own_commands, COMMANDS, MARKER),
    )


def _permissions(
    user: str, *, configure: str = NOTHING, write: str = NOTHING, read: str = NOTHING
) -> dict[str, str]:
    return {"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read}


def _any(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


if __name__ == "__main__":
    FILE.write_text(json.dumps(definitions(), indent=2) + "\n", encoding="utf-8")
