"""What an operator does on a working day: stop, restart, scale."""

from tests.faults.catalogue import PROCESSES, Act, fault
from tests.faults.stage import Stage
from tests.support.process import Process


def _restart(stage: Stage, process: Process) -> None:
    with stage.away(process):
        process.stop()
        if process.exit_status not in (0, None):
            stage.problems.append(f"{process.name} ended with {process.exit_status}")
        process.launch()
    stage.until(lambda: process.ready, f"{process.name}'s return")


def _sigterm(name: str) -> Act:
    def act(stage: Stage) -> None:
        _restart(stage, getattr(stage.stack, name))

    return act


for _name in PROCESSES:
    fault("SIGTERM during work", _name)(_sigterm(_name))


@fault("rolling restart", "everything, one at a time", may_refuse=True, quick=True)
def rolling_restart(stage: Stage) -> None:
    for process in stage.stack.plain:
        _restart(stage, process)
    stage.stack.broker.stop()
    stage.stack.broker.start()
    stage.stack.database.stop()
    stage.stack.database.start()


def _scaled(more: int, *names: str) -> Act:
    def act(stage: Stage) -> None:
        twins = [stage.twin(getattr(stage.stack, name)) for name in names for _ in range(more)]
        for twin in twins:
            stage.until(lambda twin=twin: twin.ready, f"{twin.name}'s start")  # type: ignore[misc]
        stage.lasting(10)
        for twin in twins:
            stage.dismiss(twin)

    return act


fault("scaled 1 → 4 → 1", "mailer, compute and tasks")(_scaled(3, "mailer", "compute", "tasks"))
fault("scaled 1 → 2 → 1", "web's relay, collector and reconciler")(
    _scaled(1, "relay", "collector", "reconciler")
)
