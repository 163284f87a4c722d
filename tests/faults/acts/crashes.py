"""Killed as by a power cut (SIGKILL), and started again as a supervisor does."""

from tests.faults.catalogue import fault
from tests.faults.stage import Stage

GROUP = "kill -9"


@fault(GROUP, "a gunicorn worker")
def gunicorn_worker(stage: Stage) -> None:
    for _ in range(3):
        stage.stack.web.kill_child(stage.random.choice(list(stage.stack.web.children)))
        stage.wait(1)


@fault(GROUP, "all of web", quick=True)
def web(stage: Stage) -> None:
    stage.kill(stage.stack.web)
    stage.until(lambda: stage.stack.web.ready, "web's return")


@fault(GROUP, "relay")
def relay(stage: Stage) -> None:
    for _ in range(3):
        stage.kill(stage.stack.relay)
        stage.wait(2)


@fault(GROUP, "collector")
def collector(stage: Stage) -> None:
    for _ in range(3):
        stage.kill(stage.stack.collector)
        stage.wait(2)


@fault(GROUP, "reconciler")
def reconciler(stage: Stage) -> None:
    stage.kill(stage.stack.reconciler)
    stage.wait(2)


@fault(GROUP, "mailer", quick=True)
def mailer(stage: Stage) -> None:
    for _ in range(3):
        stage.kill(stage.stack.mailer)
        stage.wait(2)


@fault(GROUP, "a process of compute's pool")
def pool_process(stage: Stage) -> None:
    for _ in range(4):
        stage.stack.compute.kill_child(stage.random.choice(list(stage.stack.compute.children)))
        stage.wait(1)


@fault(GROUP, "compute's main process")
def compute_main(stage: Stage) -> None:
    stage.stack.compute.kill_main()
    stage.wait(2)


@fault(GROUP, "all of compute", quick=True)
def compute(stage: Stage) -> None:
    stage.kill(stage.stack.compute)
    stage.wait(2)


@fault(GROUP, "a process of the pool of web's own tasks")
def process_of_tasks(stage: Stage) -> None:
    for _ in range(4):
        stage.stack.tasks.kill_child(stage.random.choice(list(stage.stack.tasks.children)))
        stage.wait(1)


@fault(GROUP, "all of web's own tasks", quick=True)
def tasks(stage: Stage) -> None:
    for _ in range(3):
        stage.kill(stage.stack.tasks)
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
