"""Killed as by a power cut (SIGKILL), and started again as a supervisor does."""

from tests.faults.catalogue import Act, fault
from tests.faults.stage import Stage

GROUP = "kill -9"


def _killed(name: str, times: int) -> Act:
    def act(stage: Stage) -> None:
        for _ in range(times):
            stage.kill(getattr(stage.stack, name))
            stage.wait(2)

    return act


def _a_child_killed(name: str, times: int) -> Act:
    def act(stage: Stage) -> None:
        process = getattr(stage.stack, name)
        for _ in range(times):
            process.kill_child(stage.random.choice(list(process.children)))
            stage.wait(1)

    return act


for _name in ("relay", "collector"):
    fault(GROUP, _name)(_killed(_name, 3))
fault(GROUP, "reconciler")(_killed("reconciler", 1))
fault(GROUP, "mailer", quick=True)(_killed("mailer", 3))
fault(GROUP, "all of compute", quick=True)(_killed("compute", 1))
fault(GROUP, "all of web's own tasks", quick=True)(_killed("tasks", 3))
fault(GROUP, "a gunicorn worker")(_a_child_killed("web", 3))
fault(GROUP, "a process of compute's pool")(_a_child_killed("compute", 4))
fault(GROUP, "a process of the pool of web's own tasks")(_a_child_killed("tasks", 4))


@fault(GROUP, "all of web", quick=True)
def web(stage: Stage) -> None:
    stage.kill(stage.stack.web)
    stage.until(lambda: stage.stack.web.ready, "web's return")


@fault(GROUP, "compute's main process")
def compute_main(stage: Stage) -> None:
    stage.stack.compute.kill_main()
    stage.wait(2)


@fault(GROUP, "RabbitMQ", quick=True)
def rabbitmq(stage: Stage) -> None:
    stage.stack.broker.kill()
    stage.stack.broker.start()


@fault(GROUP, "PostgreSQL", may_refuse=True)
def postgresql(stage: Stage) -> None:
    stage.stack.database.kill()
    stage.stack.database.start()


@fault(GROUP, "PostgreSQL, immediate shutdown", quick=True, may_refuse=True)
def postgresql_immediately(stage: Stage) -> None:
    stage.stack.database.stop_immediately()
    stage.stack.database.start()


@fault(GROUP, "Flower")
def flower(stage: Stage) -> None:
    stage.stack.flower.start()
    stage.kill(stage.stack.flower)
    stage.until(lambda: stage.stack.flower.ready, "Flower's return")
    stage.stack.flower.stop()
