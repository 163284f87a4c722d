"""The fingerprint by which a process without permissions knows the topology as its own."""

import pytest
from kombu import Queue

from contracts import topology


def test_the_fingerprint_is_always_the_same() -> None:
    assert topology.fingerprint() == topology.fingerprint()
    assert topology.marker().name == f"warren.topology.{topology.fingerprint()}"


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("EXCHANGES", topology.EXCHANGES[:-1]),
        ("QUEUES", topology.QUEUES[:-1]),
        ("QUEUES", (*topology.QUEUES[:-1], Queue("web.dead", queue_arguments={"x-max-length": 1}))),
        ("BINDINGS", topology.BINDINGS[:-1]),
        ("BINDINGS", (*topology.BINDINGS[:-1], ("web.dead", topology.UNROUTED, "other"))),
    ],
)
def test_any_change_of_the_topology_changes_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, part: str, change: object
) -> None:
    before = topology.fingerprint()
    monkeypatch.setattr(topology, part, change)
    assert topology.fingerprint() != before


def test_a_queue_and_its_binding_are_named_after_the_service() -> None:
    queue = topology.task_queue("resizer")
    assert (queue.name, queue.routing_key) == ("resizer", "resizer.#")
    assert queue.exchange == topology.TASKS
