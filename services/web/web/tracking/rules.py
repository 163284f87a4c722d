"""Which of several events of a task counts: the rule that makes results safe in any order.

SUCCESS always counts. Of all other events the one of the highest rank does. An answer ranks above
every other event, so that no task begins anew after a client has seen it end. Next the later
attempt counts, within an attempt the later phase, and of progress the further. So duplicates,
reordering, and a failure before the success of a redelivered run all end in the same state.

The rule is written twice, with the same constants: in Python for the events of one batch, and in
SQL for an event and a row.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from contracts.events import TaskEvent, TaskState

DEAD_LETTER_PHASE = 3
PHASES = {
    TaskState.STARTED: 1,
    TaskState.PROGRESS: 2,
    TaskState.RETRY: 4,
    TaskState.REVOKED: 5,
    TaskState.FAILURE: 6,
    TaskState.SUCCESS: 7,
}
FIRST_ANSWER = PHASES[TaskState.REVOKED]
# Progress is compared only with progress. A row shows an answer only if its state says so, too: an
# operator may have queued it again. The old answer may then arrive once more, and must not count.
COUNTS = f"""
    task.state <> '{{success}}' AND (
        event.state = '{{success}}'
        OR (event.phase >= {FIRST_ANSWER}, event.attempt, event.phase,
            CASE event.phase WHEN {PHASES[TaskState.PROGRESS]} THEN {{event_done}} ELSE 0 END)
         > (task.phase >= {FIRST_ANSWER} AND task.state IN ({{answers}}), task.attempt, task.phase,
            CASE task.phase WHEN {PHASES[TaskState.PROGRESS]} THEN {{task_done}} ELSE 0 END)
        AND NOT (event.phase >= {FIRST_ANSWER}
                 AND (event.attempt, event.phase) = (task.attempt, task.phase)))
"""


class DeadLetterEvent(TaskEvent, frozen=True, kw_only=True):
    """A task that ended in the dead letters.

    It ranks below the worker's own FAILURE of the same attempt, which knows the reason better.
    """

    of: str = ""

    @property
    def kind(self) -> str:
        """The kind of work, which the letter's routing key tells."""
        return self.of or self.task


def phase(event: TaskEvent) -> int:
    """Order of the event within its attempt."""
    return DEAD_LETTER_PHASE if isinstance(event, DeadLetterEvent) else PHASES[event.state]


def rank(event: TaskEvent) -> tuple[bool, int, int, int]:
    """Order of the event among all events of its task."""
    done = event.progress.done if event.progress else 0
    return phase(event) >= FIRST_ANSWER, event.attempt, phase(event), done


def latest(events: Iterable[TaskEvent]) -> dict[UUID, TaskEvent]:
    """Fold a batch to the one event per task that counts."""
    winners: dict[UUID, TaskEvent] = {}
    for event in events:
        task_id = UUID(event.task_id)
        if task_id not in winners or _outranks(event, winners[task_id]):
            winners[task_id] = event
    return winners


def counts(states: Mapping[TaskState, str], done: str | None) -> str:
    """Say in SQL whether the row ``event`` counts for the row ``task``.

    Args:
        states: the row's state after each kind of event.
        done: the column in which both have the progress, if they have any.
    """
    answers = {states[state] for state in (TaskState.FAILURE, TaskState.REVOKED)}
    return COUNTS.format(
        success=states[TaskState.SUCCESS],
        answers=", ".join(f"'{state}'" for state in sorted(answers)),
        event_done=f"event.{done}" if done else "0",
        task_done=f"task.{done}" if done else "0",
    )


def _outranks(event: TaskEvent, other: TaskEvent) -> bool:
    if other.state == TaskState.SUCCESS:
        return False  # a result once given does not change
    return event.state == TaskState.SUCCESS or rank(event) > rank(other)
