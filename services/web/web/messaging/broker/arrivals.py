"""A message as it arrived at web. Any program may have made it, with any content."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from contracts import topology
from contracts.bundles import Answers
from contracts.events import ANSWERS_SUFFIX, REFUSED_SUFFIX, REPORT_SUFFIX


class Kind(StrEnum):
    """The kind of a message, told by its exchange and its routing key."""

    DEAD = "dead"  # a dead message: dropped by a queue, unroutable, or put there by hand
    REPORT = "report"
    ANSWERS = "answers"  # several results in one message
    REFUSED = "refused"  # a message that a worker could not reject
    RESULT = "result"  # the state of a task, or an announcement


SUFFIXES = {
    REPORT_SUFFIX: Kind.REPORT,
    ANSWERS_SUFFIX: Kind.ANSWERS,
    REFUSED_SUFFIX: Kind.REFUSED,
}


@dataclass(frozen=True)
class Arrival:
    """A message as RabbitMQ delivered it.

    ``exchange`` is the one that it was last published to. A queue that drops a message publishes it
    to ``warren.dead``. ``redelivered`` means that a collector may have seen the message before.
    ``is_whole`` is false for all parts of a message but its last, with which it is acknowledged.
    """

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes
    routing_key: str
    exchange: str = topology.DEAD.name
    redelivered: bool = False
    delivery_tag: int = 0
    is_whole: bool = True

    def parts(self) -> list["Arrival"]:
        """Return the messages that this one encloses, each as if it had come alone.

        Any other message, and one that cannot be decoded, is its own only part.
        """
        if self.kind != Kind.ANSWERS:
            return [self]
        try:
            enclosed = msgspec.json.decode(self.body, type=Answers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [self]
        *others, last = [
            replace(self, routing_key=each.routing_key, body=bytes(each.body)) for each in enclosed
        ]
        return [*(replace(each, is_whole=False) for each in others), last]

    @property
    def kind(self) -> Kind:
        """The kind, by exchange and routing key."""
        # An unroutable message keeps the name of the exchange that it was published to.
        results = (topology.OLD_RESULTS, topology.results_name(""))
        if self.exchange != results[0] and not self.exchange.startswith(results[1]):
            return Kind.DEAD
        for suffix, kind in SUFFIXES.items():
            if self.routing_key.endswith(suffix):
                return kind
        return Kind.RESULT

    @property
    def service(self) -> str:
        """The service that the routing key of a result names."""
        return self.routing_key.partition(".")[0]

    @property
    def is_from_its_service(self) -> bool:
        """Whether a result came through the exchange of the service that its routing key names.

        ``warren.results``, to which all workers of an older version reported, is accepted too.
        There the broker's permissions covered the routing key.
        """
        return self.exchange in (topology.results_name(self.service), topology.OLD_RESULTS)

    @property
    def death(self) -> dict[str, Any]:
        """RabbitMQ's record of its latest death; empty if it did not die in a queue.

        It is read only from messages that came through ``warren.dead``: on others the header
        ``x-death`` may be forged.
        Source: https://www.rabbitmq.com/docs/dlx#effects
        """
        deaths = self.headers.get("x-death")
        if self.exchange != topology.DEAD.name or not isinstance(deaths, list):
            return {}
        return next((death for death in deaths if isinstance(death, dict)), {})
