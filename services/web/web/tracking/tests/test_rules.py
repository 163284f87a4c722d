"""The rule that picks the event that counts."""

import uuid
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from contracts.events import TaskEvent, TaskState
from web.jobs.tests.factories import event
from web.tracking.rules import latest

TASK = uuid.UUID(int=7)
events = st.builds(
    event,
    st.just(TASK),
    st.sampled_from(TaskState),
    st.integers(1, 4),
    done=st.integers(0, 10),
)


@given(st.lists(events, min_size=1), st.randoms())
def test_order_and_repetition_do_not_change_the_state(lot: list[TaskEvent], random: Random) -> None:
    expected = latest(lot)[TASK]
    shuffled = lot * 2
    random.shuffle(shuffled)
    found = latest(shuffled)[TASK]
    assert found.state == expected.state
    if found.state != TaskState.SUCCESS:
        assert found.attempt == expected.attempt


def test_success_counts_even_when_a_later_attempt_failed() -> None:
    lot = [event(TASK, TaskState.FAILURE, 2), event(TASK, TaskState.SUCCESS, 1)]
    assert latest(lot)[TASK].state == TaskState.SUCCESS


def test_an_answer_outranks_the_beginning_of_a_redelivered_run() -> None:
    lot = [event(TASK, TaskState.STARTED, 2), event(TASK, TaskState.FAILURE, 1)]
    assert latest(lot)[TASK].state == TaskState.FAILURE


def test_the_answer_of_a_redelivered_run_outranks_the_one_before_it() -> None:
    lot = [event(TASK, TaskState.FAILURE, 2), event(TASK, TaskState.FAILURE, 1)]
    assert latest(lot)[TASK].attempt == 2
