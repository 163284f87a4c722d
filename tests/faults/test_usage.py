"""The figures of the soak count what there is."""

from contextlib import ExitStack

from tests.support.management import Management
from tests.support.polling import poll
from tests.support.stack import Stack
from tests.support.wire import Wire

from .usage import Usage, measure


def test_all_that_may_grow_is_counted(stack: Stack, management: Management) -> None:
    def look() -> Usage:
        return measure(stack, management, stack.plain)

    workers = {"relay", "collector", "mailer", "compute"}

    def is_counted(usage: Usage) -> bool:  # RabbitMQ counts now and then
        return (
            workers <= set(usage.broker_connections)
            and usage.queues["compute"].consumers >= 1
            and usage.broker_channels["compute"] >= 1
        )

    usage = poll(look, is_counted, what="connections and consumers")

    assert usage.processes["web"].processes == 3  # gunicorn and two workers
    for process in usage.processes.values():
        assert process.memory > 10_000_000
        assert process.files >= 3  # the standard ones, whatever it is connected to just now
    roles = {name.partition("/")[0] for name in usage.database_connections}
    assert {"warren", "mailer"} <= roles
    assert usage.broker_memory > 10_000_000


def test_new_connections_show(stack: Stack, management: Management) -> None:
    def connections() -> int:
        return measure(stack, management, ()).broker_connections.get("warren", 0)

    before = connections()
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(Wire.open(stack.environment["BROKER_URL"]))
        poll(connections, lambda count: count == before + 3, what="new connections")
    poll(connections, lambda count: count == before, what="their end")
