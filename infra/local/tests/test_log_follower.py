from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.run import log_follower
from local.run.log_follower import FIRST_LINES, LogFollower

Shown = list[tuple[str, str]]


@pytest.fixture
def shown() -> Shown:
    return []


@pytest.fixture
def follower(tmp_path: Path, shown: Shown) -> Iterator[LogFollower]:
    with closing(LogFollower(tmp_path, lambda *line: shown.append(line))) as follower:
        yield follower


def write(folder: Path, process: str, text: str) -> None:
    with (folder / f"{process}.log").open("a") as file:
        file.write(text)


def test_the_last_lines_come_first_and_then_what_is_new(
    tmp_path: Path, follower: LogFollower, shown: Shown
) -> None:
    write(tmp_path, "compute.1", "".join(f"{number}\n" for number in range(100)))
    follower.look(["compute.1"])
    assert shown == [("compute.1", str(number)) for number in range(100 - FIRST_LINES, 100)]
    write(tmp_path, "compute.1", "new\n")
    follower.look(["compute.1"])
    assert shown[FIRST_LINES:] == [("compute.1", "new")]


def test_a_process_that_is_started_later_is_followed_from_its_first_line(
    tmp_path: Path, follower: LogFollower, shown: Shown
) -> None:
    write(tmp_path, "compute.2", "of one that was scaled away before\n")
    follower.look(["compute.1"])
    assert not shown
    many = [f"{number}" for number in range(2 * FIRST_LINES)]
    for process in ("compute.2", "compute.3"):
        write(tmp_path, process, "\n".join([*many, ""]))
    follower.look(["compute.1", "compute.2", "compute.3"])
    assert shown == [(process, line) for process in ("compute.2", "compute.3") for line in many]


def test_the_last_words_of_a_process_that_has_ended_are_shown(
    tmp_path: Path, follower: LogFollower, shown: Shown
) -> None:
    write(tmp_path, "compute.1", "hello\n")
    follower.look(["compute.1"])
    write(tmp_path, "compute.1", "bye\n")
    follower.look([])
    assert shown == [("compute.1", "hello"), ("compute.1", "bye")]


def test_only_whole_lines_are_shown_and_nothing_stops_it(
    tmp_path: Path, follower: LogFollower, shown: Shown
) -> None:
    (tmp_path / "compute.1.log").write_bytes(b"\xff\nhalf")
    follower.look(["compute.1", "mailer.1"])
    assert shown == [("compute.1", "\N{REPLACEMENT CHARACTER}")]
    write(tmp_path, "compute.1", " a line\n")
    follower.look([])
    assert shown[1:] == [("compute.1", "half a line")]


def test_logs_of_an_earlier_run_are_not_shown_while_the_next_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_follower, "POLL_SECONDS", 0)
    write(tmp_path, "compute.1", "old\n")
    looks: Iterator[list[str] | None] = iter([[], ["compute.1"], [], None])

    def running() -> list[str] | None:
        names = next(looks)
        if names:
            (tmp_path / "compute.1.log").write_text("new\n")
        return names

    log_follower.follow(tmp_path, running)
    assert capsys.readouterr().out == "compute.1    | new\n"
