import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import restarts
from local.servers.daemon import Daemon
from local.servers.keeper import Keeper
from tests.support.polling import pause, poll


class Sleeper:
    """A server of the simplest kind."""

    def __init__(self, directory: Path) -> None:
        self.daemon = Daemon("sleeper", directory)
        self.log = self.daemon.log
        self.command = "echo dreaming; exec sleep 60"

    @property
    def running(self) -> bool:
        return self.daemon.running

    def launch(self) -> None:
        self.daemon.launch(["sh", "-c", self.command], os.environ)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    sleeper = Sleeper(tmp_path)
    sleeper.launch()
    yield sleeper
    sleeper.daemon.kill()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_PAUSE", 0.05)


def look_until(keeper: Keeper, reached: Callable[[], object]) -> None:
    def look() -> None:
        keeper.look()
        pause()

    poll(reached, what="such state", meanwhile=look)


def test_a_server_that_was_killed_is_started_again(sleeper: Sleeper) -> None:
    said: list[str] = []
    keeper = Keeper("Sleeper", sleeper, said.append)
    look_until(keeper, lambda: "dreaming" in sleeper.log.read_text())
    assert not said
    sleeper.daemon.kill()
    look_until(keeper, lambda: sleeper.running)
    assert "Sleeper ended by itself, and is started again" in said[0]
    assert "  dreaming" in said[0]
    assert said[1] == "Sleeper started"


def test_a_server_that_cannot_start_is_tried_again_until_it_can(sleeper: Sleeper) -> None:
    said: list[str] = []
    keeper = Keeper("Sleeper", sleeper, said.append)
    sleeper.command = "exit 78"
    sleeper.daemon.kill()
    look_until(keeper, lambda: said.count("Sleeper started") == 4)
    sleeper.command = "exec sleep 60"
    look_until(keeper, lambda: said.count("Sleeper started") == 5)
    look_until(keeper, lambda: sleeper.running)
