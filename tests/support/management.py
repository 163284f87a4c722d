"""RabbitMQ's HTTP API, by which an operator looks at a vhost and breaks it."""

from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from .polling import poll

RIGHTS = ("configure", "write", "read")


class QueueFigures(NamedTuple):
    """What a queue holds, as the node last counted (it counts every 2 s)."""

    ready: int
    unacknowledged: int
    consumers: int


class Management:
    """RabbitMQ's HTTP API, by which an operator looks at a vhost and breaks it."""

    def __init__(self, url: str, vhost: str = "warren") -> None:
        address = httpx.URL(url)
        self._http = httpx.Client(
            base_url=address.copy_with(userinfo=b""),  # httpx logs addresses
            auth=(address.username, address.password),
            timeout=10,
            trust_env=False,
        )
        self.vhost = vhost
        self._vhost = quote(vhost, safe="")

    def get(self, path: str) -> Any:
        """Ask for something."""
        return self._http.get(path).raise_for_status().json()

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Create or change something."""
        self._http.put(path, json=body).raise_for_status()

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Ask for a change."""
        self._http.post(path, json=body).raise_for_status()

    def delete(self, path: str) -> None:
        """Remove something."""
        self._http.delete(path).raise_for_status()

    def queues(self) -> dict[str, QueueFigures]:
        """The figures of each queue of the vhost, by its name."""
        return {
            queue["name"]: QueueFigures(
                ready=queue.get("messages_ready", 0),
                unacknowledged=queue.get("messages_unacknowledged", 0),
                consumers=queue.get("consumers", 0),
            )
            for queue in self.get(f"queues/{self._vhost}")
        }

    def delete_queue(self, name: str) -> None:
        """Remove a queue with what is in it, and its bindings."""
        self.delete(f"queues/{self._vhost}/{quote(name)}")

    def purge_queue(self, name: str) -> None:
        """Throw away what is ready in a queue."""
        self.delete(f"queues/{self._vhost}/{quote(name)}/contents")

    def limit_queue(self, name: str, length: int) -> None:
        """Make a queue full as soon as it holds more than ``length`` messages, by a policy."""
        policy = {
            "pattern": f"^{name.replace('.', '[.]')}$",
            "definition": {"max-length": length},
            "priority": 100,
            "apply-to": "queues",
        }
        self.put(f"policies/{self._vhost}/limit-{quote(name)}", policy)

    def unlimit_queue(self, name: str) -> None:
        """Take the limit away."""
        self.delete(f"policies/{self._vhost}/limit-{quote(name)}")

    def permissions(self, user: str) -> dict[str, str] | None:
        """What a user may do in the vhost: patterns for configure, write and read."""
        answer = self._http.get(self._permissions(user))
        if answer.status_code == 404:
            return None
        found = answer.raise_for_status().json()
        return {right: found[right] for right in RIGHTS}

    def permit(self, user: str, rights: dict[str, str]) -> None:
        """Set what a user may do."""
        self.put(self._permissions(user), rights)

    def forbid(self, user: str) -> None:
        """Take all permissions from a user.

        RabbitMQ remembers what it has checked for each channel: see ``drop_connections``.
        """
        self.delete(self._permissions(user))

    def connections(self) -> list[dict[str, Any]]:
        """All client connections to the vhost, as the API describes them."""
        found: list[dict[str, Any]] = self.get(f"vhosts/{self._vhost}/connections")
        return found

    def drop_connections(self, user: str) -> None:
        """Close all connections of a user, so that it feels a change of its permissions."""
        self.delete(f"connections/username/{quote(user)}")

    def memory(self) -> int:
        """Count the bytes that the node uses (which it first does some seconds after its start)."""
        return poll(lambda: self._node().get("mem_used", 0), what="count of the node's memory")

    def has_memory_alarm(self) -> bool:
        """Whether the node takes no messages for want of memory (it notes that every 5 s)."""
        return bool(self._node().get("mem_alarm"))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _node(self) -> dict[str, int]:
        # With its name, which is always there: RabbitMQ shows a node without any figure as a list.
        [node] = self.get("nodes?columns=name,mem_used,mem_alarm")
        figures: dict[str, int] = node
        return figures

    def _permissions(self, user: str) -> str:
        return f"permissions/{self._vhost}/{quote(user)}"
