"""The whole of Warren, running, for the tests of what crosses a process."""

from collections.abc import Callable, Iterator

import pytest

from local.servers.broker import Broker
from local.servers.database import Database
from local.settings import Settings

from .support.api import Account, Gate, connect
from .support.management import Management
from .support.stack import Stack
from .support.wire import Wire


@pytest.fixture(scope="session")
def stack(
    installation: Settings,
    broker: Broker,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Run all processes; their logs stay in pytest's folder for temporary files."""
    running = Stack(installation, broker, database, tmp_path_factory.mktemp("stack"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def healed(stack: Stack) -> Iterator[Stack]:
    """Run all processes, and bring back afterwards what the test has broken."""
    yield stack
    stack.heal()


@pytest.fixture
def visitor(stack: Stack) -> Iterator[Account]:
    """Somebody who has registered and now waits for the mail."""
    with connect(stack.settings.web_url) as http:
        yield Account.register(http)


@pytest.fixture(scope="module")
def user(stack: Stack) -> Iterator[Account]:
    """Somebody who has verified the address and signed in."""
    with connect(stack.settings.web_url) as http:
        account = Account.register(http)
        account.move_in(stack.smtp)
        yield account


@pytest.fixture
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Gate]]:
    """Make what decides about the course of a staged computation; in the end all may end."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path_factory.mktemp("gate")))
        return made[-1]

    yield make
    for gate in made:
        gate.mend()
        gate.release()


@pytest.fixture
def gate(gates: Callable[[], Gate]) -> Gate:
    """A single one."""
    return gates()


@pytest.fixture
def wire(stack: Stack) -> Iterator[Wire]:
    """A connection to the broker, in the vhost of the stack."""
    with Wire.open(stack.environment["BROKER_URL"]) as opened:
        yield opened


@pytest.fixture(scope="session")
def management(installation: Settings, broker: Broker) -> Iterator[Management]:
    """RabbitMQ's HTTP API, as an administrator."""
    api = Management(installation.broker.management_url)
    yield api
    api.close()
