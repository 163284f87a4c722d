from collections.abc import Callable

import amqp
import httpx
import pytest

from local.errors import LocalError
from local.servers.broker import Broker

Power = Callable[[Broker], None]


def connect(broker: Broker, vhost: str | None = None, seconds: int = 20) -> amqp.Connection:
    at = broker.settings
    connection = amqp.Connection(
        f"127.0.0.1:{at.amqp_port}",
        userid=at.user,
        password=at.password,
        virtual_host=vhost or at.vhost,
        connect_timeout=seconds,
        read_timeout=seconds,
    )
    connection.connect()
    return connection


@pytest.fixture
def broker(own_broker: Broker) -> Broker:
    own_broker.start()
    return own_broker


def declare_quorum_queue(channel: amqp.Channel, name: str) -> None:
    channel.queue_declare(
        name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
    )


def test_a_started_broker_takes_the_user_and_vhost_of_its_settings(broker: Broker) -> None:
    connect(broker).close()


def test_a_message_survives_the_kill_of_its_broker(broker: Broker) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        declare_quorum_queue(channel, "survivor")
        channel.confirm_select()
        channel.basic_publish_confirm(
            amqp.Message("still here", delivery_mode=2), routing_key="survivor"
        )
    broker.kill()
    assert not broker.running
    broker.start()
    with connect(broker) as connection:
        message = connection.channel().basic_get("survivor", no_ack=True)
        assert message is not None
        assert message.body == "still here"


def test_a_stopped_broker_starts_again(broker: Broker) -> None:
    broker.stop()
    assert not broker.running
    broker.start()
    connect(broker).close()


def test_a_paused_broker_does_not_answer_until_it_is_resumed(broker: Broker) -> None:
    broker.pause()
    try:
        with pytest.raises(OSError, match="timed out"):
            connect(broker, seconds=1)
    finally:
        broker.resume()
    connect(broker).close()


def test_a_vhost_is_made_and_deleted(broker: Broker) -> None:
    assert broker.create_vhost("a/b").endswith("/a%2Fb")
    connect(broker, "a/b").close()
    broker.delete_vhost("a/b")
    with pytest.raises(LocalError, match="404"):
        broker.delete_vhost("a/b")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (Broker.raise_memory_alarm, Broker.clear_memory_alarm),
        (Broker.raise_disk_alarm, Broker.clear_disk_alarm),
    ],
)
def test_an_alarm_shows_and_can_be_cleared(broker: Broker, start: Power, end: Power) -> None:
    check = f"{broker.settings.management_url}health/checks/local-alarms"
    start(broker)
    try:
        assert httpx.get(check, trust_env=False).status_code == 503
    finally:
        end(broker)
    assert httpx.get(check, trust_env=False).status_code == 200


def test_a_wiped_broker_starts_empty(broker: Broker) -> None:
    broker.create_vhost("lost")
    with connect(broker) as connection:
        declare_quorum_queue(connection.channel(), "lost")
    broker.wipe()
    assert not broker.running
    broker.start()
    with connect(broker) as connection, pytest.raises(amqp.NotFound):
        connection.channel().queue_declare("lost", passive=True)
    with pytest.raises(LocalError, match="404"):
        broker.delete_vhost("lost")


def test_all_connections_are_dropped(broker: Broker) -> None:
    connection = connect(broker)
    broker.drop_connections()
    with pytest.raises(amqp.ConnectionForced):
        connection.drain_events(timeout=10)
    connect(broker).close()


def test_no_secret_is_readable_by_others(broker: Broker) -> None:
    directory = broker.settings.directory
    for secret in (directory / "definitions.json", directory / "home/.erlang.cookie"):
        assert secret.stat().st_mode & 0o077 == 0
    assert broker.settings.password not in (directory / "definitions.json").read_text()
