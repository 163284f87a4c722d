"""Exchanges and queues: declared once, checked by everybody, changed behind nobody's back."""

import secrets
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from contracts import topology
from contracts.errors import MissingTopologyError, TopologyError
from local.servers.broker import Broker

from .support.management import Management
from .support.polling import poll
from .support.process import Process
from .support.stack import Stack, run
from .support.wire import Wire

TASK_QUEUES = [{"tasks": "web.tasks"}.get(each, each) for each in topology.SERVICES]

VIEWS = {
    "relay": topology.OF_RELAY,
    "collector": topology.OF_COLLECTOR,
    **{service: topology.of_worker(service) for service in topology.SERVICES},
}


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    """The name of an empty vhost."""
    name = f"topology-{secrets.token_hex(4)}"
    broker.create_vhost(name)
    yield name
    broker.delete_vhost(name)


@pytest.fixture
def empty(broker: Broker, vhost: str) -> Iterator[Wire]:
    """A connection to an empty vhost."""
    with Wire.open(broker.settings.url(vhost)) as wire:
        yield wire


@pytest.fixture
def declared(empty: Wire) -> Wire:
    """A connection to a vhost with the topology."""
    topology.declare(empty.connection)
    return empty


@pytest.fixture
def spoilt(declared: Wire) -> Wire:
    """A connection to a vhost in which one exchange is missing and one queue differs."""
    with declared.channel() as channel:
        channel.exchange_delete("warren.results.compute")
        channel.queue_delete("compute")
        other_limit = dict(topology.task_queue("compute").queue_arguments or {})
        other_limit["x-delivery-limit"] = 9
        channel.queue_declare("compute", durable=True, auto_delete=False, arguments=other_limit)
    return declared


def test_declaring_twice_changes_nothing(declared: Wire) -> None:
    topology.declare(declared.connection)
    assert not topology.compare(declared.connection).problems


def test_every_queue_is_a_durable_quorum_queue_with_a_delivery_limit(
    declared: Wire, vhost: str, management: Management
) -> None:
    queues = {queue["name"]: queue for queue in management.get(f"queues/{vhost}")}
    assert set(queues) == {*TASK_QUEUES, "web.results", "web.dead"}
    for queue in queues.values():
        assert queue["durable"]
        assert queue["arguments"]["x-queue-type"] == "quorum"
        assert queue["arguments"]["x-delivery-limit"] >= 3
    for name in (*TASK_QUEUES, "web.results"):
        assert queues[name]["arguments"]["x-dead-letter-exchange"] == "warren.dead"
        assert queues[name]["arguments"]["x-dead-letter-strategy"] == "at-least-once"


def test_every_queue_hears_what_it_should(
    declared: Wire, vhost: str, management: Management
) -> None:
    bindings = {
        (found["source"], found["routing_key"], found["destination"])
        for found in management.get(f"bindings/{vhost}")
        if found["source"]  # the broker binds every queue to its nameless exchange
    }
    assert bindings == {
        *(("warren.tasks", f"{queue}.#", queue) for queue in TASK_QUEUES),
        *((f"warren.results.{each}", "#", "web.results") for each in topology.SERVICES),
        ("warren.dead", "#", "web.dead"),
        ("warren.unrouted", "", "web.dead"),
    }


def test_a_message_that_no_queue_wants_lands_in_the_dead_letters(declared: Wire) -> None:
    declared.publish(b"{}", "nobody.knows", {"id": "1", "task": "nobody.knows"})
    dead = poll(lambda: declared.take("web.dead"), what="dead letter")
    assert dead is not None
    assert (dead.routing_key, dead.headers["task"]) == ("nobody.knows", "nobody.knows")


def test_a_further_service_hears_of_tasks_without_a_change_in_web(declared: Wire) -> None:
    spy = declared.spy("warren.tasks", "compute.#")
    declared.publish(b"{}", "compute.run", correlation_id="1")
    spy.await_copy("1")
    poll(lambda: declared.take("compute"), what="message itself")


def test_the_owner_hears_what_is_missing_and_what_differs_and_how(spoilt: Wire) -> None:
    comparison = topology.compare(spoilt.connection)
    assert comparison.missing == ["warren.results.compute"]
    assert "exchange 'warren.results.compute' is missing" in comparison.problems
    [difference] = comparison.differing
    assert "queue 'compute' differs" in difference
    assert "x-delivery-limit" in difference
    assert "'9'" in difference
    assert "'3'" in difference


def test_a_process_hears_of_all_that_is_missing_of_what_it_uses(declared: Wire) -> None:
    with declared.channel() as channel:
        channel.queue_delete("compute")
        channel.exchange_delete("warren.results.compute")
    topology.check(declared.connection, topology.of_worker("mailer"))
    with pytest.raises(MissingTopologyError) as missing:
        topology.check(declared.connection, topology.of_worker("compute"))
    text = str(missing.value)
    assert "queue 'compute' is missing" in text
    assert "exchange 'warren.results.compute' is missing" in text
    assert "manage.py declare_topology" in text


def test_what_differs_is_not_declared_over(spoilt: Wire) -> None:
    with pytest.raises(TopologyError, match="queue 'compute' differs"):
        topology.declare(spoilt.connection)


def test_what_another_version_declared_is_told_by_its_marker(declared: Wire) -> None:
    with declared.channel() as channel:
        channel.exchange_delete(topology.marker().name)
    assert "another version declared the rest" in topology.compare(declared.connection).problems[0]
    for uses in VIEWS.values():
        with pytest.raises(MissingTopologyError, match="another version declared the rest"):
            topology.check(declared.connection, uses)


def test_no_process_works_before_its_topology_is_declared(
    stack: Stack, broker: Broker, vhost: str, empty: Wire
) -> None:
    waiting = {name: stack.process(name).twin("waiting") for name in VIEWS}
    for process in waiting.values():
        process.launch(BROKER_URL=broker.settings.url(vhost))
    try:
        for name, process in waiting.items():
            poll(partial(_names, process, VIEWS[name]), what="missing", explain=process.tail)
            assert not process.ready
            assert "Traceback" not in process.log
        topology.declare(empty.connection)
        for process in waiting.values():
            process.wait_until_ready()
    finally:
        for process in waiting.values():
            process.stop()


def _names(process: Process, missing: Sequence[topology.Entity]) -> bool:
    return all(f"{entity.name!r} is missing" in process.log for entity in missing)


def test_the_command_of_a_deployment_says_what_it_did_or_why_not(
    stack: Stack, broker: Broker, vhost: str, empty: Wire
) -> None:
    command = ["python", "services/web/manage.py", "declare_topology"]
    environment = stack.environment | {"BROKER_URL": broker.settings.url(vhost)}
    assert f"topology {topology.fingerprint()} is declared" in run(command, environment).stdout
    with empty.channel() as channel:
        channel.queue_delete("mailer")
        channel.queue_declare("mailer", durable=True, auto_delete=False)
    refused = run(command, environment)
    assert refused.returncode == 1
    assert "queue 'mailer' differs" in refused.stderr
    assert "Traceback" not in refused.stderr
