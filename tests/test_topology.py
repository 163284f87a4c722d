"""Exchanges and queues: declared once, checked by everybody, changed behind nobody's back."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from kombu import Connection

from contracts import topology
from contracts.errors import MissingTopologyError, TopologyError
from local.broker import Broker
from local.settings import Settings
from local.supervisor import read_procfile

from .management import Management
from .polling import poll
from .process import CHECKOUT
from .stack import Stack, run
from .wire import Wire

PROCESSES = ("relay", "collector", "mailer", "compute")


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
        channel.exchange_delete("warren.results")
        channel.queue_delete("compute")
        other_limit = dict(topology.task_queue("compute").queue_arguments or {})
        other_limit["x-delivery-limit"] = 9
        channel.queue_declare("compute", durable=True, auto_delete=False, arguments=other_limit)
    return declared


def test_declaring_twice_changes_nothing(declared: Wire) -> None:
    topology.declare(declared.connection)
    topology.check(declared.connection)


def test_every_queue_is_a_durable_quorum_queue_with_a_delivery_limit(
    declared: Wire, vhost: str, management: Management
) -> None:
    queues = {queue["name"]: queue for queue in management.get(f"queues/{vhost}")}
    assert set(queues) == {*topology.SERVICES, "web.results", "web.dead"}
    for queue in queues.values():
        assert queue["durable"]
        assert queue["arguments"]["x-queue-type"] == "quorum"
        assert queue["arguments"]["x-delivery-limit"] >= 3
    for name in (*topology.SERVICES, "web.results"):
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
        *(("warren.tasks", f"{service}.#", service) for service in topology.SERVICES),
        ("warren.results", "#", "web.results"),
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


def test_the_check_names_what_is_missing_and_what_differs_and_how(spoilt: Wire) -> None:
    with pytest.raises(TopologyError) as refusal:
        topology.check(spoilt.connection)
    assert not isinstance(refusal.value, MissingTopologyError)  # waiting would not help
    text = str(refusal.value)
    assert "exchange 'warren.results' is missing" in text
    assert "queue 'compute' differs" in text
    assert "x-delivery-limit" in text
    assert "'9'" in text
    assert "'3'" in text
    assert "manage.py declare_topology" in text


def test_what_is_only_missing_is_told_apart(declared: Wire) -> None:
    with declared.channel() as channel:
        channel.queue_delete("compute")
        channel.exchange_delete("warren.results")
    with pytest.raises(MissingTopologyError, match="queue 'compute' is missing"):
        topology.check(declared.connection)


def test_what_differs_is_not_declared_over(spoilt: Wire) -> None:
    with pytest.raises(TopologyError, match="queue 'compute' differs"):
        topology.declare(spoilt.connection)


def test_what_another_version_declared_is_told_by_its_marker(declared: Wire) -> None:
    with declared.channel() as channel:
        channel.exchange_delete(topology.marker().name)
    with pytest.raises(TopologyError, match="another version declared the rest"):
        topology.check(declared.connection)


def test_a_process_that_may_declare_nothing_knows_the_topology_by_its_marker(
    declared: Wire, vhost: str, installation: Settings, management: Management
) -> None:
    name, password = f"mailer-{vhost}", secrets.token_hex(8)
    management.put(f"users/{name}", {"password": password, "tags": ""})
    # What the mailer needs: its own queue, and the way home.
    rights = {"configure": "^$", "write": r"^warren\.results$", "read": "^mailer$"}
    management.put(f"permissions/{quote(vhost)}/{name}", rights)
    port = installation.broker.amqp_port
    with Connection(f"amqp://{name}:{password}@127.0.0.1:{port}/{vhost}") as restricted:
        topology.check(restricted)
        with declared.channel() as channel:
            channel.exchange_delete(topology.marker().name)
        with pytest.raises(TopologyError, match="another version declared the rest"):
            topology.check(restricted)


def test_no_process_starts_against_another_topology(
    stack: Stack, spoilt: Wire, broker: Broker, vhost: str
) -> None:
    commands = read_procfile(CHECKOUT / "Procfile")
    environment = stack.environment | {"BROKER_URL": broker.settings.url(vhost)}

    def start(name: str) -> tuple[int, str]:
        ended = run(["sh", "-c", commands[name]], environment)
        return ended.returncode, ended.stdout + ended.stderr

    with ThreadPoolExecutor() as pool:
        endings = dict(zip(PROCESSES, pool.map(start, PROCESSES), strict=True))
    for name, (status, output) in endings.items():
        assert status != 0, name
        assert "exchange 'warren.results' is missing" in output, name
        assert "queue 'compute' differs" in output, name
        assert "Traceback" not in output, f"{name}:\n{output}"


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
