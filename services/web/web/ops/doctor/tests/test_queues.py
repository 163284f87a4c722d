"""What two looks at the queues say."""

import pytest

from web.ops.doctor.finding import Level
from web.ops.doctor.queues import PROCESSES, Depth, judge

WELL: dict[str, Depth | None] = {queue: Depth(0, 1) for queue in PROCESSES}


def found(
    first: Depth | None, second: Depth | None, queue: str = "compute"
) -> tuple[Level, str, str]:
    (finding,) = judge(WELL | {queue: first}, WELL | {queue: second})
    return finding.level, finding.found, finding.way_out


def test_queues_that_are_emptied_are_well() -> None:
    assert found(Depth(9, 2), Depth(8, 2))[0] == Level.OK
    assert found(Depth(0, 1), Depth(3, 1))[0] == Level.OK  # they may have come just now


@pytest.mark.parametrize(("queue", "process"), [("compute", "compute"), ("web.dead", "collector")])
def test_a_queue_without_a_consumer_names_the_process(queue: str, process: str) -> None:
    level, words, way_out = found(Depth(0, 0), Depth(2, 0), queue)
    assert level == Level.PROBLEM
    assert f"{queue} (2 messages wait): {process} is not running" in words
    assert f"docker compose up -d {process}" in way_out


def test_messages_that_do_not_get_fewer_are_a_warning() -> None:
    level, words, _ = found(Depth(5, 1), Depth(5, 1))
    assert level == Level.WARNING
    assert words.startswith("5 messages in compute do not get fewer")


def test_a_missing_queue_is_a_problem() -> None:
    assert found(None, None)[:2] == (Level.PROBLEM, "the queue compute is missing")
